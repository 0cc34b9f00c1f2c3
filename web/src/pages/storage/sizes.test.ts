import { expect, test } from 'vitest'
import { parseSize, sizeText } from './sizes'

test('sizes as people write them', () => {
  expect(['500 GB', '1,5 tb', '2GiB', '', ' 7 '].map(parseSize)).toEqual([500e9, 1.5e12, 2 ** 31, 0, 7])
  expect(['x', '5 XB', '-1 GB', '9999999 PB', '1 GB 2'].map(parseSize)).toEqual([null, null, null, null, null])
})

test('what is shown is read again as the same', () => {
  for (const bytes of [1, 999, 1500, 512 * 2 ** 20, 123_456_789, 2e12, 1.5e12]) expect(parseSize(sizeText(bytes))).toBe(bytes)
  expect(sizeText(null)).toBe('')
})
