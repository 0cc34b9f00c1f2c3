import { describe, expect, it } from 'vitest'
import { dotsOf, hasPlanes, planesOf } from './overlays'
import type { Dataset } from './series'

function dataset(values: Record<string, unknown[]>, binary?: string): Dataset {
  const found: Dataset = Object.fromEntries(Object.entries(values).map(([tag, Value]) => [tag, { vr: 'XX', Value }]))
  return binary === undefined ? found : { ...found, '60003000': { vr: 'OW', InlineBinary: binary } }
}

describe('overlay planes', () => {
  const size = { '00080018': ['1.2'], '60000010': [2], '60000011': [4] }

  it('are placed by their origin, which counts from 1 and may lie outside', () => {
    const [plane] = planesOf(dataset({ ...size, '60000050': [-1, 3] }, 'AA=='), 1)
    expect(plane).toMatchObject({ rows: 2, columns: 4, top: -2, left: 2, skip: 0 })
  })

  it('of several frames belong to the frames from their first on', () => {
    const several = dataset({ ...size, '60000015': ['3'], '60000051': [2] }, 'AAAA')
    expect([1, 2, 3, 4, 5].map((frame) => planesOf(several, frame)[0]?.skip)).toEqual([undefined, 0, 8, 16, undefined])
    expect(planesOf(dataset(size, 'AA=='), 7)).toHaveLength(1) // one for all
  })

  it('in the bits beside the samples are asked of the server', () => {
    const [plane] = planesOf(dataset({ ...size, '60000102': [12], '00280010': [8], '00280011': [9] }), 3)
    expect(plane).toMatchObject({ rows: 8, columns: 9, source: '/api/v1/instances/1.2/frames/3/overlays/6000' })
    expect(planesOf(dataset(size), 1)).toEqual([])
  })

  it('of impossible size are left out', () => {
    for (const rows of [0, -1, 9000, NaN, 'x', null]) expect(planesOf(dataset({ ...size, '60000010': [rows] }, 'AA=='), 1)).toEqual([])
    expect(planesOf(dataset({ ...size, '60000010': [8192], '60000011': [8192], '60000015': [1e9] }, 'AA=='), 900_000)).toEqual([])
    expect(hasPlanes(dataset({}))).toBe(false)
    expect(hasPlanes(dataset(size))).toBe(true)
  })

  it('have the first bit in the lowest, wherever they begin; bits that are missing are not set', () => {
    const lit = (skip: number, count: number) => Array.from({ length: count }, (_, at) => dotsOf(new Uint8Array([0b0000_0101, 0x80]), skip, count)[4 * at + 3] === 255)
    expect(lit(0, 4)).toEqual([true, false, true, false])
    expect(lit(14, 4)).toEqual([false, true, false, false])
  })
})
