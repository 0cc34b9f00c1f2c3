import { differences } from './sentence'
import type { Rule } from './tree'

export type Side = 'mine' | 'theirs'

/** A field that is not the same on both sides. `sides`: who changed it; where both did, somebody must choose. */
export interface Way {
  field: ReturnType<typeof differences>[number]['field']
  theirs: unknown
  mine: unknown
  changed: Side | 'both'
}

/** Field by field, what differs between their version and mine, and who made it so since `base`. */
export function ways(base: Rule | null, theirs: Rule, mine: Rule): Way[] {
  const [by, own] = [theirs, mine].map((rule) => new Set(differences(base, rule).map(({ field }) => field)))
  return differences(theirs, mine).map(({ field, before, after }) => ({
    field, theirs: before, mine: after, changed: by?.has(field) ? (own?.has(field) ? 'both' : 'theirs') : 'mine',
  }))
}

/** Both in one rule: what only one side changed is taken from that side, of the rest what was chosen. */
export function merged(theirs: Rule, mine: Rule, found: Way[], chosen: Partial<Record<string, Side>>): Rule {
  const rule: Record<string, unknown> = { ...theirs }
  for (const { field, changed } of found) {
    if ((changed === 'both' ? chosen[field] : changed) !== 'mine') continue
    rule[field] = mine[field as keyof Rule]
    // The sentence and the tree of the conditions are one.
    if (field === 'when') rule.conditions = mine.conditions
  }
  return rule as Rule
}
