import { useRoute } from 'vue-router'
import { onScopeDispose, watch } from 'vue'

const LISTS = 8
const kept = new Map<string, unknown>()

const entry = (name: string) => `${String((history.state as { position?: number } | null)?.position)} ${location.pathname}${location.search} ${name}`

/**
 * What a part of a page should find again when somebody comes back to it by Back or Forward: kept by the entry of the browser's
 * history, so that a link to the same page begins anew. `take` is asked for what is to be kept when the part goes away.
 */
export function usePlace<T>(name: string, take: () => T | undefined): T | undefined {
  const route = useRoute()
  const path = route.path
  // When a part goes away, the address is that of the next page already.
  let mine = entry(name)
  const found = kept.get(mine) as T | undefined
  kept.delete(mine)
  watch(() => route.fullPath, () => {
    if (route.path === path) mine = entry(name)
  }, { flush: 'sync' })
  onScopeDispose(() => {
    const value = take()
    if (value === undefined) return
    kept.set(mine, value)
    for (const key of kept.keys()) {
      if (kept.size <= LISTS) break
      kept.delete(key)
    }
  })
  return found
}
