import { onScopeDispose, readonly, ref } from 'vue'
import { api } from '@/api'
import { checkConnection, useConnection } from './useConnection'
import { useSession } from './useSession'

/** One fact, as /api/v1/changes has it. */
export interface Change {
  id: number
  kind: string
  at: string
  data: Record<string, unknown>
}

export type LiveState = 'off' | 'connecting' | 'live'

/** Hidden tabs give their connection back: a browser has six for all tabs of a server. */
const HIDDEN_MILLISECONDS = 30_000
/** Between two pages that are both live the connection stays. */
const IDLE_MILLISECONDS = 2000
const FIRST_DELAY = 1000
const state = ref<LiveState>('off')
const handlers = new Map<string, Set<(change: Change) => void>>()
const resets = new Set<() => void>()
let source: EventSource | null = null
let last = 0
let delay = FIRST_DELAY
let failures = 0
let timer: ReturnType<typeof setTimeout> | undefined
let hiding: ReturnType<typeof setTimeout> | undefined

function receive(event: Event): void {
  if (!(event instanceof MessageEvent)) return
  const change = JSON.parse(String(event.data)) as Change
  last = change.id
  for (const handler of handlers.get(change.kind) ?? []) handler(change)
}

function open(): void {
  clearTimeout(timer)
  if (source || resets.size === 0 || document.hidden || !useSession().signedIn.value) return
  state.value = 'connecting'
  const stream = new EventSource('/api/v1/events' + (last ? `?after=${last}` : ''))
  source = stream
  stream.onopen = () => {
    state.value = 'live'
    delay = FIRST_DELAY
    // Nothing was received before the cut, so there is no position to go on from.
    if (failures && !last) tellReset()
    failures = 0
  }
  stream.addEventListener('reset', () => {
    last = 0
    close()
    tellReset()
    open()
  })
  stream.onerror = () => {
    // The browser would try again by itself after a cut, but not after a refusal; here both end up the same.
    close()
    state.value = 'connecting'
    checkConnection()
    failures += 1
    // The stream does not say why it is refused; this says it when the session has ended, and opens the dialog.
    if (failures === 2) api.get('/session').catch(() => undefined)
    timer = setTimeout(open, delay)
    delay = Math.min(delay * 2, 15_000)
  }
  for (const kind of handlers.keys()) stream.addEventListener(kind, receive)
}

function tellReset(): void {
  for (const handler of resets) handler()
}

function close(): void {
  clearTimeout(timer)
  source?.close()
  source = null
  state.value = 'off'
}

document.addEventListener('visibilitychange', () => {
  clearTimeout(hiding)
  if (document.hidden) hiding = setTimeout(close, HIDDEN_MILLISECONDS)
  else open()
})

// The server answers again: follow it at once, not after the pause that has grown meanwhile.
useConnection().onBack(() => {
  delay = FIRST_DELAY
  if (!source) open()
})

/** Begin anew, after signing in or out or another institute: the rights may be others. */
export function restartLive(): void {
  close()
  open()
}

/**
 * Follow facts while the component lives: `useLive(['Arrived', 'Settled'], () => reload())`.
 *
 * The handler gets the facts of `gather` milliseconds at once (a busy receiver makes hundreds a second); it is called
 * without any after a gap that cannot be filled: load anew then. One connection serves all; it resumes where it was.
 */
export function useLive(kinds: string[], handler: (changes: Change[]) => void, gather = 400) {
  let gathered: Change[] = []
  let due: ReturnType<typeof setTimeout> | undefined
  const flush = () => {
    due = undefined
    const changes = gathered
    gathered = []
    handler(changes)
  }
  const take = (change: Change) => {
    if (gathered.length < 1000) gathered.push(change)
    due ??= setTimeout(flush, gather)
  }
  const reset = () => handler([])
  for (const kind of kinds) {
    if (!handlers.has(kind)) {
      handlers.set(kind, new Set())
      source?.addEventListener(kind, receive)
    }
    handlers.get(kind)?.add(take)
  }
  resets.add(reset)
  open()
  onScopeDispose(() => {
    clearTimeout(due)
    resets.delete(reset)
    for (const kind of kinds) handlers.get(kind)?.delete(take)
    setTimeout(() => {
      if ([...handlers.values()].every((set) => set.size === 0)) close()
    }, IDLE_MILLISECONDS)
  })
  return { state: readonly(state) }
}

/** For the shell: whether pages are live. */
export const liveState = readonly(state)
