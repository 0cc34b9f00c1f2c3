import { computed, onScopeDispose, ref, shallowRef } from 'vue'
import { api, asApiError, type ApiError, type Schemas } from '@/api'
import { useLive } from '@/composables/useLive'

export type StudyDetail = Schemas['StudyDetail']
export type Destination = Schemas['GroupOut']

const LOOK_MILLISECONDS = 1500

/** One study with its deliveries, live. `gone`: it was there, and is not any more; what was shown stays readable. */
export function useStudy(uid: string, mayDeliveries: boolean) {
  const study = shallowRef<StudyDetail | null>(null)
  const destinations = shallowRef<Destination[]>([])
  const error = shallowRef<ApiError | null>(null)
  const gone = ref(false)
  const loading = ref(true)
  /** Counted up at each change, for the parts of the page that load by themselves. */
  const version = ref(0)
  let timer: ReturnType<typeof setTimeout> | undefined
  let ended = false

  async function loadStudy(): Promise<void> {
    try {
      study.value = await api.get('/studies/{uid}', { path: { uid } })
      error.value = null
      gone.value = false
    } catch (thrown) {
      const refused = asApiError(thrown)
      if (refused.status === 404 && study.value) gone.value = true
      else if (!study.value || refused.status !== 0) error.value = refused
    } finally {
      loading.value = false
    }
  }

  /** Ask the list, which is no look at the patient's data for the audit; the whole study only when more of it is there. */
  async function look(): Promise<void> {
    const before = study.value
    if (!before) return reload()
    void loadDestinations()
    try {
      const page = await api.get('/studies', { query: { study_instance_uid: uid, limit: 1 } })
      const now = page.items[0]
      gone.value = !now
      if (!now || JSON.stringify(now) === listed) return
      listed = JSON.stringify(now)
      const grown = now.instance_count !== before.instance_count || now.series_count !== before.series_count
      if (grown || now.conflict_count !== before.conflict_count || now.legal_hold !== before.legal_hold) await loadStudy()
      else study.value = { ...before, ...now }
    } catch {
      return // the next fact asks again
    } finally {
      version.value += 1
    }
  }
  let listed = ''

  async function loadDestinations(): Promise<void> {
    if (!mayDeliveries) return
    try {
      const page = await api.get('/deliveries/by-study', { query: { study_instance_uid: uid, limit: 1 } })
      destinations.value = page.items[0]?.destinations ?? []
    } catch {
      return // the study itself says what is wrong
    }
    clearTimeout(timer)
    // Facts come per study and node; between them the numbers move, so look while something is under way.
    if (!ended && underWay.value) timer = setTimeout(() => void loadDestinations(), LOOK_MILLISECONDS)
  }

  const underWay = computed(() => destinations.value.some((one) => one.enabled && one.waiting + one.sent + one.failed > 0))

  async function reload(): Promise<void> {
    await Promise.all([loadStudy(), loadDestinations()])
    version.value += 1
  }

  useLive(['Arrived', 'Settled', 'StudyDeleted', 'Delivered', 'DeliveryFailed'], () => void look(), 1000)
  onScopeDispose(() => {
    ended = true
    clearTimeout(timer)
  })
  void reload()
  return { study, destinations, error, gone, loading, version, reload, loadDestinations }
}
