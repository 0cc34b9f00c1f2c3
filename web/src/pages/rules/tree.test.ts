import { describe, expect, it } from 'vitest'
import { placed, readConditions, without, writeConditions, type Json } from './tree'

const leaf = (keyword: string, value: Json = 'x', operator = 'equals'): Json => ({ keyword, operator, value })

describe('conditions in the editor', () => {
  it.each<[string, Json[]]>([
    ['nothing', []],
    ['all', [leaf('Modality', ['CT', 'MR'], 'in'), { not: leaf('StationName', ['X*'], 'wildcard') }]],
    ['any alone', [{ any: [leaf('Modality'), { all: [leaf('Rows', ['1', ''], 'range'), leaf('Columns')] }] }]],
    ['not of a group', [{ not: { any: [leaf('Modality'), leaf('StationName')] } }]],
    ['not not', [{ not: { all: [{ not: leaf('Modality') }] } }]],
  ])('come back as they were: %s', (_, conditions) => {
    expect(writeConditions(readConditions(conditions)).conditions).toEqual(conditions)
  })

  it('finds the field of a complaint', () => {
    const root = readConditions([leaf('Modality'), { not: { any: [leaf('StationName'), leaf('Rows', ['9', '1'], 'range')] } }])
    const { places } = writeConditions(root)
    const group = root.parts[1]
    const range = group?.kind === 'group' ? group.parts[1] : undefined
    const found = placed(
      [
        { path: ['conditions', 1, 'not', 'any', 1, 'value'], message: 'begins after its end', level: 'error' },
        { path: ['destinations', 0], message: 'no such node', level: 'error' },
        { path: ['name'], message: 'empty', level: 'error' },
      ],
      places,
    )
    expect([...found.keys()]).toEqual([`#${range?.id}.value`, 'destinations.0', 'name'])
  })

  it('takes a part out, and groups that are empty then', () => {
    const root = readConditions([leaf('Modality'), { any: [leaf('Rows')] }])
    const group = root.parts[1]
    const inner = group?.kind === 'group' ? group.parts[0]?.id : 0
    expect(without(root, inner ?? 0).parts).toHaveLength(1)
  })
})
