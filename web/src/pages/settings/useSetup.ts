import { useDebounceFn } from '@vueuse/core'
import { computed, ref, shallowRef, watch } from 'vue'
import { ApiError, asApiError, raw, urlOf, type Schemas } from '@/api'

export type SetupResult = Schemas['SetupResult']

/** One thing that is wrong in the text; `line` 0: with no single line. */
export interface Problem {
  line: number
  where: string
  message: string
}

export interface Options {
  prune: boolean
  seal: boolean
  invite: boolean
  settings: boolean
}

/** Bring the instance to what a document says (`dryRun`: only say what would change). `expected`: the state of that look. Throws ApiError. */
export async function applyDocument(text: string, options: Options, { dryRun = false, expected = '', signal = undefined as AbortSignal | undefined } = {}): Promise<SetupResult> {
  const url = urlOf('/setup', { query: { dry_run: dryRun, ...options, expected } })
  const answer = await raw('POST', url, { body: new Blob([text], { type: 'application/yaml' }), signal })
  return (await answer.json()) as SetupResult
}
/** Changes that are made; the others are only named. */
export const realChanges = (result: SetupResult | null) => result?.changes.filter((one) => one.change !== 'unmanaged' && one.change !== 'named') ?? []

/** The lines that a refusal names. */
export function problemsIn(error: ApiError | null): Problem[] {
  if (!error || !Array.isArray(error.details)) return []
  return error.details.flatMap((one: unknown) => {
    if (typeof one !== 'object' || one === null || !('message' in one)) return []
    const line = 'line' in one && typeof one.line === 'number' ? one.line : 0
    return [{ line, where: 'where' in one ? String(one.where) : '', message: String(one.message) }]
  })
}

/** The one file: what is in force, the text that somebody edits, what it would change (looked at after each pause), applying it. */
export function useSetup(options: Options, mayEdit: () => boolean) {
  const inForce = ref('')
  const text = ref('')
  const result = shallowRef<SetupResult | null>(null)
  /** What was applied last, and when. */
  const done = shallowRef<{ result: SetupResult; at: number } | null>(null)
  const error = shallowRef<ApiError | null>(null)
  const busy = ref<'load' | 'check' | 'apply' | ''>('')
  const problems = computed(() => problemsIn(error.value))
  const changed = computed(() => text.value !== inForce.value)
  let asked = new AbortController()

  async function attempt<T>(what: 'load' | 'check' | 'apply', call: (signal: AbortSignal) => Promise<T>): Promise<T | undefined> {
    asked.abort()
    const mine = (asked = new AbortController())
    busy.value = what
    try {
      const found = await call(mine.signal)
      if (mine === asked) error.value = null
      return found
    } catch (thrown) {
      if (mine === asked) error.value = asApiError(thrown)
      return undefined
    } finally {
      if (mine === asked) busy.value = ''
    }
  }

  /** Read what is in force; the text follows, unless somebody has changed it. */
  const load = (replace = false) =>
    attempt('load', async () => {
      const answer = await raw('GET', urlOf('/setup', { query: { format: 'yaml' } }), { headers: { Accept: 'application/yaml' } })
      const found = await answer.text()
      if (replace || !changed.value) text.value = found
      inForce.value = found
    })

  const check = () =>
    attempt('check', async (signal) => {
      const found = await applyDocument(text.value, options, { dryRun: true, signal })
      if (!signal.aborted) result.value = found
    })
  const checkSoon = useDebounceFn(() => {
    if (changed.value && text.value && mayEdit()) void check()
  }, 600)
  watch([text, options], () => {
    // What is shown was of another text: it stays to be read, and cannot be applied any more.
    result.value = null
    if (busy.value === 'apply' || busy.value === 'load') return
    asked.abort()
    busy.value = ''
    if (changed.value) done.value = null
    else error.value = null
    void checkSoon()
  })

  /** Make exactly the difference that was looked at. */
  const apply = () =>
    attempt('apply', async () => {
      const applied = await applyDocument(text.value, options, { expected: result.value?.state })
      done.value = { result: applied, at: Date.now() }
      return applied
    }).then(async (applied) => {
      if (applied) await load(true)
      return applied
    })

  return { inForce, text, result, done, error, problems, busy, changed, load, check, apply }
}
