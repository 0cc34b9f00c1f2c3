// @vitest-environment node
import { readdirSync, readFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { describe, expect, it } from 'vitest'
import { answer, type Document, type Schema } from './mocked'

const here = (path: string) => fileURLToPath(new URL(path, import.meta.url))
const document = JSON.parse(readFileSync(here('../../docs/openapi.json'), 'utf8')) as Document

/** What does not fit the schema: place and reason. */
function faults(value: unknown, schema: Schema, place: string): string[] {
  if (schema.$ref) return faults(value, document.components.schemas[schema.$ref.split('/').pop() ?? ''] ?? {}, place)
  if (schema.const !== undefined) return value === schema.const ? [] : [`${place} is not ${String(schema.const)}`]
  if (schema.enum) return schema.enum.includes(value) ? [] : [`${place} is none of ${schema.enum.join(', ')}`]
  const choice = schema.anyOf ?? schema.oneOf
  if (choice) {
    const found = choice.map((one) => faults(value, one, place))
    return found.find((one) => one.length === 0) ?? found.sort((one, other) => one.length - other.length)[0] ?? []
  }
  if (schema.allOf) return schema.allOf.flatMap((one) => faults(value, one, place))
  const kind = value === null ? 'null' : Array.isArray(value) ? 'array' : typeof value
  const wanted = schema.type === 'integer' ? 'number' : schema.type
  if (wanted && kind !== wanted) return [`${place} is ${kind}, not ${wanted}`]
  if (Array.isArray(value)) return value.flatMap((one, at) => faults(one, schema.items ?? {}, `${place}[${at}]`))
  if (kind !== 'object') return []
  const fields = value as Record<string, unknown>
  const missing = (schema.required ?? []).filter((name) => !(name in fields)).map((name) => `${place}.${name} is missing`)
  const inside = Object.entries(schema.properties ?? {}).flatMap(([name, one]) => (name in fields ? faults(fields[name], one, `${place}.${name}`) : []))
  return [...missing, ...inside]
}

describe('the app without a server', () => {
  it('gets an answer of the right shape from every route', () => {
    const wrong: string[] = []
    for (const [path, methods] of Object.entries(document.paths)) {
      for (const [method, operation] of Object.entries(methods)) {
        const told = answer(document, method, path.replace(/\{[^}]+\}/g, '1.2.3'))
        const place = `${method} ${path}`
        const described = operation.responses[String(told.status)]
        if (!described) wrong.push(`${place} answers ${told.status}`)
        const schema = described?.content?.['application/json']?.schema
        if (schema) wrong.push(...faults(told.body, schema, place))
      }
    }
    expect(wrong).toEqual([])
  })

  it('gets one from every address that pages ask for by itself', () => {
    const addresses = new Set<string>()
    for (const name of readdirSync(here('../src'), { recursive: true, encoding: 'utf8' })) {
      if (!/(?<!\.test)\.(ts|vue)$/.test(name) || name.endsWith('schema.ts')) continue
      const text = readFileSync(here(`../src/${name}`), 'utf8')
      for (const [, address] of text.matchAll(/['"`](\/(?:api\/v1|dicomweb)\/[^'"`?\s]*)/g)) addresses.add(address?.replace(/\$\{query\}$/, '').replace(/\$\{[^}]*\}/g, '1.2.3') ?? '')
    }
    expect(addresses.size).toBeGreaterThan(5)
    const refused = [...addresses].filter((one) => !['get', 'post'].some((method) => answer(document, method, one).status < 300))
    // The viewer has nothing to show, and says so.
    expect(refused.filter((one) => !/^\/dicomweb\/studies\/1\.2\.3\/series\/1\.2\.3$/.test(one))).toEqual([])
  })

  it('lets its person see every page', () => {
    const { actions } = answer(document, 'get', '/api/v1/session').body as { actions: string[] }
    const wanted = [...readFileSync(here('../src/router.ts'), 'utf8').matchAll(/action: '([a-z.]+)'/g)].map((match) => match[1] ?? '')
    expect(wanted.length).toBeGreaterThan(10)
    expect(wanted.filter((one) => !actions.includes(one))).toEqual([])
  })

  it('takes words of a path before placeholders, and says who is signed in', () => {
    const [first] = Object.keys(document.paths).filter((one) => one.endsWith('/refused') || one.endsWith('/all'))
    expect(answer(document, 'get', '/api/v1/session').body).toMatchObject({ username: 'mocked', role: 'administrator' })
    expect(answer(document, 'get', '/api/v1/nowhere').status).toBe(404)
    expect(first && answer(document, 'get', first).status).toBe(200)
  })
})
