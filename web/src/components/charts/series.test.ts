import { describe, expect, it } from 'vitest'
import { begin, buckets, ceiling } from './series'

const NOON = Date.UTC(2026, 10, 21, 12, 0, 30)

describe('buckets', () => {
  it('fills the gaps, adds subjects, and leaves out what is not in the span', () => {
    const points = [
      { at: '2026-11-21T11:59:00Z', value: 3 },
      { at: '2026-11-21T11:59:00Z', value: 4 },
      { at: '2026-11-21T11:00:00Z', value: 1 },
      { at: '2026-11-21T10:59:00Z', value: 100 },
      { at: '2026-11-21T12:00:00Z', value: 100 },
    ]
    const bars = buckets(points, 'hour', NOON)
    expect(bars).toHaveLength(60)
    expect(bars.at(-1)?.value).toBe(7)
    expect(bars[0]?.value).toBe(1)
    expect(bars.reduce((sum, { value }) => sum + value, 0)).toBe(8)
  })

  it('shows the running hour in a day, four hours a bar in a week', () => {
    expect(buckets([{ at: '2026-11-21T12:00:00Z', value: 2 }], 'day', NOON).at(-1)?.value).toBe(2)
    const week = buckets([{ at: '2026-11-21T12:00:00Z', value: 2 }, { at: '2026-11-21T11:00:00Z', value: 5 }], 'week', NOON)
    expect(week.slice(-2).map(({ value }) => value)).toEqual([5, 2])
    expect(NOON - begin('week', NOON)).toBeLessThanOrEqual(7 * 24 * 3_600_000)
  })
})

describe('ceiling', () => {
  it('is round and never below the highest value', () => {
    expect([0, 0.3, 1, 7, 19, 20, 501].map(ceiling)).toEqual([1, 0.5, 1, 10, 20, 20, 1000])
  })
})
