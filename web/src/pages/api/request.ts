import { bodyOf, example, exampleText, type OpenApi, type Operation, type Parameter } from './document'

/** What is filled in for a call: parameters by `where name`, and the body as text. */
export interface Given {
  values: Record<string, string>
  body: string
}

export const keyOf = (one: Parameter) => `${one.in} ${one.name}`
/** What a person fills in; the rest is the browser's. */
export const parametersOf = (operation: Operation) => (operation.parameters ?? []).filter((one) => one.in === 'path' || one.in === 'query')

/** What stands there at first: examples of what is required, nothing else. */
export function atFirst(document: OpenApi, operation: Operation): Given {
  const required = parametersOf(operation).filter((one) => one.required)
  return {
    values: Object.fromEntries(required.map((one) => [keyOf(one), String(example(document, one.schema))])),
    body: exampleText(document, bodyOf(operation.requestBody?.content)),
  }
}

/** Path and query of a call. */
export function addressOf(operation: Operation, values: Given['values']): string {
  let path = operation.path
  const query: string[] = []
  for (const one of parametersOf(operation)) {
    const value = values[keyOf(one)] ?? ''
    if (one.in === 'path') path = path.replace(`{${one.name}}`, encodeURIComponent(value))
    else if (value !== '') query.push(`${encodeURIComponent(one.name)}=${encodeURIComponent(value)}`)
  }
  return path + (query.length ? `?${query.join('&')}` : '')
}

const quoted = (text: string) => `'${text.replaceAll("'", String.raw`'\''`)}'`

/** JSON in one line; anything else as it is. */
function compact(text: string): string {
  try {
    return JSON.stringify(JSON.parse(text))
  } catch {
    return text
  }
}

/** A command line that asks the same. */
export function curl(document: OpenApi, operation: Operation, origin: string, given: Given = atFirst(document, operation)): string {
  const parts = ['curl', ...(operation.method === 'get' ? [] : ['-X', operation.method.toUpperCase()])]
  parts.push(quoted(origin + addressOf(operation, given.values)))
  if (operation.action !== 'public') parts.push(String.raw`\
  -H "Authorization: Bearer $GANTRY_TOKEN"`)
  const body = bodyOf(operation.requestBody?.content)
  if (body) {
    const text = body.type.includes('json') ? compact(given.body) : given.body
    parts.push(`\\\n  -H ${quoted(`Content-Type: ${body.type}`)}`, `\\\n  --data-binary ${quoted(text)}`)
  }
  return parts.join(' ')
}
