import { expect, test } from 'vitest'
import { operations, type OpenApi } from './document'
import { addressOf, atFirst, curl } from './request'

const document = {
  info: { title: 'x', version: '1' },
  components: { schemas: {} },
  paths: {
    '/api/v1/rules/{name}': {
      patch: {
        operationId: 'change_rule', responses: {}, 'x-action': 'rules.edit',
        parameters: [
          { name: 'name', in: 'path', required: true, schema: { type: 'string', examples: ['ct'] } },
          { name: 'q', in: 'query', schema: { type: 'string' } },
        ],
        requestBody: { content: { 'application/json': { schema: { type: 'object', properties: { note: { type: 'string', examples: ["it's"] } } } } } },
      },
    },
  },
} as unknown as OpenApi

test('what is filled in is in the address and in the command, escaped', () => {
  const [operation] = operations(document)
  if (!operation) throw new Error('no operation')
  const first = atFirst(document, operation)
  expect(addressOf(operation, first.values)).toBe('/api/v1/rules/ct')
  const given = { values: { 'path name': 'a/b', 'query q': 'x & y' }, body: '{\n "note": "it\'s"\n}' }
  expect(curl(document, operation, 'http://h', given)).toBe(
    String.raw`curl -X PATCH 'http://h/api/v1/rules/a%2Fb?q=x%20%26%20y' \
  -H "Authorization: Bearer $GANTRY_TOKEN" \
  -H 'Content-Type: application/json' \
  --data-binary '{"note":"it'\''s"}'`,
  )
})
