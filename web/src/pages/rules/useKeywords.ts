import { computed, shallowRef } from 'vue'
import { useI18n } from 'vue-i18n'
import { api, type Schemas } from '@/api'
import type { Operator } from './tree'

export type Keyword = Schemas['KeywordOut']
const found = shallowRef<Keyword[]>([])
let asked = 0
const FRESH = 300_000

/** What a condition can ask for, with the meaning in the language of the person. One answer for all editors of the page. */
export function useKeywords() {
  const { t, te } = useI18n({ useScope: 'global' })
  if (Date.now() - asked > FRESH) {
    asked = Date.now()
    api.get('/rule-keywords').then(
      ({ items }) => (found.value = items),
      () => (asked = 0),
    )
  }
  const meaning = (one: Keyword) => (te(`rules.keyword.${one.keyword}`) ? t(`rules.keyword.${one.keyword}`) : one.meaning)
  const known = computed(() => new Map(found.value.map((one) => [one.keyword, one])))
  return {
    known,
    meaning,
    items: computed(() => found.value.map((one) => ({ label: one.keyword, value: one.keyword, description: meaning(one) }))),
    operators: (keyword: string) => (known.value.get(keyword)?.operators ?? ['equals', 'in', 'wildcard', 'range', 'regex']) as Operator[],
    values: (keyword: string) => known.value.get(keyword)?.values ?? [],
  }
}
