import { useIntervalFn } from '@vueuse/core'
import { computed, shallowRef } from 'vue'
import { api, type Schemas } from '@/api'
import { useList } from '@/composables/useList'
import { useLive } from '@/composables/useLive'
import { useRouteFilters } from '@/composables/useRouteFilters'
import { TABS, type Group, type Outlook, type Tab } from './states'

/** One line of the list: a study on its way to one destination. */
export interface Line {
  key: string
  study: Schemas['StudyShownOut']
  group: Group
  /** The first line of its study shows who it is. */
  first: boolean
}

const KINDS = ['Arrived', 'Settled', 'Delivered', 'DeliveryFailed']

/** The list of deliveries: its filters stand in the address, it follows what happens. */
export function useDeliveries() {
  const { filters, active, reset } = useRouteFilters({ tab: 'all', q: '', node: '', rule: '' })
  const tab = computed<Tab>(() => (filters.tab in TABS ? (filters.tab as Tab) : 'all'))
  const query = computed(() => ({
    study_instance_uid: filters.q, node: filters.node, rule_name: filters.rule, status: [...TABS[tab.value]], limit: 50,
  }))
  const list = useList((signal) => api.get('/deliveries/by-study', { query: query.value, signal }), query)
  const destinations = shallowRef<Outlook[]>([])
  const rules = shallowRef<string[]>([])

  async function loadDestinations(): Promise<void> {
    destinations.value = (await api.get('/destinations').catch(() => null))?.items ?? destinations.value
  }
  async function loadRules(): Promise<void> {
    rules.value = (await api.get('/rules', { query: { limit: 1000 } }).catch(() => null))?.items.map(({ name }) => name) ?? []
  }

  function refresh(): void {
    void loadDestinations()
    // A list that somebody has scrolled on in stays as it is.
    if (list.items.value.length <= 50) void list.refresh()
  }
  const lines = computed<Line[]>(() =>
    list.items.value.flatMap(({ study, destinations }) =>
      destinations.map((group, place) => ({ key: `${study.study_instance_uid} ${group.node} ${place}`, study, group, first: place === 0 })),
    ),
  )
  const sums = computed(() => {
    const add = (count: (one: Outlook) => number) => destinations.value.reduce((sum, one) => sum + count(one), 0)
    return { all: 0, done: 0, underway: add((one) => one.waiting + one.sent + one.failed + one.away), attention: add((one) => one.dead), held: add((one) => one.held) }
  })

  void loadDestinations()
  useLive(KINDS, refresh, 1500)
  useIntervalFn(refresh, 15_000)
  return { filters, active, reset, tab, list, lines, sums, destinations, rules, loadRules, refresh }
}
