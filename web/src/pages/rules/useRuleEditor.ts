import { useDebounceFn } from '@vueuse/core'
import { computed, reactive, ref, shallowRef, watch } from 'vue'
import { api, ApiError, asApiError, type Schemas } from '@/api'
import { said } from '@/said'
import { differences } from './sentence'
import { emptyGroup, placed, readConditions, writeConditions, type Complaint, type Group, type Json, type Rule } from './tree'
import { setOf } from './useRuleSets'

export interface Fields {
  name: string
  enabled: boolean
  trigger: Rule['trigger']
  quiet_seconds: number | null
  destinations: string[]
  mode: string
  priority: number
  hold: boolean
  edits: Record<string, Json>[]
  quarantine: string
  root: Group
}
export type Written = { [key: string]: Json }
/** Somebody else saved this rule meanwhile: their version (null: removed it), who and when, and where the draft is by now. */
export interface Conflict {
  theirs: Rule | null
  who: string[]
  when: string | null
  revision: number
}
type SetOf = Awaited<ReturnType<typeof setOf>>
type Edit = { who: string; when: string; rules: string[] }

const EMPTY = (): Fields => ({
  name: '', enabled: true, trigger: 'arrived', quiet_seconds: null, destinations: [], mode: 'all', priority: 0, hold: false,
  edits: [], quarantine: '', root: emptyGroup(),
})

/** The JSON of a rule as people write it: what has its usual value is left out. */
export function written(fields: Fields): { rule: Written; places: Map<string, number> } {
  const { conditions, places } = writeConditions(fields.root)
  const { root: _, ...rest } = fields
  const usual = EMPTY()
  const always = new Set(['name', 'trigger', 'destinations'])
  const kept = Object.entries(rest).filter(([key, value]) => always.has(key) || JSON.stringify(value) !== JSON.stringify(usual[key as keyof Fields]))
  const rule: Written = { ...(Object.fromEntries(kept) as Written), conditions }
  if (rule.quarantine && fields.destinations.length === 0) delete rule.destinations
  return { rule, places }
}

