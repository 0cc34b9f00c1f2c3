import { describe, expect, it } from 'vitest'
import { linesOf, type Counted } from './facetLines'

const counted = (of: string, ...values: [string, number][]): Counted => ({ name: 'modality', of, more: false, values: values.map(([value, count]) => ({ value, count })) })
const text = (lines: ReturnType<typeof linesOf>) => lines.map(({ value, count }) => `${value} ${count ?? '?'}`)

describe('the lines of a menu', () => {
  it('are those that were counted, what is chosen among them', () => {
    expect(text(linesOf(counted('a', ['CT', 3], ['MR', 1]), 'a', ['SR']))).toEqual(['SR 0', 'CT 3', 'MR 1'])
    expect(text(linesOf(undefined, 'a', []))).toEqual([])
  })

  it('have no counts of another search', () => {
    expect(text(linesOf(counted('a', ['CT', 3]), 'b', []))).toEqual(['CT ?'])
  })

  it('keep their places while the menu is open', () => {
    const held = linesOf(counted('a', ['CT', 3], ['MR', 1]), 'b', ['SR']).map(({ value }) => value)
    expect(held).toEqual(['SR', 'CT', 'MR'])
    expect(text(linesOf(counted('b', ['US', 9], ['MR', 4]), 'b', ['MR'], held))).toEqual(['SR 0', 'CT 0', 'MR 4', 'US 9'])
  })
})
