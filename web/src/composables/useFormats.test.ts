import { describe, expect, it } from 'vitest'
import { personName, plainText } from './useFormats'

describe('personName', () => {
  it.each([
    ['Doe^Jane', 'Doe, Jane'],
    ['Doe^Jane^Ann^Dr.^Jr.', 'Doe, Dr. Jane Ann, Jr.'],
    ['Yamada^Tarou=山田^太郎=やまだ^たろう', 'Yamada, Tarou'],
    ['=山田^太郎', '山田, 太郎'],
    ['^^^^', ''],
    ['', ''],
    ['<b>x</b>', '<b>x</b>'],
  ])('%s', (value, expected) => expect(personName(value)).toBe(expected))

  it('drops controls and marks that turn the reading', () => {
    expect(personName('\u202egnp.exe^Mallory\u0000')).toBe('gnp.exe, Mallory')
    expect(plainText('\u2066a\u2069\u001b[31m')).toBe('a[31m')
  })
})
