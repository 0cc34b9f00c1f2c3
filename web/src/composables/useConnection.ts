import { readonly, ref } from 'vue'

/** Whether the server answers, and how far the clock of this browser is from its own. */
const reachable = ref(true)
/** Milliseconds to add to the clock of this browser; 0 when they agree to two seconds (the header has whole ones). */
const skew = ref(0)
/** A server that takes the call and says nothing is away too. */
const PATIENCE_MILLISECONDS = 10_000
let retry: ReturnType<typeof setTimeout> | undefined
const back = new Set<() => void>()

/** Told by the fetch wrapper at each answer. */
export function noteAnswer(answer: Response): void {
  const date = Date.parse(answer.headers.get('Date') ?? '')
  if (!Number.isNaN(date)) {
    const difference = date + 500 - Date.now()
    skew.value = Math.abs(difference) > 2000 ? difference : 0
  }
  // A proxy answers for a server that is away.
  if (answer.status === 502 && !answer.headers.get('Content-Type')?.includes('json')) noteSilence()
  else comeBack()
}

/** Told by the fetch wrapper and the live stream when no answer came. */
export function noteSilence(): void {
  reachable.value = false
  retry ??= setTimeout(() => void knock(), 1500)
}

/** Told when a stream ended without a word: the server may be away, or have ended it. */
export function checkConnection(): void {
  void knock()
}

// The browser knows before any answer is missing; and that the network is back does not mean that the server answers.
window.addEventListener('offline', noteSilence)
window.addEventListener('online', checkConnection)

async function knock(): Promise<void> {
  clearTimeout(retry)
  retry = undefined
  try {
    await fetch('/api/v1/health/live', { cache: 'no-store', signal: AbortSignal.timeout(PATIENCE_MILLISECONDS) }).then(noteAnswer)
  } catch {
    noteSilence()
  }
}

function comeBack(): void {
  if (reachable.value) return
  reachable.value = true
  clearTimeout(retry)
  retry = undefined
  for (const handler of back) handler()
}

/** Now, by the clock of the server, in milliseconds. */
export function serverNow(): number {
  return Date.now() + skew.value
}

export function useConnection() {
  return {
    reachable: readonly(reachable),
    skew: readonly(skew),
    /** Called when the server answers again; gives what takes it off. */
    onBack(handler: () => void): () => void {
      back.add(handler)
      return () => back.delete(handler)
    },
  }
}
