import { expect, test } from 'vitest'
import { ApiError } from '@/api'
import { problemsIn } from './useSetup'

test('the lines that a refusal names, whatever else is in it', () => {
  const details = [{ line: 7, where: 'nodes[0].host', message: 'is missing' }, { message: 'no line' }, 'odd', null]
  const error = new ApiError({ status: 422, code: 'invalid', message: 'no', details })
  expect(problemsIn(error)).toEqual([
    { line: 7, where: 'nodes[0].host', message: 'is missing' },
    { line: 0, where: '', message: 'no line' },
  ])
  expect(problemsIn(new ApiError({ status: 500, code: 'fault', message: 'no' }))).toEqual([])
})
