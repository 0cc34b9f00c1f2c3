import { expect, test } from 'vitest'
import { pieces, sideBySide } from './lines'

const words = (before: string, after: string) =>
  sideBySide(before, after).map((row) => `${row.kind} ${row.left?.number ?? '-'}:${row.left?.text ?? ''} ${row.right?.number ?? '-'}:${row.right?.text ?? ''}`)

test('a changed, an added and a removed line keep their numbers', () => {
  expect(words('a\nb\nc\nd\n', 'a\nB\nc\nx\nd\n')).toEqual(['same 1:a 1:a', 'changed 2:b 2:B', 'same 3:c 3:c', 'added -: 4:x', 'same 4:d 5:d'])
  expect(words('a\nb\n', 'a\n')).toEqual(['same 1:a 1:a', 'removed 2:b -:'])
})

test('every line of both sides is there once, whatever the texts are', () => {
  const texts = ['', 'a', 'a\nb\na\nb', 'b\na\nb', 'x\n'.repeat(50), `${'x\n'.repeat(25)}y\n${'x\n'.repeat(24)}`]
  for (const before of texts) {
    for (const after of texts) {
      const rows = sideBySide(before, after)
      const joined = (side: 'left' | 'right') => rows.flatMap((row) => (row[side] ? [row[side].text] : [])).join('\n')
      expect(joined('left')).toBe(before.replace(/\n$/, ''))
      expect(joined('right')).toBe(after.replace(/\n$/, ''))
    }
  }
})

test('equal lines far from a change are counted, not shown', () => {
  const many = Array.from({ length: 100 }, (_, index) => `line ${index}`)
  const found = pieces(sideBySide(many.join('\n'), [...many.slice(0, 50), 'new', ...many.slice(51)].join('\n')))
  expect(found.map((piece) => piece.hidden || piece.rows.length)).toEqual([47, 7, 46])
})
