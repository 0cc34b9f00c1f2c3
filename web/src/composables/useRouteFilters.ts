import { computed, reactive, type ComputedRef } from 'vue'
import { useRoute, useRouter, type LocationQueryRaw } from 'vue-router'

export type FilterValue = string | string[] | boolean
export type FilterDefaults = Record<string, FilterValue>
type Widened<D> = { [K in keyof D]: D[K] extends boolean ? boolean : D[K] extends string[] ? string[] : string }

function read(raw: unknown, fallback: FilterValue): FilterValue {
  if (raw === undefined) return fallback
  const all = (Array.isArray(raw) ? raw : [raw]).filter((one): one is string => typeof one === 'string')
  if (Array.isArray(fallback)) return all
  return typeof fallback === 'boolean' ? all[0] === 'true' : (all[0] ?? '')
}

const same = (one: FilterValue, other: FilterValue) => JSON.stringify(one) === JSON.stringify(other)

/**
 * The filters of a page, kept in the address and nowhere else: a link shows the same, Back undoes.
 *
 * `const { filters, query, active, reset } = useRouteFilters({ q: '', modality: [] as string[] })`; assign to
 * `filters.q` to change it (several in one tick make one step). `query`: what is set, for the API.
 */
export function useRouteFilters<D extends FilterDefaults>(defaults: D) {
  const route = useRoute()
  const router = useRouter()
  const path = route.path
  let pending: Map<string, FilterValue> | null = null

  function write(name: string, value: FilterValue): void {
    if (!pending) {
      pending = new Map()
      queueMicrotask(flush)
    }
    pending.set(name, value)
  }

  function flush(): void {
    const changes = pending ?? new Map<string, FilterValue>()
    pending = null
    if (route.path !== path) return
    const query: LocationQueryRaw = { ...route.query }
    for (const [name, value] of changes) {
      if (same(value, defaults[name] ?? '')) delete query[name]
      else query[name] = typeof value === 'boolean' ? String(value) : value
    }
    void router.replace({ query, hash: route.hash })
  }

  const fields = Object.fromEntries(
    Object.entries(defaults).map(([name, fallback]) => [
      name,
      computed({ get: () => read(route.query[name], fallback), set: (value: FilterValue) => write(name, value) }),
    ]),
  )
  const filters = reactive(fields) as unknown as Widened<D>
  const changed = computed(() => Object.entries(defaults).filter(([name, fallback]) => !same(read(route.query[name], fallback), fallback)))
  const query: ComputedRef<Partial<Widened<D>>> = computed(
    () => Object.fromEntries(changed.value.map(([name, fallback]) => [name, read(route.query[name], fallback)])) as Partial<Widened<D>>,
  )

  return {
    filters,
    query,
    active: computed(() => changed.value.length),
    reset(): void {
      for (const [name, fallback] of Object.entries(defaults)) write(name, fallback)
    },
  }
}
