import { useDocumentVisibility, useIntervalFn } from '@vueuse/core'
import { onScopeDispose, ref, shallowRef } from 'vue'
import { api, asApiError, type ApiError, type Schemas } from '@/api'
import { useLive } from '@/composables/useLive'

export type Overview = Schemas['Overview']

/** Numbers of "the last minute" fall when nothing happens, so they are asked for again though no fact came. */
const POLL_MILLISECONDS = 5000
const KINDS = ['Arrived', 'Settled', 'StudyDeleted', 'Delivered', 'DeliveryFailed', 'AlertChanged', 'RuleFailed']

/** The instance right now: at once when something happens, every five seconds otherwise, not while nobody looks. */
export function useOverview() {
  const overview = shallowRef<Overview | null>(null)
  const error = shallowRef<ApiError | null>(null)
  const loading = ref(false)
  const visibility = useDocumentVisibility()
  let ended = false

  async function load(): Promise<void> {
    if (loading.value || visibility.value === 'hidden') return
    loading.value = true
    try {
      const answer = await api.get('/overview')
      if (ended) return
      overview.value = answer
      error.value = null
    } catch (thrown) {
      if (!ended) error.value = asApiError(thrown)
    } finally {
      loading.value = false
    }
  }

  void load()
  useIntervalFn(() => void load(), POLL_MILLISECONDS)
  useLive(KINDS, () => void load(), 1000)
  onScopeDispose(() => (ended = true))
  return { overview, error, load }
}
