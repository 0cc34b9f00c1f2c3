/** One field of what an act changed. `before` or `after` undefined: it was not there. */
export interface Difference {
  path: string
  before: string | undefined
  after: string | undefined
  changed: boolean
}

/** Of a value with more fields, the rest is not shown: a page stays a page. */
const MOST = 500

function shown(value: unknown): string {
  if (Array.isArray(value) && value.length && value.every((one) => typeof one === 'string')) return value.join('\n')
  return typeof value === 'string' ? value : JSON.stringify(value)
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

function flatten(value: unknown, path: string, into: Map<string, string>, depth: number): void {
  if (into.size >= MOST) return
  if (isObject(value) && depth < 6 && Object.keys(value).length > 0) {
    for (const [name, inner] of Object.entries(value)) flatten(inner, path ? `${path}.${name}` : name, into, depth + 1)
  } else {
    into.set(path, shown(value))
  }
}

/** What differs between two values of the audit, field by field; fields that stayed the same are told as such. */
export function differences(before: unknown, after: unknown): Difference[] {
  const old = new Map<string, string>()
  const fresh = new Map<string, string>()
  if (before !== null && before !== undefined) flatten(before, '', old, 0)
  if (after !== null && after !== undefined) flatten(after, '', fresh, 0)
  const paths = [...new Set([...old.keys(), ...fresh.keys()])]
  return paths.map((path) => {
    const was = old.get(path)
    const is = fresh.get(path)
    return { path, before: was, after: is, changed: was !== is }
  })
}
