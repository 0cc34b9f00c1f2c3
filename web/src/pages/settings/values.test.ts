import { expect, test } from 'vitest'
import { asText, readValue, type Setting } from './values'

const of = (type: Setting['type']) => ({ name: 'x', type }) as Setting

test('what is typed becomes a value of its kind, and back', () => {
  expect(readValue(of('number'), ' 2,5 ')).toBe(2.5)
  expect(readValue(of('number'), '')).toBeNull()
  expect(readValue(of('number'), '5 days')).toBeNull()
  expect(readValue(of('list'), ' a@b.example\n\nc, d ')).toEqual(['a@b.example', 'c', 'd'])
  expect(asText(['a', 'b'])).toBe('a\nb')
  expect(readValue(of('text'), ' 007 ')).toBe('007')
  expect(readValue(of('yes or no'), false)).toBe(false)
})
