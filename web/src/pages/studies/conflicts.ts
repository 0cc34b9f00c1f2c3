import type { Schemas } from '@/api'

const LONG = 300
const FIELDS = ['patient_name', 'patient_id', 'issuer_of_patient_id', 'patient_birth_date'] as const
type Field = (typeof FIELDS)[number]

const fields = (value: unknown): Record<string, unknown> => (typeof value === 'object' && value !== null ? (value as Record<string, unknown>) : {})
const text = (value: unknown): string => (typeof value === 'string' ? value.slice(0, LONG) : typeof value === 'number' ? String(value) : '')

export interface Described {
  id: number
  kind: string
  seen: number
  lastSeen: string
  /** The AE title that sent what differs. */
  from: string
  instance: string
  rows: { field: Field; kept: string; arrived: string }[]
  moved: { key: 'from' | 'to'; study: string }[]
}

/** A conflict as the page shows it. Its details quote senders: whatever they are, they become short text or nothing. */
export function described(one: Schemas['ConflictOut']): Described {
  const kept = fields(one.details.kept)
  const arrived = fields(one.details.arrived)
  const moved = (['from', 'to'] as const).map((key) => ({ key, study: text(fields(one.details[key]).study_instance_uid) }))
  return {
    id: one.id, kind: one.kind, seen: one.seen_count, lastSeen: one.last_seen_at, from: text(one.details.calling_aet), instance: one.sop_instance_uid ?? '',
    rows: FIELDS.map((field) => ({ field, kept: text(kept[field]), arrived: text(arrived[field]) })).filter((row) => row.kept || row.arrived),
    moved: moved.filter(({ study }) => study),
  }
}
