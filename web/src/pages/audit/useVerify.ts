import { computed, onScopeDispose, ref, shallowRef } from 'vue'
import { ApiError, asApiError, raw } from '@/api'

/** What a check of the audit found. */
export interface VerifyResult {
  ok: boolean
  entries: number
  anchors: number
  retirements: number
  head: string
  problem_count: number
  problems: { kind: string; entry_id: number | null; explanation: string }[]
}

type Line = { entries: number; total: number } | { result: VerifyResult } | { error: string }

/** Walk the chains of the audit on the server; `done` of `total` entries while it goes on. */
export function useVerify() {
  const running = ref(false)
  const done = ref(0)
  const total = ref(0)
  const result = shallowRef<VerifyResult | null>(null)
  const error = shallowRef<ApiError | null>(null)
  let stopping = new AbortController()

  function take(line: Line): void {
    if ('result' in line) result.value = line.result
    else if ('error' in line) error.value = new ApiError({ status: 0, code: 'interrupted', message: line.error })
    else {
      done.value = line.entries
      total.value = line.total
    }
  }

  async function start(): Promise<void> {
    stopping = new AbortController()
    running.value = true
    result.value = error.value = null
    done.value = total.value = 0
    try {
      const answer = await raw('POST', '/api/v1/audit/verify', { signal: stopping.signal })
      for await (const line of lines(answer)) take(JSON.parse(line) as Line)
    } catch (failure) {
      if (!stopping.signal.aborted) error.value = asApiError(failure)
    } finally {
      running.value = false
    }
  }

  const stop = () => stopping.abort()
  onScopeDispose(stop)
  const share = computed(() => (total.value ? Math.min(1, done.value / total.value) : 0))
  return { running, done, total, share, result, error, start, stop }
}

/** The lines of an answer as they come. */
export async function* lines(answer: Response): AsyncGenerator<string> {
  const reader = answer.body?.pipeThrough(new TextDecoderStream()).getReader()
  let rest = ''
  for (;;) {
    const piece = await reader?.read()
    if (!piece || piece.done) break
    const parts = (rest + piece.value).split('\n')
    rest = parts.pop() ?? ''
    for (const line of parts) if (line) yield line
  }
  if (rest) yield rest
}
