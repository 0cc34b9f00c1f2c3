import type { Schemas } from '@/api'

export type Node = Schemas['NodeOut']
export type Tone = 'good' | 'bad' | 'warning' | 'busy' | 'neutral'

/** How a node is, in one word: key of `nodes.health.*` and its colour. */
export function healthOf(node: Node): { key: string; tone: Tone } {
  if (!node.enabled) return { key: 'held', tone: 'neutral' }
  if (node.breaker === 'open') return { key: 'away', tone: 'bad' }
  if (node.breaker !== 'closed') return { key: 'asked', tone: 'warning' }
  if (node.last_error) return { key: 'failing', tone: 'warning' }
  return node.last_success_at ? { key: 'good', tone: 'good' } : { key: 'unused', tone: 'neutral' }
}

const DAY = 86_400_000
/** A certificate that ends within so many days is told. */
export const SOON_DAYS = 30

/** The certificate of a connection that ends first: theirs or ours; null without any. */
export function certificateOf(node: Node, now: number): { ends: string; own: boolean; tone: Tone } | null {
  const known = [
    { ends: node.certificate_ends_at, own: false },
    { ends: node.own_certificate_ends_at, own: true },
  ].flatMap(({ ends, own }) => (ends ? [{ ends, own }] : []))
  const first = known.sort((one, other) => Date.parse(one.ends) - Date.parse(other.ends))[0]
  if (!first) return null
  const left = Date.parse(first.ends) - now
  return { ...first, tone: left < 0 ? 'bad' : left < SOON_DAYS * DAY ? 'warning' : 'neutral' }
}

export const KIND_ICONS: Record<string, string> = { dimse: 'i-lucide-monitor', dicomweb: 'i-lucide-globe', folder: 'i-lucide-folder' }
