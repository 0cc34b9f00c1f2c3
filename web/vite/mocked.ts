import { readFileSync } from 'node:fs'
import type { IncomingMessage, ServerResponse } from 'node:http'
import type { Plugin } from 'vite'

export interface Schema {
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
  required?: string[]
  properties?: Record<string, Schema>
  additionalProperties?: boolean | Schema
  minimum?: number
}
interface Operation {
  'x-action'?: string
  responses: Record<string, { content?: Record<string, { schema?: Schema }> }>
}
export interface Document {
  paths: Record<string, Record<string, Operation>>
  components: { schemas: Record<string, Schema> }
}
/** What is sent back; a `body` that is no text goes as JSON, `stream` stays open. */
export interface Answered {
  status: number
  type: string
  body: unknown
  stream?: boolean
}

const ROWS = 25
const DEEPEST = 8
const PICTURE =
  '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 64 64"><rect width="64" height="64" fill="#111"/>' +
  '<circle cx="32" cy="32" r="22" fill="#555"/><circle cx="32" cy="32" r="15" fill="#999"/></svg>'

/** `make web-mocked`: the REST API out of the examples of docs/openapi.json. It keeps nothing: what is sent is only said to be done. */
export function mocked(openapi: string): Plugin {
  return {
    name: 'gantry:mocked',
    apply: (_, { mode, command }) => mode === 'mocked' && command === 'serve',
    configureServer(server) {
      const document = JSON.parse(readFileSync(openapi, 'utf8')) as Document
      server.middlewares.use((request, response, next) => {
        const path = new URL(request.url ?? '/', 'http://mocked').pathname
        if (/^\/(api\/v1|dicomweb)\//.test(path)) write(response, request, answer(document, (request.method ?? 'GET').toLowerCase(), path))
        else next()
      })
    },
  }
}

function write(response: ServerResponse, request: IncomingMessage, { status, type, body, stream }: Answered): void {
  response.writeHead(status, type ? { 'Content-Type': type } : {})
  if (stream) {
    response.write(body)
    request.on('close', () => response.end())
  } else response.end(type === '' ? undefined : typeof body === 'string' ? body : JSON.stringify(body))
}

/** What the server would say to this, by the shape of its answers. */
export function answer(document: Document, method: string, path: string): Answered {
  if (path.startsWith('/dicomweb/')) return ofPictures(path)
  if (path === '/api/v1/openapi.json') return json(200, document)
  const template = templateOf(document, method, path)
  const operation = template ? document.paths[template]?.[method] : undefined
  if (!operation) return refusal('There is no such route.', 'Look into docs/openapi.json.')
  const status = Object.keys(operation.responses).find((one) => one.startsWith('2')) ?? '204'
  const content = operation.responses[status]?.content ?? {}
  const schema = content['application/json']?.schema
  if (schema) {
    const made = new Maker(document).make(schema, '', 0)
    if (template === '/api/v1/session') return json(Number(status), session(document))
    if (template === '/api/v1/welcome') return json(200, { ...(made as object), session: session(document), providers: [] })
    return json(Number(status), made)
  }
  const [type = ''] = Object.keys(content)
  if (type === 'text/event-stream') return { status: 200, type, body: 'retry: 3000\n\n', stream: true }
  return { status: Number(status), type, body: '' }
}

function json(status: number, body: unknown): Answered {
  return { status, type: 'application/json', body }
}

function refusal(message: string, remedy: string): Answered {
  return json(404, { error: { code: 'not_found', message, remedy, details: null } })
}

/** Thumbnails and painted frames are one drawing; there are no data to look at without a server. */
function ofPictures(path: string): Answered {
  if (/\/(thumbnail|rendered)$/.test(path)) return { status: 200, type: 'image/svg+xml', body: PICTURE }
  return refusal('There are no images without a server.', 'Run `make web-dev` beside `make demo`.')
}

/** The path of the document that this one fits, words before placeholders: /nodes/refused is no /nodes/{name}. */
function templateOf(document: Document, method: string, path: string): string | undefined {
  const fitting = Object.keys(document.paths).filter(
    (one) => document.paths[one]?.[method] && new RegExp(`^${one.replace(/\{[^}]+\}/g, '[^/]+')}$`).test(path),
  )
  const placeholders = (one: string) => one.split('{').length
  return fitting.sort((one, other) => placeholders(one) - placeholders(other))[0]
}

/** Somebody who may everything that any route asks for. */
function session(document: Document): unknown {
  const actions = Object.values(document.paths).flatMap((path) => Object.values(path).map((operation) => operation['x-action'] ?? ''))
  return {
    username: 'mocked',
    role: 'administrator',
    via: 'session',
    must_change_password: false,
    actions: [...new Set([...actions, 'patients.identify', 'docs.view'])].filter(Boolean).sort(),
    institute: 'Radiology',
    institutes: [
      { name: 'Radiology', role: 'administrator' },
      { name: 'Cardiology', role: 'viewer' },
    ],
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
    if (schema.$ref) return this.make(this.document.components.schemas[schema.$ref.split('/').pop() ?? ''] ?? {}, name, depth + 1)
    if (schema.const !== undefined) return schema.const
    if (schema.examples?.length) return this.vary(schema.examples[0], name)
    if (schema.example !== undefined) return schema.example
    if (schema.enum) return schema.enum[0]
    const choice = schema.anyOf ?? schema.oneOf ?? schema.allOf
    if (choice) {
      // What holds itself (conditions of a rule) must end somewhere: with nothing, where that is allowed.
      const nothing = depth > DEEPEST ? choice.find((one) => one.type === 'null') : undefined
      return this.make(nothing ?? choice.find((one) => one.type !== 'null') ?? {}, name, depth + 1)
    }
    switch (schema.type) {
      case 'object':
        return this.fields(schema, depth)
      case 'array':
        return Array.from({ length: depth > DEEPEST ? 0 : name === 'items' ? ROWS : 2 }, () => this.make(schema.items ?? {}, name, depth + 1))
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

  private fields({ properties = {}, required = [] }: Schema, depth: number): unknown {
    const wanted = Object.entries(properties).filter(([key]) => depth <= DEEPEST || required.includes(key))
    return Object.fromEntries(wanted.map(([key, value]) => [key, key === 'next' ? null : this.make(value, key, depth + 1)]))
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
    if (name === 'modalities') return ['CT', 'MR', 'US'][this.count % 3] ?? ''
    if (name === 'patient_name') return ['Doe^Jane', 'Müller^Jörg', 'Yamada^Tarou', 'Ólafsdóttir^Guðrún'][this.count % 4] ?? ''
    return name.replaceAll('_', ' ')
  }
}
