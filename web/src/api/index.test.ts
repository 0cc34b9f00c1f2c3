import { afterEach, describe, expect, it, vi } from 'vitest'
import { api, ApiError, onSessionLost, problemsOf, urlOf } from '.'

const json = (status: number, body: unknown) => new Response(JSON.stringify(body), { status, headers: { 'Content-Type': 'application/json' } })
const refused = (status: number, code: string, details: unknown = null) => json(status, { error: { code, message: 'No.', remedy: 'Do so.', details } })

function answers(...list: (Response | Error)[]) {
  const asked = vi.fn(() => {
    const answer = list.shift()
    return answer instanceof Response ? Promise.resolve(answer) : Promise.reject(answer ?? new Error('no answer left'))
  })
  vi.stubGlobal('fetch', asked)
  return asked
}

afterEach(() => {
  vi.unstubAllGlobals()
  onSessionLost(() => Promise.resolve(false))
})

describe('addresses', () => {
  it('escapes words of the path and leaves out what is not set', () => {
    expect(urlOf('/nodes/{name}', { path: { name: 'A/../B?c' } })).toBe('/api/v1/nodes/A%2F..%2FB%3Fc')
    expect(urlOf('/studies', { query: { q: 'Müller & Söhne', modality: ['CT', 'MR'], none: undefined, empty: '', no: false } })).toBe(
      '/api/v1/studies?q=M%C3%BCller+%26+S%C3%B6hne&modality=CT&modality=MR&no=false',
    )
  })
})

describe('what was asked for before the app was there', () => {
  it('is taken once, asked for anew when it failed, and forgotten when something was changed', async () => {
    const asked = answers(json(200, { version: 'anew' }), json(200, { version: 'again' }), json(200, {}), json(200, { version: 'changed' }))
    window.gantryAhead = new Map([['/api/v1/welcome', Promise.resolve(json(200, { version: 'ahead' }))]])
    expect(await api.get('/welcome')).toEqual({ version: 'ahead' })
    expect(await api.get('/welcome')).toEqual({ version: 'anew' })
    window.gantryAhead.set('/api/v1/welcome', Promise.resolve(refused(401, 'not_signed_in')))
    expect(await api.get('/welcome')).toEqual({ version: 'again' })
    window.gantryAhead.set('/api/v1/welcome', Promise.resolve(json(200, { version: 'of somebody else' })))
    await api.post('/session', { body: { username: 'a', password: 'b', code: '' } })
    expect(await api.get('/welcome')).toEqual({ version: 'changed' })
    expect(asked).toHaveBeenCalledTimes(4)
  })
})

describe('refusals', () => {
  it('become one kind of error', async () => {
    answers(refused(422, 'invalid', [{ where: 'body.name', message: 'too long' }]))
    const error = await api.get('/nodes').catch((thrown: unknown) => thrown)
    expect(error).toBeInstanceOf(ApiError)
    expect(error).toMatchObject({ status: 422, code: 'invalid', message: 'No.', remedy: 'Do so.' })
    expect(problemsOf(error)).toEqual([{ where: 'body.name', message: 'too long' }])
  })

  it('of a proxy too', async () => {
    answers(new Response('<html>', { status: 502, statusText: 'Bad Gateway' }))
    await expect(api.get('/nodes')).rejects.toMatchObject({ status: 502, code: 'unreadable_answer', cause: 'HTTP 502 Bad Gateway' })
  })

  it('no answer at all', async () => {
    answers(new TypeError('Failed to fetch'), json(200, { status: 'live' }))
    await expect(api.get('/nodes')).rejects.toMatchObject({ status: 0, code: 'unreachable' })
  })
})

describe('a session that has ended', () => {
  it('asks, and then tries the same again', async () => {
    const asked = answers(refused(401, 'not_signed_in'), json(201, { name: 'A' }))
    onSessionLost(() => Promise.resolve(true))
    await api.post('/nodes', { body: { name: 'A' } as never })
    expect(asked).toHaveBeenCalledTimes(2)
    expect(asked.mock.calls[0]).toEqual(asked.mock.calls[1])
  })

  it('does not take a wrong password for one', async () => {
    const again = vi.fn(() => Promise.resolve(true))
    onSessionLost(again)
    answers(refused(401, 'sign_in_refused'))
    await expect(api.post('/session', { body: { username: 'a', password: 'b', code: '' } })).rejects.toMatchObject({ code: 'sign_in_refused' })
    expect(again).not.toHaveBeenCalled()
  })
})
