import { describe, expect, it } from 'vitest'
import { described } from './conflicts'

const conflict = (kind: string, details: Record<string, unknown>) => ({
  id: 1, kind, study_instance_uid: '1.2', sop_instance_uid: null, details, seen_count: 2, first_seen_at: '', last_seen_at: '', resolved_at: null,
})

describe('a conflict', () => {
  it('of identity shows both sides, and no row where both are silent', () => {
    const { rows, from } = described(conflict('identity', { kept: { patient_id: 'A', patient_name: 'X^Y' }, arrived: { patient_id: 'B', patient_name: 'X^Y' }, calling_aet: 'CT1' }))
    expect(rows.map(({ field, kept, arrived }) => [field, kept === arrived])).toEqual([['patient_name', true], ['patient_id', false]])
    expect(from).toBe('CT1')
  })
  it('of hierarchy says from where to where', () => {
    const { moved } = described(conflict('hierarchy', { from: { study_instance_uid: '1.1' }, to: { study_instance_uid: '1.2' } }))
    expect(moved).toEqual([{ key: 'from', study: '1.1' }, { key: 'to', study: '1.2' }])
  })
  it('of any shape is no error', () => {
    expect(described(conflict('?', { kept: null, arrived: [1], from: 'x', calling_aet: { a: 1 } }))).toMatchObject({ rows: [], moved: [], from: '' })
    expect(described(conflict('identity', { kept: { patient_id: 'x'.repeat(9000) } })).rows[0]?.kept).toHaveLength(300)
  })
})
