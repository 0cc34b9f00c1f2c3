import { computed, ref } from 'vue'
import { api, type Schemas } from '@/api'
import { usePlace } from '@/components/listPlaces'
import { useList } from '@/composables/useList'
import { useLive } from '@/composables/useLive'
import { useRouteFilters } from '@/composables/useRouteFilters'
import { useFacets } from './useFacets'

export type Study = Schemas['StudyOut']
type Within = '' | 'day' | 'week' | 'month' | 'year'
type Sort = 'received' | 'date' | 'name' | 'accession'
interface Kept {
  items: Study[]
  next: string | null
}

const PAGE = 200
export const FILTERS = {
  q: '', modality: [] as string[], state: [] as string[], dated: '', received: '', calling_aet: '', called_aet: '', institute: '',
}

/** The list of studies: filters in the address, pages, facets, and what is new since it was loaded. */
export function useStudies() {
  const { filters, query, active, reset } = useRouteFilters({ ...FILTERS, sort: 'received', order: 'desc' })
  /** New studies that are not shown yet: the list does not move under the hands. */
  const fresh = ref(0)
  const asked = computed(() => ({
    q: filters.q, modality: filters.modality.join(','), state: filters.state.join(','), dated: filters.dated as Within,
    received: filters.received as Within, calling_aet: filters.calling_aet, called_aet: filters.called_aet, institute: filters.institute,
  }))
  const facets = useFacets(asked)
  const ordered = computed(() => ({ sort: (filters.sort || 'received') as Sort, order: (filters.order || 'desc') as 'asc' | 'desc' }))
  const first = (signal?: AbortSignal) => api.get('/studies', { query: { ...asked.value, ...ordered.value, limit: PAGE }, signal })

  /** Back and Forward find all the pages that were loaded, and bring them up to date. */
  const kept: Kept | undefined = usePlace('studies', (): Kept | undefined => (list.state.value === 'done' ? { items: list.items.value, next: list.next.value } : undefined))
  const list: ReturnType<typeof useList<Study>> = useList<Study>(async (signal) => {
    const page = await first(signal)
    fresh.value = 0
    return page
  }, query, { kept })
  if (kept) void look()

  useLive(['Arrived', 'Settled', 'StudyDeleted'], () => void look(), 1500)

  /** Look what is new: studies that are shown are brought up to date in place, new ones are only counted. */
  async function look(): Promise<void> {
    if (list.state.value === 'loading') return
    if (list.state.value !== 'done') return list.refresh()
    let page
    try {
      page = await first()
    } catch {
      return // the next fact asks again
    }
    if (list.state.value !== 'done') return
    const now = new Map(page.items.map((study) => [study.study_instance_uid, study]))
    const whole = !page.next
    const shown = list.items.value.filter((study) => !whole || now.has(study.study_instance_uid))
    const known = new Set(shown.map((study) => study.study_instance_uid))
    list.items.value = shown.map((study) => now.get(study.study_instance_uid) ?? study)
    const last = shown.at(-1)
    const edge = page.items.findIndex((study) => study.study_instance_uid === last?.study_instance_uid)
    const within = edge < 0 ? page.items : page.items.slice(0, edge)
    fresh.value = (whole ? page.items : within).filter((study) => !known.has(study.study_instance_uid)).length
    void facets.outdated()
  }

  /** Take studies off the list at once; gives what puts them back. */
  function takeOff(uids: readonly string[]): () => void {
    const before = list.items.value
    const gone = new Set(uids)
    list.items.value = before.filter((study) => !gone.has(study.study_instance_uid))
    if (!list.items.value.length) list.state.value = 'empty'
    return () => {
      list.items.value = before
      list.state.value = 'done'
    }
  }

  const narrowing = computed(() => active.value - (filters.sort !== 'received' ? 1 : 0) - (filters.order !== 'desc' ? 1 : 0))
  return { filters, query, reset, narrowing, facets, fresh, list, look, takeOff }
}
