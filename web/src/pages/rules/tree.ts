import type { Schemas } from '@/api'

export type Rule = Schemas['RuleOut']
export type Operator = Schemas['ConditionData']['operator']
export type Json = null | boolean | number | string | Json[] | { [key: string]: Json }
export type Path = (string | number)[]

/** The conditions of a rule as the editor holds them: groups and leaves, each may be negated; ids live as long as the page. */
export interface Leaf {
  id: number
  kind: 'leaf'
  not: boolean
  keyword: string
  operator: Operator
  /** As typed: several values stand between commas, the ends of a range are two. */
  text: string
  low: string
  high: string
}
export interface Group {
  id: number
  kind: 'group'
  not: boolean
  join: 'all' | 'any'
  parts: Part[]
}
export type Part = Leaf | Group

/** Operators whose value is one text. */
const SINGLE = new Set<Operator>(['equals', 'regex'])
let last = 0
export const newId = () => ++last

export function emptyLeaf(): Leaf {
  return { id: newId(), kind: 'leaf', not: false, keyword: '', operator: 'equals', text: '', low: '', high: '' }
}
export function emptyGroup(join: Group['join'] = 'all', parts: Part[] = []): Group {
  return { id: newId(), kind: 'group', not: false, join, parts }
}

const isObject = (value: Json | undefined): value is { [key: string]: Json } => typeof value === 'object' && value !== null && !Array.isArray(value)

/** A stored condition for the editor. What is no condition becomes an empty leaf: the server says why. */
export function readPart(data: Json): Part {
  if (isObject(data)) {
    if ('not' in data) {
      const inner = readPart(data.not ?? null)
      return inner.not ? { ...emptyGroup('all', [inner]), not: true } : { ...inner, not: true }
    }
    for (const join of ['all', 'any'] as const) {
      const parts = data[join]
      if (Array.isArray(parts)) return emptyGroup(join, parts.map(readPart))
    }
    const { keyword, operator, value } = data
    const values = (Array.isArray(value) ? value : [value ?? '']).map(String)
    const leaf = { ...emptyLeaf(), keyword: String(keyword ?? ''), operator: String(operator ?? 'equals') as Operator }
    return leaf.operator === 'range' ? { ...leaf, low: values[0] ?? '', high: values[1] ?? '' } : { ...leaf, text: values.join(', ') }
  }
  return emptyLeaf()
}

/** The conditions of a rule as one group: all must hold, or any when that is all there is. */
export function readConditions(conditions: Json[]): Group {
  const parts = conditions.map(readPart)
  const only = parts[0]
  return parts.length === 1 && only?.kind === 'group' && !only.not ? only : emptyGroup('all', parts)
}

function valuesOf(leaf: Leaf): Json {
  if (leaf.operator === 'range') return [leaf.low.trim(), leaf.high.trim()]
  if (SINGLE.has(leaf.operator)) return leaf.text.trim()
  return leaf.text.split(',').map((value) => value.trim()).filter((value) => value !== '')
}

/** The stored form, and where in it each part stands: its id by the path from the rule. */
export function writeConditions(root: Group): { conditions: Json[]; places: Map<string, number> } {
  const places = new Map<string, number>()
  const write = (part: Part, path: Path): Json => {
    places.set(path.join('.'), part.id)
    const inner = part.not ? [...path, 'not'] : path
    if (part.not) places.set(inner.join('.'), part.id)
    const body: Json =
      part.kind === 'leaf'
        ? { keyword: part.keyword, operator: part.operator, value: valuesOf(part) }
        : { [part.join]: part.parts.map((one, number) => write(one, [...inner, part.join, number])) }
    return part.not ? { not: body } : body
  }
  places.set('conditions', root.id)
  const plain = root.join === 'all' && !root.not
  const parts = plain ? root.parts : root.parts.length ? [root] : []
  const conditions = parts.map((part, number) => write(part, ['conditions', number]))
  return { conditions, places }
}

export interface Complaint {
  path: Path
  message: string
  level: 'error' | 'warning'
}

/** Complaints by the id of the part and its field ('' is the part as a whole); those of other fields by their name. */
export function placed(complaints: Complaint[], places: Map<string, number>): Map<string, Complaint> {
  const found = new Map<string, Complaint>()
  for (const complaint of complaints) {
    const path = complaint.path
    const tail = String(path.at(-1) ?? '')
    const whole = places.get(path.join('.'))
    const inner = places.get(path.slice(0, -1).join('.'))
    let key = path.slice(0, 2).join('.')
    if (path[0] !== 'conditions' && path[0] !== 'destinations' && path[0] !== 'edits') key = String(path[0] ?? '')
    if (path[0] === 'conditions') key = whole !== undefined ? `#${whole}` : inner !== undefined ? `#${inner}.${tail}` : 'conditions'
    if (!found.has(key) || complaint.level === 'error') found.set(key, complaint)
  }
  return found
}

/** Take a part out of the group that holds it; groups that are empty then go, too. */
export function without(group: Group, id: number): Group {
  const parts = group.parts
    .filter((part) => part.id !== id)
    .map((part) => (part.kind === 'group' ? without(part, id) : part))
    .filter((part) => part.kind === 'leaf' || part.parts.length > 0)
  return { ...group, parts }
}
