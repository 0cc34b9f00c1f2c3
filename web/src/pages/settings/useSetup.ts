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
}

/** The lines that a refusal names. */
export function problemsIn(error: ApiError | null): Problem[] {
  if (!error || !Array.isArray(error.details)) return []
  return error.details.flatMap((one: unknown) => {
    if (typeof one !== 'object' || one === null || !('message' in one)) return []
    const line = 'line' in one && typeof one.line === 'number' ? one.line : 0
    return [{ line, where: 'where' in one ? String(one.where) : '', message: String(one.message) }]
  })
}

/** The one file: what is in force, the text that somebody edits, what it would change, applying it. */
export function useSetup() {
  const inForce = ref('')
  const text = ref('')
  const result = shallowRef<SetupResult | null>(null)
  const error = shallowRef<ApiError | null>(null)
  const busy = ref<'load' | 'check' | 'apply' | ''>('')
  const problems = computed(() => problemsIn(error.value))
  watch(text, () => (result.value = null))

  async function attempt<T>(what: 'load' | 'check' | 'apply', call: () => Promise<T>): Promise<T | undefined> {
    busy.value = what
    error.value = null
    try {
      return await call()
    } catch (thrown) {
      error.value = asApiError(thrown)
      return undefined
    } finally {
      busy.value = ''
    }
  }

  /** Read what is in force; the text follows, unless somebody has changed it. */
  const load = (replace = false) =>
    attempt('load', async () => {
      const answer = await raw('GET', urlOf('/setup', { query: { format: 'yaml' } }), { headers: { Accept: 'application/yaml' } })
      const found = await answer.text()
      if (replace || text.value === inForce.value) text.value = found
      inForce.value = found
    })

  async function send(dryRun: boolean, options: Options): Promise<SetupResult> {
    const url = urlOf('/setup', { query: { dry_run: dryRun, ...options } })
    const answer = await raw('POST', url, { body: new Blob([text.value], { type: 'application/yaml' }) })
    return (await answer.json()) as SetupResult
  }
  const check = (options: Options) =>
    attempt('check', async () => {
      result.value = null
      result.value = await send(true, options)
      return result.value
    })
  const apply = (options: Options) =>
    attempt('apply', async () => {
      const done = await send(false, options)
      text.value = inForce.value
      await load(true)
      return done
    })

  return { inForce, text, result, error, problems, busy, load, check, apply }
}
