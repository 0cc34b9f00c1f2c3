import { onScopeDispose, ref, shallowRef } from 'vue'
import { api, asApiError, type ApiError, type Schemas } from '@/api'

export type Replay = Schemas['ReplayOut']
export interface NodeChange {
  node: string
  studies_before: number
  studies_after: number
  instances_before: number
  instances_after: number
  gained: number
  lost: number
}
export interface ReplayResult {
  before_version: number
  after_version: number
  since: string
  studies: number
  instances: number
  changed: number
  nodes: NodeChange[]
  examples: { study_instance_uid: string; before: Record<string, number>; after: Record<string, number> }[]
  problems: Record<string, string>
}
const OPEN = new Set(['waiting', 'running'])
const PAUSE = 700

export const isOpen = (replay: Replay) => OPEN.has(replay.state)

/** Replays: order one, follow it, stop it; those of before can be looked at again. */
export function useReplay() {
  const replay = shallowRef<Replay | null>(null)
  const earlier = shallowRef<Replay[]>([])
  const error = shallowRef<ApiError | null>(null)
  const busy = ref(false)
  let timer: ReturnType<typeof setTimeout> | undefined
  let ended = false

  async function follow(id: string): Promise<void> {
    clearTimeout(timer)
    try {
      replay.value = await api.get('/rule-replays/{replay_id}', { path: { replay_id: id } })
      error.value = null
      if (!isOpen(replay.value)) await list()
    } catch (thrown) {
      error.value = asApiError(thrown)
    }
    if (!ended && replay.value && isOpen(replay.value)) timer = setTimeout(() => void follow(id), PAUSE)
  }
  async function list(): Promise<void> {
    earlier.value = (await api.get('/rule-replays')).items
  }
  async function order(days: number, version: string): Promise<void> {
    busy.value = true
    error.value = null
    try {
      replay.value = await api.post('/rule-replays', { body: { days, version } })
      await follow(replay.value.id)
    } catch (thrown) {
      error.value = asApiError(thrown)
    } finally {
      busy.value = false
    }
  }
  async function stop(): Promise<void> {
    if (!replay.value) return
    await api.delete('/rule-replays/{replay_id}', { path: { replay_id: replay.value.id } }).catch((thrown: unknown) => (error.value = asApiError(thrown)))
    await follow(replay.value.id)
  }
  list().catch(() => undefined)
  onScopeDispose(() => {
    ended = true
    clearTimeout(timer)
  })
  return { replay, earlier, error, busy, order, follow, stop }
}
