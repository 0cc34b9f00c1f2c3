import { useDebounceFn } from '@vueuse/core'
import { computed, ref, shallowRef, watch, type Ref } from 'vue'
import { api, type Schemas } from '@/api'
import type { Counted, FacetName } from './facetLines'

/** What is asked for: the search without order and pages. */
export type Question = Record<string, string>
const WHOLE_MS = 60_000

/**
 * How many studies a search finds, and how they divide. All menus are counted once, when the page opens; after that only the
 * total, and the menu that is open or about to be: what nobody looks at costs the server nothing.
 */
export function useFacets(asked: Readonly<Ref<Question>>) {
  const total = shallowRef<{ n: number; more: boolean } | null>(null)
  const understood = shallowRef<{ of: string; terms: Schemas['TermOut'][] }>({ of: '', terms: [] })
  const counted = shallowRef(new Map<string, Counted>())
  /** The menu that is open. */
  const opened = ref<FacetName | ''>('')
  let whole = { at: 0, narrowed: false }
  /** Counted since something arrived. */
  let recent = new Set<string>()
  const underway = new Set<string>()

  /** Which search a facet is counted for: it is counted as if it did not narrow. */
  const keyOf = (name: string, question = asked.value) => JSON.stringify({ ...question, [name]: '' })
  const isCurrent = (name: string) => counted.value.get(name)?.of === keyOf(name)

  async function ask(facet: string | undefined): Promise<void> {
    const question = asked.value
    const key = `${facet ?? ''} ${JSON.stringify(question)}`
    if (underway.has(key)) return
    underway.add(key)
    try {
      const answer = await api.get('/study-facets', { query: { ...question, facet } })
      if (asked.value === question) {
        total.value = { n: answer.total, more: answer.more }
        understood.value = { of: question.q ?? '', terms: answer.understood }
      }
      counted.value = new Map([...counted.value, ...answer.facets.map((one): [string, Counted] => [one.name, { ...one, of: keyOf(one.name, question) }])])
      for (const { name } of answer.facets) recent.add(name)
      if (!facet) whole = { at: Date.now(), narrowed: Object.values(question).some(Boolean) }
    } catch {
      if (asked.value === question) total.value = null // the list says what is wrong
    } finally {
      underway.delete(key)
    }
  }

  /** All menus when they were counted long ago, or of a narrow search that has become wider. */
  function count(): Promise<void> {
    const wide = !Object.values(asked.value).some(Boolean)
    const anew = !counted.value.size || total.value?.n === 0 || Date.now() - whole.at > WHOLE_MS || (wide && whole.narrowed)
    return ask(anew ? undefined : opened.value || 'total')
  }
  /** A menu is open, or the hand is on its way to it. */
  function look(name: FacetName): void {
    if (!isCurrent(name) || !recent.has(name)) void ask(name)
  }
  /** Something has arrived or gone. */
  function outdated(): Promise<void> {
    recent = new Set()
    return count()
  }
  watch(asked, useDebounceFn(() => void count(), 150), { immediate: true })

  return {
    total, counted, opened, keyOf, look, outdated,
    understood: computed(() => (understood.value.of === asked.value.q ? understood.value.terms : [])),
  }
}
