import { describe, expect, it } from 'vitest'
import { entriesOf } from './palette'
import { around, Prefetch } from './prefetch'
import { beginsWith, firstIndex, firstSeries, kindOf, rateOf, shownOf, type Dataset } from './series'
import { rangeOf, windowOf } from './windows'

function instance(uid: string, more: Record<string, unknown[]> = {}): Dataset {
  const values: Record<string, unknown[]> = {
    '00080016': ['1.2.840.10008.5.1.4.1.1.2'],
    '00080018': [uid],
    '00080060': ['CT'],
    '00280010': [512],
    ...more,
  }
  const dataset = Object.fromEntries(Object.entries(values).map(([tag, Value]) => [tag, { vr: 'XX', Value }]))
  return { ...dataset, '7FE00010': { vr: 'OW', BulkDataURI: '/x' } }
}

describe('a series', () => {
  it('is one image per frame, in order', () => {
    const shown = shownOf('1.2', '1.2.3', [instance('1'), instance('2', { '00280008': ['3'] })], 'http://h')
    expect(shown.kind).toBe('images')
    expect(shown.imageIds.map((id) => id.split('/instances/')[1])).toEqual(['1/frames/1', '2/frames/1', '2/frames/2', '2/frames/3'])
    expect(shown.metadata.size).toBe(2)
    expect(shown.rate).toBe(15)
  })

  it('knows documents, reports, videos and what cannot be shown', () => {
    expect(kindOf(instance('1', { '00080016': ['1.2.840.10008.5.1.4.1.1.104.1'] }))).toBe('pdf')
    expect(kindOf(instance('1', { '00080016': ['1.2.840.10008.5.1.4.1.1.88.33'] }))).toBe('report')
    expect(kindOf(instance('1', { '00083002': ['1.2.840.10008.1.2.4.102'] }))).toBe('video')
    const waveform = instance('1')
    delete waveform['7FE00010']
    expect(kindOf(waveform)).toBe('other')
    expect(shownOf('1', '2', [], 'h').kind).toBe('other')
  })

  it('begins with what the address names, else with the first that has pictures', () => {
    const listed = (uid: string, modality: string, number: number | null, count = 1) => ({ series_instance_uid: uid, modality, series_number: number, instance_count: count })
    const all = [listed('3', 'MR', 3), listed('1', 'SR', 1), listed('2', 'CT', 2, 500), listed('0', 'KO', null)]
    expect(firstSeries(all, []).map((one) => one.series_instance_uid)).toEqual(['2'])
    expect(firstSeries(all, ['3', 'unknown', '1']).map((one) => one.series_instance_uid)).toEqual(['3', '1'])
    expect(firstSeries([listed('1', 'SR', 1)], []).map((one) => one.series_instance_uid)).toEqual(['1'])
    expect(firstSeries([], ['1'])).toEqual([])
  })

  it('knows whether the picture that came first is of the image with which it begins', () => {
    const stack = shownOf('1', '2', Array.from({ length: 10 }, (_, index) => instance(`${index + 1}`, {})), 'http://h')
    expect(beginsWith(stack, '/dicomweb/studies/1/series/2/instances/5/frames/1')).toBe(true)
    expect(beginsWith(stack, '/dicomweb/studies/1/series/2/instances/1/frames/1')).toBe(false)
    const twelve = shownOf('1', '2', [instance('1', { '00083002': ['1.2.840.10008.1.2.4.51'], '00280101': [12] })], 'http://h')
    expect(beginsWith(twelve, '/dicomweb/studies/1/series/2/instances/1/frames/1')).toBe(true)
  })

  it('leaves to the server what browsers decode wrongly', () => {
    const bits = shownOf('1', '2', [instance('1', { '00280100': [1], '00280008': ['2'] })], 'http://h')
    expect(bits.imageIds.every((id) => id.startsWith('painted:http://h/'))).toBe(true)
    expect(shownOf('1', '2', [instance('1', { '00280004': ['PALETTE COLOR'] })], 'http://h').imageIds[0]).toMatch(/^painted:/)
    const twelve = shownOf('1', '2', [instance('1', { '00083002': ['1.2.840.10008.1.2.4.51'], '00280101': [12], '00280008': ['2'] })], 'http://h')
    expect(twelve.imageIds[1]).toMatch(/^wadors:.*\/frames\/2\?accept=multipart/)
    expect([...twelve.metadata.keys()].map((id) => id.endsWith('/frames/1'))).toEqual([true, false])
  })

  it('plays as fast as the data say, within reason', () => {
    expect(rateOf(instance('1', { '00181063': ['40'] }), 10)).toBe(25)
    expect(rateOf(instance('1', { '00180040': ['9000'] }), 10)).toBe(60)
    expect(rateOf(instance('1'), 1)).toBe(0)
  })

  it('begins in the middle of a stack', () => {
    const many = Array.from({ length: 101 }, (_, index) => instance(String(index)))
    expect(firstIndex(shownOf('1', '2', many, 'h'))).toBe(50)
    expect(firstIndex(shownOf('1', '2', many.slice(0, 3), 'h'))).toBe(0)
  })
})

describe('what is loaded ahead', () => {
  it('is nearest first and complete', () => {
    expect(around(3, 8)).toEqual([4, 5, 2, 6, 7, 1, 0])
    expect(around(0, 1)).toEqual([])
  })

  it('keeps to its number at once, and follows the place', async () => {
    const asked: number[] = []
    const waiting: (() => void)[] = []
    const prefetch = new Prefetch(10, (index) => new Promise<void>((done) => (asked.push(index), waiting.push(done))), 2)
    prefetch.move(0)
    expect(asked).toEqual([1, 2])
    prefetch.move(8)
    waiting.shift()?.()
    await Promise.resolve()
    await new Promise((done) => setTimeout(done))
    expect(asked).toEqual([1, 2, 9])
    prefetch.stop()
    waiting.forEach((done) => done())
    await new Promise((done) => setTimeout(done))
    expect(asked).toHaveLength(3)
  })
})

describe('a palette', () => {
  it('is read as words, or as bytes where there are too few for words', () => {
    expect(entriesOf(Uint8Array.of(1, 2, 3, 4), 2)).toEqual([0x0201, 0x0403])
    expect(entriesOf(Uint8Array.of(1, 2, 3, 4), 4)).toEqual([1, 2, 3, 4])
  })
})

describe('a window', () => {
  it('goes to a range and back', () => {
    expect(rangeOf(40, 400)).toEqual({ lower: -160, upper: 239 })
    expect(windowOf(rangeOf(40, 400))).toEqual({ centre: 40, width: 400 })
  })
})
