import { expect, test } from 'vitest'
import { isUid, newUid } from './uids'

test('what a UID is', () => {
  expect(['1.2.840.10008.1.2', '2.25.0', '1.0.3'].map(isUid)).toEqual([true, true, true])
  expect(['', '1', '1.02', '1..2', 'x', `1.${'2'.repeat(64)}`].map(isUid)).toEqual(Array(6).fill(false))
})

test('new ones are UIDs, and others each time', () => {
  const made = Array.from({ length: 50 }, newUid)
  expect(made.every(isUid)).toBe(true)
  expect(new Set(made).size).toBe(50)
})
