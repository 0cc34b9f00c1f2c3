import { expect, test } from 'vitest'
import { merged, ways } from './merge'
import type { Rule } from './tree'

const rule = (changes: Partial<Rule> = {}) =>
  ({ name: 'ct', enabled: true, when: [], conditions: [], trigger: 'arrived', destinations: ['a'], priority: 0, hold: false, edits: [], quarantine: '', ...changes }) as unknown as Rule

test('what one side changed is taken, and only what both changed is asked', () => {
  const base = rule()
  const theirs = rule({ hold: true, priority: 3, when: ['Modality=CT'], conditions: [{ keyword: 'Modality', operator: 'equals', value: 'CT' }] })
  const mine = rule({ destinations: ['b'], priority: 7 })
  const found = ways(base, theirs, mine)
  expect(found.map(({ field, changed }) => `${field} ${changed}`)).toEqual(['when theirs', 'destinations mine', 'priority both', 'hold theirs'])
  expect(merged(theirs, mine, found, { priority: 'mine' })).toMatchObject({ hold: true, destinations: ['b'], priority: 7, when: ['Modality=CT'] })
  expect(merged(theirs, mine, found, { priority: 'theirs' })).toMatchObject({ priority: 3, destinations: ['b'] })
})

test('conditions come with their sentence, and a new rule of the same name is chosen field by field', () => {
  const mine = rule({ when: ['Modality=MR'], conditions: [{ keyword: 'Modality', operator: 'equals', value: 'MR' }] })
  const found = ways(null, rule(), mine)
  expect(found.map(({ changed }) => changed)).toEqual(['both'])
  expect(merged(rule(), mine, found, { when: 'mine' }).conditions).toEqual(mine.conditions)
  expect(merged(rule(), mine, found, { when: 'theirs' }).conditions).toEqual([])
})
