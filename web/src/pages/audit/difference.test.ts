import { expect, test } from 'vitest'
import { differences } from './difference'

test('fields are compared by their path, whatever side they are on', () => {
  const found = differences({ host: 'a', port: 104, old: true }, { host: 'b', port: 104, tls: { on: false } })
  expect(found.map((one) => [one.path, one.before, one.after, one.changed])).toEqual([
    ['host', 'a', 'b', true],
    ['port', '104', '104', false],
    ['old', 'true', undefined, true],
    ['tls.on', undefined, 'false', true],
  ])
})

test('a value that is no object is one field, texts of a list stand one a line, and none is none', () => {
  expect(differences(null, ['x', 'y'])).toEqual([{ path: '', before: undefined, after: 'x\ny', changed: true }])
  expect(differences(null, [1, []])[0]?.after).toBe('[1,[]]')
  expect(differences(null, undefined)).toEqual([])
})
