/** The parts of an OpenAPI document that the reference page reads. */
export interface SchemaNode {
  $ref?: string
  type?: string | string[]
  title?: string
  description?: string
  properties?: Record<string, SchemaNode>
  required?: string[]
  items?: SchemaNode
  anyOf?: SchemaNode[]
  allOf?: SchemaNode[]
  enum?: unknown[]
  const?: unknown
  default?: unknown
  examples?: unknown[]
  example?: unknown
  format?: string
  pattern?: string
  minimum?: number
  maximum?: number
  minLength?: number
  maxLength?: number
  additionalProperties?: SchemaNode | boolean
}

export interface Parameter {
  name: string
  in: string
  required?: boolean
  description?: string
  schema?: SchemaNode
}

type Content = Record<string, { schema?: SchemaNode; example?: unknown }>

interface RawOperation {
  operationId: string
  summary?: string
  description?: string
  tags?: string[]
  parameters?: Parameter[]
  requestBody?: { required?: boolean; content: Content }
  responses: Record<string, { description?: string; content?: Content }>
  'x-action'?: string
}

export interface OpenApi {
  info: { title: string; version: string; description?: string }
  paths: Record<string, Record<string, RawOperation>>
  components: { schemas: Record<string, SchemaNode> }
}

/** One route with a method. */
export interface Operation extends RawOperation {
  id: string
  method: string
  path: string
  tag: string
  action: string
  /** What a search looks in, in small letters. */
  words: string
}

/** A field of a body, for a table. `depth`: how far inside. */
export interface Field {
  name: string
  type: string
  required: boolean
  description: string
  example: string
  depth: number
}

const METHODS = ['get', 'post', 'put', 'patch', 'delete']
const DEPTH = 5

/** All operations, in the order of the document. */
export function operations(document: OpenApi): Operation[] {
  return Object.entries(document.paths).flatMap(([path, methods]) =>
    METHODS.flatMap((method) => {
      const one = methods[method]
      if (!one) return []
      const tag = one.tags?.[0] ?? ''
      const action = one['x-action'] ?? ''
      const words = [method, path, one.operationId, one.summary, one.description, tag, action].join(' ').toLowerCase()
      return [{ ...one, id: one.operationId, method, path, tag, action, words }]
    }),
  )
}

/** Those in which every word of `text` occurs. */
export function matching(all: Operation[], text: string): Operation[] {
  const wanted = text.toLowerCase().split(/\s+/).filter(Boolean)
  return all.filter((one) => wanted.every((word) => one.words.includes(word)))
}

/** The schema behind a reference, with what stands beside the reference. */
export function resolved(document: OpenApi, node: SchemaNode | undefined): SchemaNode {
  let found: SchemaNode = node ?? {}
  for (let step = 0; step < 10; step++) {
    const reference = found.$ref ?? (found.allOf?.length === 1 ? found.allOf[0]?.$ref : undefined)
    if (!reference) return found
    const { $ref: _ref, allOf: _all, ...beside } = found
    found = { ...document.components.schemas[reference.split('/').at(-1) ?? ''], ...beside }
  }
  return found
}

/** What may stand there, in a few words. */
export function typeOf(document: OpenApi, node: SchemaNode | undefined): string {
  const schema = resolved(document, node)
  if (schema.enum) return schema.enum.map((one) => JSON.stringify(one)).join(' | ')
  if (schema.const !== undefined) return JSON.stringify(schema.const)
  if (schema.anyOf) return [...new Set(schema.anyOf.map((one) => typeOf(document, one)))].join(' | ')
  if (schema.type === 'array') return `${typeOf(document, schema.items)}[]`
  if (schema.format) return schema.format
  if (schema.properties) return schema.title ?? 'object'
  return Array.isArray(schema.type) ? schema.type.join(' | ') : (schema.type ?? 'any')
}

function inside(document: OpenApi, node: SchemaNode | undefined): SchemaNode {
  const schema = resolved(document, node)
  if (schema.type === 'array') return inside(document, schema.items)
  const object = schema.anyOf?.map((one) => inside(document, one)).find((one) => one.properties)
  return object ?? schema
}

/** The fields of a body, one below the other, inner ones behind what they lie in. */
export function fields(document: OpenApi, node: SchemaNode | undefined, depth = 0, seen: string[] = []): Field[] {
  const schema = inside(document, node)
  const title = schema.title ?? ''
  if (depth > DEPTH || (title && seen.includes(title))) return []
  return Object.entries(schema.properties ?? {}).flatMap(([name, property]) => {
    const known = resolved(document, property)
    const example = known.examples?.[0] ?? known.example ?? known.default
    const field: Field = {
      name,
      type: typeOf(document, property),
      required: schema.required?.includes(name) ?? false,
      description: known.description ?? '',
      example: example === undefined || example === null || example === '' ? '' : JSON.stringify(example),
      depth,
    }
    return [field, ...fields(document, property, depth + 1, [...seen, title])]
  })
}

/** A value that fits a schema, made of its examples. */
export function example(document: OpenApi, node: SchemaNode | undefined, depth = 0): unknown {
  const schema = resolved(document, node)
  if (schema.examples?.length) return schema.examples[0]
  if (schema.example !== undefined) return schema.example
  if (schema.default !== undefined && schema.default !== null) return schema.default
  if (schema.const !== undefined) return schema.const
  if (schema.enum?.length) return schema.enum[0]
  if (schema.anyOf) return example(document, schema.anyOf.find((one) => one.type !== 'null') ?? schema.anyOf[0], depth)
  if (schema.type === 'array') return depth > DEPTH ? [] : [example(document, schema.items, depth + 1)]
  if (schema.properties) {
    if (depth > DEPTH) return {}
    return Object.fromEntries(Object.entries(schema.properties).map(([name, inner]) => [name, example(document, inner, depth + 1)]))
  }
  if (schema.format === 'date-time') return '2026-11-21T08:30:00Z'
  if (schema.format === 'date') return '2026-11-21'
  if (schema.format === 'uuid') return '0198c0de-0000-7000-8000-000000000000'
  const type = Array.isArray(schema.type) ? schema.type.find((one) => one !== 'null') : schema.type
  if (type === 'integer' || type === 'number') return schema.minimum ?? 1
  if (type === 'boolean') return true
  return type === 'object' ? {} : type === 'string' ? 'text' : null
}

/** The first body of a request or an answer: its media type and schema. */
export function bodyOf(content: Content | undefined): { type: string; schema: SchemaNode | undefined; example: unknown } | null {
  const [type, value] = Object.entries(content ?? {})[0] ?? []
  return type && value ? { type, schema: value.schema, example: value.example } : null
}

/** The example of a body as text. */
export function exampleText(document: OpenApi, body: ReturnType<typeof bodyOf>): string {
  if (!body) return ''
  const value = body.example ?? example(document, body.schema)
  return typeof value === 'string' ? value : JSON.stringify(value, null, 2)
}
