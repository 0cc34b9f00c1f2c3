import { useIntervalFn } from '@vueuse/core'
import { computed, onScopeDispose, shallowRef } from 'vue'
import { api, asApiError, type ApiError, type Schemas } from '@/api'
import { useLive } from '@/composables/useLive'

/** The deliveries of one study: its destinations, and the decisions behind them. */
export function useStudyDeliveries(uid: string) {
  const found = shallowRef<Schemas['StudyGroupsOut'] | null>(null)
  const decisions = shallowRef<Schemas['DecisionOut'][]>([])
  const outlooks = shallowRef<Schemas['OutlookOut'][]>([])
  const error = shallowRef<ApiError | null>(null)
  const loaded = shallowRef(false)
  let ended = false

  async function load(): Promise<void> {
    try {
      const [page, why, all] = await Promise.all([
        api.get('/deliveries/by-study', { query: { study_instance_uid: uid } }),
        api.get('/decisions', { query: { study: uid } }).catch(() => null),
        api.get('/destinations').catch(() => null),
      ])
      if (ended) return
      found.value = page.items[0] ?? null
      decisions.value = why?.items ?? []
      outlooks.value = all?.items ?? []
      error.value = null
    } catch (thrown) {
      if (!ended) error.value = asApiError(thrown)
    } finally {
      loaded.value = true
    }
  }

  void load()
  useLive(['Arrived', 'Delivered', 'DeliveryFailed'], () => void load(), 1500)
  const busy = computed(() => (found.value?.destinations ?? []).some((one) => one.waiting + one.sent + one.failed + one.away > 0))
  useIntervalFn(() => busy.value && !document.hidden && void load(), 4000)
  onScopeDispose(() => (ended = true))
  return { found, decisions, outlooks, error, loaded, load }
}
