import { describe, expect, it } from 'vitest'
import { isFor, presentationOf, refersTo } from './presentation'
import { rgbOf } from './presentationGraphics'
import type { Dataset } from './series'

function of(values: Record<string, unknown[]>): Dataset {
  return Object.fromEntries(Object.entries({ '00080016': ['1.2.840.10008.5.1.4.1.1.11.1'], ...values }).map(([tag, Value]) => [tag, { vr: 'XX', Value }]))
}
const image = (uid: string, frames?: number[]) => of({ '00081155': [uid], ...(frames ? { '00081160': frames } : {}) })

describe('a presentation state', () => {
  it('refers to images and frames, and so do its parts', () => {
    const state = presentationOf(of({ '00081115': [of({ '0020000E': ['9'], '00081140': [image('1'), image('2', [3, 4])] })] }))
    expect(state.series).toEqual(['9'])
    expect([refersTo(state, '1', 7), refersTo(state, '2', 3), refersTo(state, '2', 5), refersTo(state, '3', 1)]).toEqual([true, true, false, false])
    const { voi } = presentationOf(of({ '00283110': [of({ '00281050': ['40', '1'], '00281051': ['400', '2'] }), of({ '00281050': [1], '00281051': [2], '00081140': [image('1')] })] }))
    expect(voi.map(({ centre, width }) => [centre, width])).toEqual([[40, 400], [1, 2]])
    expect(voi.map((one) => isFor(one, '2', 1))).toEqual([true, false])
  })

  it('reads areas with their corners in any order, turns, flips, shades', () => {
    const state = presentationOf(of({ '0070005A': [of({ '00700052': [64, 1], '00700053': [33, 32], '00700100': ['MAGNIFY'], '00700103': [2] })], '00700041': ['Y'], '00700042': [270], '00181622': [65_535], '20500020': ['INVERSE'] }))
    expect(state.areas).toEqual([{ only: undefined, left: 32, top: 0, right: 64, bottom: 32, mode: 'magnify', magnification: 2 }])
    expect([state.flip, state.rotation, state.shade, state.invert]).toEqual([true, 270, 255, true])
  })

  it('draws what it can and names what it cannot', () => {
    const shape = (kind: string, data: unknown[]) => of({ '00700005': ['PIXEL'], '00700023': [kind], '00700022': data })
    const state = presentationOf(
      of({
        '00700001': [of({ '00700009': [shape('CIRCLE', [5, 5, 8, 5]), shape('ELLIPSE', [0, 5, 10, 5, 5, 3, 5, 7]), shape('BLOB', [1, 1]), shape('POLYLINE', ['x', 1, 2, 2])], '00700008': [of({ '00700006': ['<b>'], '00700014': [1, 2] })] })],
        '00283110': [of({ '00283010': [of({})] })],
        '00286100': [of({})],
      }),
    )
    expect(state.drawings[0]?.shapes.map((one) => one.kind)).toEqual(['ellipse', 'ellipse'])
    expect(state.drawings[0]?.shapes[1]).toMatchObject({ centre: [5, 5], first: [10, 5], second: [5, 7] })
    expect(state.drawings[0]?.words[0]).toMatchObject({ text: '<b>', anchor: { point: [1, 2] } })
    expect(new Set(state.missing)).toEqual(new Set(['graphic', 'voiTable', 'mask']))
  })

  it('is bounded, and stands what is no data set', () => {
    const line = of({ '00700023': ['POLYLINE'], '00700022': Array.from({ length: 60_000 }, (_, index) => index) })
    const many = presentationOf(of({ '00700001': [of({ '00700009': Array.from({ length: 3000 }, () => line) })] }))
    const drawn = many.drawings.flatMap((one) => one.shapes).reduce((sum, one) => sum + ('points' in one ? one.points.length : 0), 0)
    expect(drawn).toBeLessThanOrEqual(100_000)
    expect(many.missing).not.toEqual([])
    for (const junk of [[null], ['x'], [1], [[]], []]) {
      const state = presentationOf(of({ '00081115': junk, '00700001': junk, '0070005A': junk, '00283110': junk, '00181600': junk, '00700060': junk }))
      expect(state.drawings.flatMap((one) => one.shapes)).toEqual([])
    }
    expect(presentationOf(of({ '00080016': ['1.2.840.10008.5.1.4.1.1.11.4'] })).missing).toContain('kind')
  })

  it('has the colours that its layers recommend', () => {
    expect(rgbOf([0xffff, 0x8080, 0x8080])).toBe('rgb(255, 255, 255)')
    expect(rgbOf([0, 0x8080, 0x8080])).toBe('rgb(0, 0, 0)')
  })
})