/** The form of one rule of the draft (of the active set while there is no draft): checked while it is written, saved into the draft. */
export function useRuleEditor(name: string | undefined) {
  const fields = reactive<Fields>(EMPTY())
  const base = shallowRef<Rule | null>(null)
  const revision = ref<number | null>(null)
  const hasDraft = ref(false)
  const hasRules = ref(false)
  /** The active version that the form was filled from, while there was no draft. */
  const seen = ref(0)
  const loading = ref(true)
  const error = shallowRef<ApiError | null>(null)
  const saved = ref('')
  const told = shallowRef<Complaint[]>([])
  const complaints = computed(() => told.value.map((one) => ({ ...one, message: said(one.message) })))
  const checked = shallowRef<Rule | null>(null)
  const checking = ref(false)
  const conflict = shallowRef<Conflict | null>(null)
  const json = computed(() => written(fields))
  const text = computed(() => JSON.stringify(json.value.rule))
  const dirty = computed(() => text.value !== saved.value)
  const marks = computed(() => placed(complaints.value, json.value.places))
  const errors = computed(() => complaints.value.filter(({ level }) => level === 'error'))

  function fill(rule: Written | Rule): void {
    const data = rule as Partial<Fields> & { conditions?: Json[] }
    const usual = EMPTY()
    const { conditions, ...rest } = data
    const known = Object.fromEntries(Object.entries(rest).filter(([key]) => key in usual && key !== 'root'))
    Object.assign(fields, usual, structuredClone(known), { root: readConditions(conditions ?? []) })
  }
  async function load(): Promise<void> {
    loading.value = true
    try {
      const found = (await setOf('draft')) ?? (await setOf('active'))
      hasRules.value = found !== null
      hasDraft.value = found?.set.state === 'draft'
      revision.value = hasDraft.value ? (found?.set.revision ?? null) : null
      seen.value = hasDraft.value ? 0 : (found?.set.version ?? 0)
      base.value = found?.rules.find((rule) => rule.name === name) ?? null
      if (name && !base.value) throw new ApiError({ status: 404, code: 'not_found', message: `There is no rule ${name}.` })
      fill(base.value ?? {})
      saved.value = text.value
      error.value = null
    } catch (thrown) {
      error.value = asApiError(thrown)
    } finally {
      loading.value = false
    }
  }

  let asked = 0
  /** Look at a rule that may come from the text beside the form. Gives it as it would be kept; null: it cannot be. */
  async function check(rule: Written): Promise<Rule | null> {
    const mine = ++asked
    checking.value = true
    try {
      const version = hasDraft.value ? 'draft' : hasRules.value ? 'active' : null
      const answer = await api.post('/rule-checks', { body: { rules: [rule], version, replaces: name ?? '' } })
      const kept = answer.rules[0] ?? null
      // Another look may have begun meanwhile: what is shown is of that, and this caller still gets what it asked for.
      if (mine === asked) {
        told.value = answer.problems.map((one) => ({ ...one, path: one.path.slice(1) }))
        checked.value = kept
      }
      return kept
    } catch (thrown) {
      // Saving tells it again; what is typed stays.
      if (mine === asked) told.value = [{ path: [], message: asApiError(thrown).message, level: 'warning' }]
      return null
    } finally {
      if (mine === asked) checking.value = false
    }
  }
  const checkSoon = useDebounceFn(() => check(json.value.rule), 250)
  watch([text, loading], () => void (loading.value || checkSoon()))

  /** False when the rules that the form was filled from are no longer those that decide, and this one is another there. */
  async function ensureDraft(): Promise<boolean> {
    if (hasDraft.value) return true
    try {
      const begun = await api.post('/rule-sets', { body: { note: '', of: 'active' } })
      hasDraft.value = true
      revision.value = begun.revision
      if ((begun.based_on ?? 0) === seen.value) return true
      const active = await setOf('active')
      const by = { who: active?.set.activated_by ?? '', when: active?.set.activated_at ?? '', rules: [] }
      return !clashes({ set: begun, rules: active?.rules ?? [] }, [by])
    } catch (thrown) {
      // Somebody else began one meanwhile: go on with theirs, and see whether this rule is another there.
      if (!(thrown instanceof ApiError) || thrown.status !== 409) throw thrown
      hasDraft.value = true
      revision.value = 0
      return true
    }
  }
  /** Whether this rule is another in `now` than the one that the form began with: then `conflict` is set. Else only others are, and all is well. */
  function clashes(now: SetOf, edits: Edit[]): boolean {
    const theirs = now?.rules.find((rule) => rule.name === (base.value?.name ?? fields.name)) ?? null
    if (differences(base.value, theirs).length === 0) {
      revision.value = now?.set.revision ?? null
      return false
    }
    const name = base.value?.name ?? fields.name
    const told = edits.filter(({ rules }) => rules.length === 0 || rules.includes(name))
    const here = told.some(({ rules }) => rules.length) ? told.filter(({ rules }) => rules.length) : told
    conflict.value = { theirs, who: [...new Set(here.map(({ who }) => who))].filter(Boolean), when: here.at(-1)?.when || null, revision: now?.set.revision ?? 0 }
    return true
  }
  async function send(expected: number | null): Promise<void> {
    const { rule } = json.value
    const { root: _, name: __, ...usual } = EMPTY()
    const { name: ___, ...given } = rule
    const body = { ...usual, ...given, draft: true, expected } as unknown as Omit<Schemas['RuleIn'], 'name'>
    const now = String(fields.name)
    if (!base.value) await api.post('/rules', { body: { ...body, name: now } })
    else if (now === base.value.name) await api.patch('/rules/{name}', { path: { name: now }, body })
    else {
      const before = base.value.name
      const draft = await setOf('draft')
      const rules = (draft?.rules ?? []).map((one) => (one.name === before ? rule : one)) as Schemas['RulesIn']['rules']
      await api.put('/rule-sets/{which}/rules', { path: { which: 'draft' }, body: { rules, renamed: { [now]: before }, expected } })
    }
    saved.value = text.value
  }

  /** True when it is saved; false when somebody else was faster: then `conflict` says how. Throws ApiError. */
  async function save(): Promise<boolean> {
    for (let attempt = 0; ; attempt += 1) {
      try {
        if (!(await ensureDraft())) return false
        await send(revision.value)
        return true
      } catch (thrown) {
        if (attempt === 3 || !(thrown instanceof ApiError)) throw thrown
        if (thrown.code === 'conflict') {
          const details = (thrown.details ?? {}) as { edits?: Edit[] }
          if (clashes(await setOf('draft'), details.edits ?? [])) return false
        } else if (thrown.status !== 404 || (await setOf('draft'))) {
          throw thrown
        } else {
          // The draft was activated or thrown away: a new one is begun of what is active now.
          hasDraft.value = false
          seen.value = -1
        }
      }
    }
  }
  /** After a conflict: their version is where the form goes on from, with `rule` in it (null: theirs). Until then nothing can be saved. */
  function settle(rule: Rule | null): void {
    if (!conflict.value) return
    base.value = conflict.value.theirs
    revision.value = conflict.value.revision
    fill(base.value ?? {})
    saved.value = base.value ? text.value : ''
    if (rule) fill(rule)
    conflict.value = null
  }
  void load()
  return { fields, base, hasDraft, loading, error, dirty, complaints, errors, marks, checked, checking, conflict, json, load, fill, check, save, settle }
}
