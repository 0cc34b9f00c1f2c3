import { readFileSync } from 'node:fs'
import type { IncomingMessage, ServerResponse } from 'node:http'
import type { Plugin } from 'vite'

interface Schema {
  $ref?: string
  type?: string
  format?: string
  examples?: unknown[]
  example?: unknown
  default?: unknown
  enum?: unknown[]
  const?: unknown
  anyOf?: Schema[]
  allOf?: Schema[]
  oneOf?: Schema[]
  items?: Schema
  properties?: Record<string, Schema>
  additionalProperties?: boolean | Schema
  minimum?: number
}
interface Operation {
  responses: Record<string, { content?: Record<string, { schema?: Schema }> }>
}
interface Document {
  paths: Record<string, Record<string, Operation>>
  components: { schemas: Record<string, Schema> }
}

const ROWS = 25
const DEEPEST = 8

/** `make web-mocked`: the REST API out of the examples of docs/openapi.json. It keeps nothing: what is sent is only said to be done. */
export function mocked(openapi: string): Plugin {
  return {
    name: 'gantry:mocked',
    apply: (_, { mode, command }) => mode === 'mocked' && command === 'serve',
    configureServer(server) {
      const document = JSON.parse(readFileSync(openapi, 'utf8')) as Document
      server.middlewares.use((request, response, next) => {
        if (!request.url?.startsWith('/api/v1/')) return next()
        answer(document, request, response)
      })
    },
  }
}

function answer(document: Document, request: IncomingMessage, response: ServerResponse): void {
  const path = new URL(request.url ?? '/', 'http://mocked').pathname
  if (path === '/api/v1/events') {
    response.writeHead(200, { 'Content-Type': 'text/event-stream' }).write('retry: 3000\n\n')
    return
  }
  const method = (request.method ?? 'GET').toLowerCase()
  const template = Object.keys(document.paths).find((one) => new RegExp(`^${one.replace(/\{[^}]+\}/g, '[^/]+')}$`).test(path) && document.paths[one]?.[method])
  const operation = template ? document.paths[template]?.[method] : undefined
  if (!operation) {
    send(response, 404, { error: { code: 'not_found', message: 'There is no such route.', remedy: 'Look into docs/openapi.json.', details: null } })
    return
  }
  const status = Object.keys(operation.responses).find((one) => one.startsWith('2')) ?? '204'
  const schema = operation.responses[status]?.content?.['application/json']?.schema
  if (!schema) {
    response.writeHead(204).end()
    return
  }
  const made = new Maker(document).make(schema, '', 0)
  send(response, Number(status), template === '/api/v1/welcome' ? { ...(made as object), session: session(document), providers: [] } : template === '/api/v1/session' ? session(document) : made)
}

function send(response: ServerResponse, status: number, body: unknown): void {
  response.writeHead(status, { 'Content-Type': 'application/json' }).end(JSON.stringify(body))
}

/** Somebody who may everything that any route asks for. */
function session(document: Document): unknown {
  const actions = Object.values(document.paths).flatMap((path) => Object.values(path).map((operation) => (operation as { 'x-action'?: string })['x-action'] ?? ''))
  return {
    username: 'mocked',
    role: 'administrator',
    via: 'session',
    must_change_password: false,
    actions: [...new Set([...actions, 'patients.identify'])].filter(Boolean).sort(),
    institute: 'Radiology',
    institutes: [{ name: 'Radiology', role: 'administrator' }, { name: 'Cardiology', role: 'viewer' }],
  }
}

/** A value for a schema: its example where it has one, otherwise something of its kind. */
class Maker {
  readonly document: Document
  private count = 0

  constructor(document: Document) {
    this.document = document
  }

  make(schema: Schema, name: string, depth: number): unknown {
    if (depth > DEEPEST) return null
    if (schema.$ref) return this.make(this.document.components.schemas[schema.$ref.split('/').pop() ?? ''] ?? {}, name, depth + 1)
    if (schema.const !== undefined) return schema.const
    if (schema.examples?.length) return this.vary(schema.examples[0], name)
    if (schema.example !== undefined) return schema.example
    if (schema.enum) return schema.enum[0]
    const choice = schema.anyOf ?? schema.oneOf ?? schema.allOf
    if (choice) return this.make(choice.find((one) => one.type !== 'null') ?? {}, name, depth + 1)
    switch (schema.type) {
      case 'object':
        return Object.fromEntries(Object.entries(schema.properties ?? {}).map(([key, value]) => [key, key === 'next' ? null : this.make(value, key, depth + 1)]))
      case 'array':
        return Array.from({ length: name === 'items' ? ROWS : 2 }, () => this.make(schema.items ?? {}, name, depth + 1))
      case 'integer':
      case 'number':
        return name === 'id' || name.endsWith('_id') ? ++this.count : (schema.minimum ?? 0) + (++this.count % 40)
      case 'boolean':
        return false
      case 'string':
        return this.text(schema.format ?? '', name)
      default:
        return null
    }
  }

  /** Rows of a list differ where they are told apart by it. */
  private vary(example: unknown, name: string): unknown {
    if (typeof example !== 'string' || !/(^|_)(id|uid|name)$/.test(name)) return example
    return `${example}${name.endsWith('uid') ? '.' : ' '}${++this.count}`
  }

  private text(format: string, name: string): string {
    const when = new Date(Date.now() - ++this.count * 3_600_000).toISOString()
    if (format === 'date-time') return when
    if (format === 'date') return when.slice(0, 10)
    if (format === 'uuid') return `00000000-0000-4000-8000-${String(this.count).padStart(12, '0')}`
    if (name.endsWith('uid')) return `1.2.826.0.1.3680043.10.1338.${this.count}`
    if (name === 'patient_name') return ['Doe^Jane', 'Müller^Jörg', 'Yamada^Tarou', 'Ólafsdóttir^Guðrún'][this.count % 4] ?? ''
    return name.replaceAll('_', ' ')
  }
}
