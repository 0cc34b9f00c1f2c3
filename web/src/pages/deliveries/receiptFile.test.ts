import { describe, expect, it } from 'vitest'
import { cell, receiptCsv } from './receiptFile'

describe('cell', () => {
  it('quotes what must be, and makes no formula of a text', () => {
    expect(cell('a,"b"')).toBe('"a,""b"""')
    expect(cell('=HYPERLINK("http://x")')).toBe('"\'=HYPERLINK(""http://x"")"')
    expect(cell('-1+1')).toBe("'-1+1")
    expect(cell(-1)).toBe('-1')
    expect(cell(null)).toBe('')
  })
})

describe('receiptCsv', () => {
  it('has a line per instance and destination, in the order of the head', () => {
    const instance = {
      sop_instance_uid: '1.2.3.1', status: 'confirmed' as const, dimse_status: 0, error: '', attempts: 1, identical: true, stored_sha256: 'aa', sent_sha256: 'aa',
      dataset_bytes: 10, transfer_syntax_uid: '1.2.840.10008.1.2.1', sent_at: null, confirmed_at: '2026-11-21T12:00:00Z', changed: '', sent_syntax: '', rule_name: 'ct',
      decision_id: 7, hold_reason: '', resends: 0, verified_at: null, verified_by: '', verify_error: '', origin: '', ordered_by: '',
    }
    const place = (node: string) => ({ node, aet: 'A', ordered: 1, confirmed: 1, verified: 0, complete: true, instances: [instance] })
    const lines = receiptCsv({ study_instance_uid: '1.2.3', instances: 1, complete: true, removed_at: null, destinations: [place('one'), place('two')] }).trimEnd().split('\r\n')
    expect(lines).toHaveLength(3)
    expect(lines[0]?.split(',').length).toBe(lines[1]?.split(',').length)
    expect(lines[2]).toMatch(/^1\.2\.3,two,A,1\.2\.3\.1,confirmed,true,,aa,aa,10,/)
  })
})
