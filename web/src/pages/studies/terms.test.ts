import { describe, expect, it } from 'vitest'
import { retype, without, type Term } from './terms'

const term = (text: string, start: number): Term => ({
  kind: 'date', text, start, end: start + Array.from(text).length, first: null, last: null, alternatives: [], searched: true,
})

describe('words of the search box', () => {
  it('are taken as something else in place', () => {
    expect(retype('anna 20240503 CT', term('20240503', 5), 'patient_id')).toBe('anna id:20240503 CT')
    expect(retype('ct thorax', term('ct thorax', 0), 'description')).toBe('desc:"ct thorax"')
  })
  it('are taken away', () => {
    expect(without('anna 2024 CT', term('2024', 5))).toBe('anna CT')
    expect(without('2024', term('2024', 0))).toBe('')
  })
  it('stand where the server says, behind characters of two halves too', () => {
    expect(without('\u{1F9B4} 2024', term('2024', 2))).toBe('\u{1F9B4}')
  })
})
