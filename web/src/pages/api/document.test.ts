import { expect, test } from 'vitest'
import { example, fields, matching, operations, typeOf, type OpenApi } from './document'
import { curl } from './request'

const document: OpenApi = {
  info: { title: 'Gantry', version: '1' },
  paths: {
    '/api/v1/nodes/{name}': {
      patch: {
        operationId: 'change_node',
        summary: 'Change a node',
        tags: ['nodes'],
        'x-action': 'nodes.edit',
        parameters: [
          { name: 'name', in: 'path', required: true, schema: { type: 'string', examples: ["the 'archive'"] } },
          { name: 'limit', in: 'query', schema: { type: 'integer' } },
        ],
        requestBody: { content: { 'application/json': { schema: { $ref: '#/components/schemas/Node' } } } },
        responses: {},
      },
    },
  },
  components: {
    schemas: {
      Node: {
        title: 'Node',
        type: 'object',
        required: ['host'],
        properties: {
          host: { type: 'string', examples: ["it's"] },
          port: { anyOf: [{ type: 'integer' }, { type: 'null' }], default: null },
          children: { type: 'array', items: { $ref: '#/components/schemas/Node' } },
        },
      },
    },
  },
}
const operation = operations(document)[0]!

test('every word of a search must occur somewhere', () => {
  expect(matching(operations(document), 'PATCH nodes.edit')).toHaveLength(1)
  expect(matching(operations(document), 'patch studies')).toHaveLength(0)
})

test('a schema that holds itself ends', () => {
  const body = { $ref: '#/components/schemas/Node' }
  expect(fields(document, body).map((one) => [one.name, one.type, one.required])).toEqual([
    ['host', 'string', true],
    ['port', 'integer | null', false],
    ['children', 'Node[]', false],
  ])
  expect(typeOf(document, body)).toBe('Node')
  expect(JSON.stringify(example(document, body)).length).toBeGreaterThan(20)
})

test('a command line is quoted for a shell', () => {
  const line = curl(document, operation, 'https://gantry.example')
  expect(line).toContain(`curl -X PATCH 'https://gantry.example/api/v1/nodes/the%20`)
  expect(line).not.toContain('limit=')
  expect(line).toContain(`it'\\''s`)
})
