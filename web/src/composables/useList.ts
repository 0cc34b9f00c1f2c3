import { computed, onScopeDispose, readonly, ref, shallowRef, watch, type WatchSource } from 'vue'
import { api, asApiError, type ApiError, type Page } from '@/api'

export type ListState = 'idle' | 'loading' | 'empty' | 'error' | 'done'

/**
 * A list that comes in pages: `const list = useList(() => api.get('/studies', { query: query.value }), query)`.
 *
 * Loads at once and whenever a source changes; `more()` follows `next`; `refresh()` loads the first page anew without
 * emptying the list. An answer to an earlier question never replaces a later one. `kept`: pages that were loaded before
 * (somebody came back by Back); then nothing is loaded at the start.
 */
export function useList<T>(
  first: (signal: AbortSignal) => Promise<Page<T>>, sources?: WatchSource | WatchSource[], { kept }: { kept?: { items: T[]; next: string | null } } = {},
) {
  const items = shallowRef<T[]>([])
  const state = ref<ListState>('idle')
  const error = shallowRef<ApiError | null>(null)
  const next = ref<string | null>(null)
  const loadingMore = ref(false)
  let current: AbortController | null = null

  async function load(quiet: boolean): Promise<void> {
    current?.abort()
    const mine = (current = new AbortController())
    loadingMore.value = false
    if (!quiet) state.value = 'loading'
    try {
      const page = await first(mine.signal)
      if (mine !== current) return
      items.value = page.items
      next.value = page.next ?? null
      error.value = null
      state.value = page.items.length ? 'done' : 'empty'
    } catch (thrown) {
      if (mine !== current) return
      error.value = asApiError(thrown)
      if (!quiet || items.value.length === 0) state.value = 'error'
    }
  }

  async function more(): Promise<void> {
    const from = next.value
    const mine = current
    if (!from || loadingMore.value) return
    loadingMore.value = true
    try {
      const page = await api.follow<T>(from, mine?.signal)
      if (mine !== current) return
      items.value = [...items.value, ...page.items]
      next.value = page.next ?? null
    } catch (thrown) {
      if (mine === current) error.value = asApiError(thrown)
    } finally {
      if (mine === current) loadingMore.value = false
    }
  }

  const reload = () => load(false)
  /** Only while nobody has scrolled on: a page that grows under the hands is no help. */
  const refresh = () => load(true)
  if (sources) watch(sources, () => void load(items.value.length > 0), { deep: true })
  if (kept) {
    items.value = kept.items
    next.value = kept.next
    state.value = kept.items.length ? 'done' : 'empty'
    current = new AbortController()
  } else void reload()
  onScopeDispose(() => current?.abort())

  return { items, state, error, next: readonly(next), hasMore: computed(() => next.value !== null), loadingMore, more, reload, refresh }
}
