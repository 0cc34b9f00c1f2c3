import { onScopeDispose, shallowRef, toValue, type MaybeRefOrGetter } from 'vue'
import { api, asApiError, type ApiError, type Schemas } from '@/api'

export type Fetch = Schemas['FetchOut']
const RUNNING = new Set(['waiting', 'running'])
const SOON = 700
const MOST = 5000

export const isRunning = (fetch: Fetch) => RUNNING.has(fetch.state)
/** The study that a fetch is of. */
export const studyOf = (fetch: Fetch) => fetch.uids[0]?.split('/')[0] ?? ''

/** Fetches from a node: order, follow until they have ended, stop. Those of before are there after a reload, too. */
export function useFetches(node: MaybeRefOrGetter<string>) {
  const fetches = shallowRef<Fetch[]>([])
  const error = shallowRef<ApiError | null>(null)
  let timer: ReturnType<typeof setTimeout> | undefined
  let pause = SOON
  let ended = false

  async function look(): Promise<void> {
    clearTimeout(timer)
    try {
      const page = await api.get('/nodes/{name}/fetch', { path: { name: toValue(node) }, query: { limit: 100 } })
      const moved = JSON.stringify(page.items) !== JSON.stringify(fetches.value)
      fetches.value = page.items
      error.value = null
      pause = moved ? SOON : Math.min(pause * 1.5, MOST)
    } catch (thrown) {
      error.value = asApiError(thrown)
      pause = MOST
    }
    if (!ended && (error.value ? fetches.value.length : fetches.value.some(isRunning))) timer = setTimeout(() => void look(), pause)
  }
  async function order(uid: string): Promise<void> {
    await api.post('/nodes/{name}/fetch', { path: { name: toValue(node) }, body: { uids: [uid], how: 'auto' } })
    pause = SOON
    await look()
  }
  async function stop(fetch: Fetch): Promise<void> {
    await api.delete('/nodes/{name}/fetch/{fetch_id}', { path: { name: toValue(node), fetch_id: fetch.id } })
    pause = SOON
    await look()
  }
  void look()
  onScopeDispose(() => {
    ended = true
    clearTimeout(timer)
  })
  return { fetches, error, order, stop }
}
