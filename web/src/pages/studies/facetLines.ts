import type { Schemas } from '@/api'

export type Facet = Schemas['FacetOut']
export type FacetName = 'modality' | 'state' | 'dated' | 'received' | 'calling_aet' | 'called_aet' | 'institute'
/** The values of a facet, as they were counted last, and for which search (without what the facet itself narrows). */
export interface Counted extends Facet {
  of: string
}
export interface Line {
  value: string
  /** Undefined: not counted for this search yet. */
  count?: number
  more: boolean
}

/**
 * The lines of a menu. `held`: the values that have stood there since the menu was opened, which keep their places; what
 * comes while it is open stands below. A value without studies keeps its line as long as the menu is open.
 */
export function linesOf(counted: Counted | undefined, of: string, chosen: readonly string[], held: readonly string[] = []): Line[] {
  const current = counted?.of === of
  const counts = new Map(counted?.values.map(({ value, count }) => [value, count]))
  const added = chosen.filter((value) => !counts.has(value))
  const order = [...new Set([...held, ...added, ...counts.keys()])]
  return order.map((value) => ({ value, count: current ? (counts.get(value) ?? 0) : undefined, more: current && counted.more }))
}
