import { describe, expect, it } from 'vitest'
import { actsOf, conditionOf, splitError, stateOf, type Group } from './states'

const group = (changes: Partial<Group>): Group => ({
  node: 'archive', kind: 'dimse', enabled: true, breaker: 'closed', node_removed: false, total: 10, waiting: 0, sent: 0, confirmed: 0, failed: 0,
  dead: 0, cancelled: 0, held: 0, away: 0, attempts: 1, priority: 0, ordered_at: '2026-11-21T12:00:00Z', confirmed_at: null, next_attempt_at: null,
  rule_names: [], hold_reason: '', error: '', last_ordered_at: '2026-11-21T12:00:00Z', last_rule_name: '', last_origin: '', last_ordered_by: '', ...changes,
})

describe('stateOf', () => {
  it('says what needs a person before what goes by itself', () => {
    expect(stateOf(group({ confirmed: 8, waiting: 1, dead: 1 })).key).toBe('dead')
    expect(stateOf(group({ confirmed: 8, held: 2 })).key).toBe('held')
    expect(stateOf(group({ confirmed: 10 })).key).toBe('complete')
    expect(stateOf(group({ confirmed: 8, cancelled: 2 })).key).toBe('partly')
    expect(stateOf(group({ waiting: 10, enabled: false })).key).toBe('paused')
    expect(stateOf(group({ waiting: 10, breaker: 'open' })).key).toBe('failed')
  })
})

describe('conditionOf', () => {
  it('is paused before it is broken, and closed by its calendar', () => {
    const one = { enabled: true, breaker: 'closed', limit: null, waiting: 0, sent: 0, failed: 0 }
    expect(conditionOf(one).key).toBe('idle')
    expect(conditionOf({ ...one, limit: 0, waiting: 4 }).key).toBe('closed')
    expect(conditionOf({ ...one, breaker: 'open' }).key).toBe('open')
    expect(conditionOf({ ...one, breaker: 'open', enabled: false }).key).toBe('paused')
  })
})

describe('actsOf', () => {
  it('offers only what would change something', () => {
    expect(actsOf(group({ confirmed: 10 }))).toEqual({ retry: false, hold: false, release: false, recall: false, resend: true })
    expect(actsOf(group({ dead: 3, waiting: 7 }))).toEqual({ retry: true, hold: true, release: false, recall: true, resend: false })
  })
})

describe('splitError', () => {
  it('takes the remedy out of the last brackets, also when it has brackets itself', () => {
    expect(splitError('nothing listens at 127.0.0.1:104 (check that it runs (and the port))')).toEqual({
      cause: 'nothing listens at 127.0.0.1:104', remedy: 'check that it runs (and the port)',
    })
  })
  it('leaves short brackets and plain words alone', () => {
    expect(splitError('out of resources (0xA700)')).toEqual({ cause: 'out of resources (0xA700)', remedy: '' })
    expect(splitError('odd ) text')).toEqual({ cause: 'odd ) text', remedy: '' })
    expect(splitError('')).toEqual({ cause: '', remedy: '' })
  })
})
