import { computed, onScopeDispose, ref, shallowRef } from 'vue'
import { api, asApiError, ApiError, type Schemas } from '@/api'
import { useLive } from '@/composables/useLive'
import type { Rule } from './tree'

export type RuleSet = Schemas['RuleSetOut']

/** All rules of a version: a set may have two pages of them. */
export async function rulesOf(version: string): Promise<Rule[]> {
  let page = await api.get('/rules', { query: { version, limit: 1000 } })
  const found = [...page.items]
  while (page.next) {
    page = { ...page, ...(await api.follow<Rule>(page.next)) }
    found.push(...page.items)
  }
  return found
}

/** A version by its name, with its rules; null where there is none. Its number is read first: what comes later is noticed when saving. */
export async function setOf(which: string): Promise<{ set: RuleSet; rules: Rule[] } | null> {
  try {
    const set = await api.get('/rule-sets/{which}', { path: { which } })
    return { set, rules: await rulesOf(which) }
  } catch (error) {
    if (error instanceof ApiError && error.status === 404) return null
    throw error
  }
}

/** The active set and the draft, live. */
export function useRuleSets() {
  const active = shallowRef<{ set: RuleSet; rules: Rule[] } | null>(null)
  const draft = shallowRef<{ set: RuleSet; rules: Rule[] } | null>(null)
  const problems = shallowRef<Schemas['ProblemOut'][]>([])
  const loaded = ref(false)
  const error = shallowRef<ApiError | null>(null)
  let ended = false

  async function load(): Promise<void> {
    try {
      const [now, next, failing] = await Promise.all([setOf('active'), setOf('draft'), api.get('/rule-problems')])
      if (ended) return
      active.value = now
      draft.value = next
      problems.value = failing.items
      error.value = null
      loaded.value = true
    } catch (thrown) {
      if (!ended) error.value = asApiError(thrown)
    }
  }
  void load()
  useLive(['RulesChanged', 'RuleFailed'], () => void load())
  onScopeDispose(() => (ended = true))
  const problemOf = computed(() => new Map(problems.value.map((one) => [one.rule_name, one])))
  return { active, draft, problems, problemOf, loaded, error, load }
}
