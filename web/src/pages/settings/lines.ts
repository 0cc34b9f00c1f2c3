/** A row of two texts side by side; a side is null where the other one has a line more. */
export interface Row {
  kind: 'same' | 'changed' | 'added' | 'removed'
  left: { number: number; text: string } | null
  right: { number: number; text: string } | null
}

/** Rows that differ with some around them, or how many equal ones were left out between. */
export type Piece = { hidden: 0; rows: Row[] } | { hidden: number; rows: [] }

/** With more differing lines than this on either side the middle is shown as one change, not compared line by line. */
const MOST = 3000

/** Pairs of equal lines of the two middles, by the longest common subsequence. */
function common(left: string[], right: string[]): [number, number][] {
  if (left.length > MOST || right.length > MOST) return []
  const width = right.length + 1
  const length = new Uint16Array((left.length + 1) * width)
  for (let row = left.length - 1; row >= 0; row--) {
    for (let column = right.length - 1; column >= 0; column--) {
      const at = row * width + column
      length[at] =
        left[row] === right[column]
          ? (length[at + width + 1] ?? 0) + 1
          : Math.max(length[at + width] ?? 0, length[at + 1] ?? 0)
    }
  }
  const pairs: [number, number][] = []
  let row = 0
  let column = 0
  while (row < left.length && column < right.length) {
    const at = row * width + column
    if (left[row] === right[column]) pairs.push([row++, column++])
    else if ((length[at + width] ?? 0) >= (length[at + 1] ?? 0)) row++
    else column++
  }
  return pairs
}

/** Two texts side by side, line by line. */
export function sideBySide(before: string, after: string): Row[] {
  const left = before.replace(/\n$/, '').split('\n')
  const right = after.replace(/\n$/, '').split('\n')
  let head = 0
  while (head < left.length && head < right.length && left[head] === right[head]) head++
  let tail = 0
  while (tail < left.length - head && tail < right.length - head && left.at(-1 - tail) === right.at(-1 - tail)) tail++
  const pairs = common(left.slice(head, left.length - tail), right.slice(head, right.length - tail))
  const rows: Row[] = []
  const side = (lines: string[], index: number) => ({ number: index + 1, text: lines[index] ?? '' })
  let row = 0
  let column = 0
  const gap = (untilRow: number, untilColumn: number) => {
    while (row < untilRow || column < untilColumn) {
      const old = row < untilRow ? side(left, row++) : null
      const fresh = column < untilColumn ? side(right, column++) : null
      rows.push({ kind: old && fresh ? 'changed' : old ? 'removed' : 'added', left: old, right: fresh })
    }
  }
  const same = () => rows.push({ kind: 'same', left: side(left, row++), right: side(right, column++) })
  while (row < head) same()
  for (const [one, other] of pairs) {
    gap(head + one, head + other)
    same()
  }
  gap(left.length - tail, right.length - tail)
  while (row < left.length) same()
  return rows
}

/** The rows that differ with `around` equal ones on either side; longer stretches of equal ones are left out. */
export function pieces(rows: Row[], around = 3): Piece[] {
  const keep = new Uint8Array(rows.length)
  rows.forEach((row, index) => {
    if (row.kind !== 'same') keep.fill(1, Math.max(0, index - around), index + around + 1)
  })
  const found: Piece[] = []
  let index = 0
  while (index < rows.length) {
    const begin = index
    const kept = keep[index]
    while (index < rows.length && keep[index] === kept) index++
    found.push(kept ? { hidden: 0, rows: rows.slice(begin, index) } : { hidden: index - begin, rows: [] })
  }
  return found
}
