import { useDebounceFn } from '@vueuse/core'
import { computed, reactive, ref, shallowRef, watch } from 'vue'
import { api, ApiError, asApiError, type Schemas } from '@/api'
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
export interface Conflict {
  theirs: Rule | null
  who: string[]
  changes: string[]
  revision: number
}

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
  const loading = ref(true)
  const error = shallowRef<ApiError | null>(null)
  const saved = ref('')
  const complaints = shallowRef<Complaint[]>([])
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
  /** Look at a rule that may come from the text beside the form. Gives it as it would be kept. */
  async function check(rule: Written): Promise<Rule | null> {
    const mine = ++asked
    checking.value = true
    try {
      const version = hasDraft.value ? 'draft' : hasRules.value ? 'active' : null
      const answer = await api.post('/rule-checks', { body: { rules: [rule], version, replaces: name ?? '' } })
      if (mine !== asked) return null
      complaints.value = answer.problems.map((one) => ({ ...one, path: one.path.slice(1) }))
      checked.value = answer.rules[0] ?? null
      return checked.value
    } catch (thrown) {
      // Saving tells it again; what is typed stays.
      if (mine === asked) complaints.value = [{ path: [], message: asApiError(thrown).message, level: 'warning' }]
      return null
    } finally {
      if (mine === asked) checking.value = false
    }
  }
  const checkSoon = useDebounceFn(() => check(json.value.rule), 250)
  watch([text, loading], () => void (loading.value || checkSoon()))

  async function ensureDraft(): Promise<void> {
    if (hasDraft.value) return
    try {
      const begun = await api.post('/rule-sets', { body: { note: '', of: 'active' } })
      revision.value = begun.revision
    } catch (thrown) {
      // Somebody else began one meanwhile: go on with theirs, and see whether this rule is another there.
      if (!(thrown instanceof ApiError) || thrown.status !== 409) throw thrown
      revision.value = -1
    }
    hasDraft.value = true
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
    await ensureDraft()
    for (let attempt = 0; attempt < 3; attempt += 1) {
      try {
        await send(revision.value === -1 ? 0 : revision.value)
        return true
      } catch (thrown) {
        if (!(thrown instanceof ApiError) || thrown.code !== 'conflict') throw thrown
        const details = (thrown.details ?? {}) as { current?: number; changes?: string[]; who?: string[] }
        const now = await setOf('draft')
        const theirs = now?.rules.find((rule) => rule.name === (base.value?.name ?? fields.name)) ?? null
        revision.value = now?.set.revision ?? null
        // They changed other rules: both are kept, and nobody needs to be asked.
        if (differences(base.value, theirs).length === 0) continue
        conflict.value = { theirs, who: details.who ?? [], changes: details.changes ?? [], revision: now?.set.revision ?? 0 }
        return false
      }
    }
    return false
  }
  /** After a conflict: mine over theirs (then save), or theirs into the form. */
  function settle(keep: 'mine' | 'theirs'): void {
    base.value = conflict.value?.theirs ?? null
    if (keep === 'theirs') {
      fill(base.value ?? {})
      saved.value = text.value
    }
    conflict.value = null
  }
  void load()
  return { fields, base, hasDraft, loading, error, dirty, complaints, errors, marks, checked, checking, conflict, json, load, fill, check, save, settle }
}
