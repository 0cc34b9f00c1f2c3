import type { Schemas } from '@/api'
import type { SharePart } from '@/components/charts/ShareBar.vue'

export type Status = Schemas['DeliveryOut']['status']
export type Group = Schemas['GroupOut']
export type Outlook = Schemas['OutlookOut']
type Tone = 'good' | 'bad' | 'warning' | 'busy' | 'neutral'

/** The tabs of the list and what each shows: a study is in it when some instance has one of these states. */
export const TABS = {
  all: [],
  underway: ['waiting', 'sent', 'failed', 'away'],
  attention: ['dead'],
  held: ['held'],
  done: ['confirmed'],
} as const satisfies Record<string, readonly Status[]>
export type Tab = keyof typeof TABS

/** In the order of the bar: what is done first. */
export const STATUSES: readonly Status[] = ['confirmed', 'sent', 'waiting', 'away', 'held', 'failed', 'dead', 'cancelled']

export const TONES: Record<Status, Tone> = {
  confirmed: 'good', sent: 'busy', waiting: 'busy', away: 'busy', held: 'neutral', failed: 'warning', dead: 'bad', cancelled: 'neutral',
}

/** What came of an attempt. */
export const OUTCOME_TONES: Record<Schemas['DeliveryAttemptOut']['outcome'], Tone> = {
  confirmed: 'good', refused: 'bad', failed: 'warning', damaged: 'bad', untried: 'warning', missing: 'bad', silent: 'warning',
}

type Counts = Partial<Record<Status, number>>
type Words = (status: Status, count: number) => string

/** The bar of a study on its way to a destination. */
export function groupParts(counts: Counts, words: Words): SharePart[] {
  return STATUSES.map((status) => ({ value: counts[status] ?? 0, tone: TONES[status], label: words(status, counts[status] ?? 0) }))
}

/** The bar of a destination's queue: only what has not ended. */
export function queueParts(one: Outlook, words: Words): SharePart[] {
  const open: Status[] = ['sent', 'waiting', 'away', 'held', 'failed', 'dead']
  return open.map((status) => {
    const value = one[status as 'sent' | 'waiting' | 'away' | 'held' | 'failed' | 'dead']
    return { value, tone: TONES[status], label: words(status, value) }
  })
}

/** One word for a group: what needs a person comes before what goes by itself. */
export function stateOf(group: Group): { key: Status | 'complete' | 'partly' | 'paused'; tone: Tone } {
  if (group.dead) return { key: 'dead', tone: 'bad' }
  if (group.held) return { key: 'held', tone: 'neutral' }
  if (group.sent) return { key: 'sent', tone: 'busy' }
  if (group.waiting + group.failed + group.away) {
    if (!group.enabled) return { key: 'paused', tone: 'warning' }
    return group.failed || group.breaker !== 'closed' ? { key: 'failed', tone: 'warning' } : { key: 'waiting', tone: 'busy' }
  }
  if (group.confirmed === group.total) return { key: 'complete', tone: 'good' }
  return group.confirmed ? { key: 'partly', tone: 'warning' } : { key: 'cancelled', tone: 'neutral' }
}

/** One word for a destination. */
export function conditionOf(one: Pick<Outlook, 'enabled' | 'breaker' | 'limit' | 'waiting' | 'sent' | 'failed'>): { key: string; tone: Tone } {
  if (!one.enabled) return { key: 'paused', tone: 'warning' }
  if (one.breaker === 'open') return { key: 'open', tone: 'bad' }
  if (one.breaker === 'half-open') return { key: 'half', tone: 'warning' }
  if (one.limit === 0) return { key: 'closed', tone: 'neutral' }
  return one.waiting + one.sent + one.failed ? { key: 'busy', tone: 'busy' } : { key: 'idle', tone: 'good' }
}

/** What can be done with these counts: what would change nothing is not offered. */
export function actsOf(counts: Pick<Group, 'waiting' | 'failed' | 'away' | 'held' | 'dead' | 'confirmed' | 'cancelled'>) {
  const open = counts.waiting + counts.failed + counts.away
  return {
    retry: counts.failed + counts.dead > 0,
    hold: open > 0,
    release: counts.held > 0,
    recall: open + counts.held + counts.dead > 0,
    resend: counts.confirmed + counts.cancelled > 0,
  }
}

/** The server writes "cause (remedy)": two lines for people. Brackets inside of either stay. */
export function splitError(text: string): { cause: string; remedy: string } {
  if (!text.endsWith(')')) return { cause: text, remedy: '' }
  let depth = 0
  for (let place = text.length - 1; place > 0; place -= 1) {
    if (text[place] === ')') depth += 1
    else if (text[place] === '(' && (depth -= 1) === 0) {
      const remedy = text.slice(place + 1, -1)
      // A short bracket is a part of the sentence: "(0xA700)", "(ARCHIVE)".
      if (text[place - 1] !== ' ' || !remedy.includes(' ')) break
      return { cause: text.slice(0, place - 1), remedy }
    }
  }
  return { cause: text, remedy: '' }
}
