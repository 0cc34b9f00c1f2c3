import { noteAnswer, noteSilence } from '@/composables/useConnection'
import { ApiError, errorOf } from './error'
import type { Answer, CallArguments, Method, Page, PathsWith } from './types'

export { ApiError, asApiError, problemsOf } from './error'
export type { Page, Schemas } from './types'

const BASE = '/api/v1'

/** What happens when the session does not hold any more: true when somebody has signed in again, so the call is tried once more. */
type SignInAgain = () => Promise<boolean>
let signInAgain: SignInAgain = () => Promise.resolve(false)

/** Told by the shell, which has the dialog. */
export function onSessionLost(handler: SignInAgain): void {
  signInAgain = handler
}

interface Options {
  path?: Record<string, string | number>
  query?: Record<string, unknown>
  body?: unknown
  signal?: AbortSignal
}

/** The address of a call: words of the path escaped, of the query only what is set. */
export function urlOf(template: string, options: Options = {}): string {
  const path = template.replace(/\{([a-z_]+)\}/g, (_, name: string) => encodeURIComponent(String(options.path?.[name] ?? '')))
  const query = new URLSearchParams()
  for (const [name, value] of Object.entries(options.query ?? {})) {
    for (const one of Array.isArray(value) ? value : [value]) {
      if (one !== undefined && one !== null && one !== '') query.append(name, String(one))
    }
  }
  const text = query.toString()
  return BASE + path + (text ? `?${text}` : '')
}

function cookie(name: string): string {
  const found = document.cookie.split('; ').find((part) => part.startsWith(name + '='))
  return found ? decodeURIComponent(found.slice(name.length + 1)) : ''
}

declare global {
  interface Window {
    /** Answers that public/begin.js has asked for while the app was on its way, by address. */
    gantryAhead?: Map<string, Promise<Response>>
  }
}
/** Since the page was opened. Later, what is there by then is wanted and not what was there. */
const AHEAD_MILLISECONDS = 10_000

/** An answer that is on its way already, or here; each is taken once. What went wrong is asked for again. */
async function takeAhead(url: string): Promise<Response | undefined> {
  const asked = window.gantryAhead?.get(url)
  window.gantryAhead?.delete(url)
  if (!asked || performance.now() > AHEAD_MILLISECONDS) return undefined
  const answer = await asked.catch(() => undefined)
  if (!answer?.ok) return undefined
  noteAnswer(answer)
  return answer
}

/** Ask the server; any answer that is no success is thrown as an ApiError. For files and streams: `raw`. */
export async function raw(method: string, url: string, options: Options & { headers?: Record<string, string> } = {}): Promise<Response> {
  if (method !== 'GET') window.gantryAhead?.clear() // what was there before is no more
  const answer = (await takeAhead(url)) ?? (await ask(method, url, options))
  if (answer.ok) return answer
  const error = await errorOf(answer)
  // A wrong password is 401 too, with another code; this one means that the session has ended.
  if (error.code === 'not_signed_in' && (await signInAgain())) {
    const again = await ask(method, url, options)
    if (again.ok) return again
    throw await errorOf(again)
  }
  throw error
}

async function ask(method: string, url: string, options: Options & { headers?: Record<string, string> }): Promise<Response> {
  const headers: Record<string, string> = { Accept: 'application/json', ...options.headers }
  let body: BodyInit | undefined
  if (options.body instanceof Blob || options.body instanceof FormData) body = options.body
  else if (options.body !== undefined) {
    headers['Content-Type'] = 'application/json'
    body = JSON.stringify(options.body)
  }
  if (method !== 'GET') headers['X-CSRFToken'] = cookie('csrftoken')
  try {
    const answer = await fetch(url, { method, headers, body, signal: options.signal, credentials: 'same-origin' })
    noteAnswer(answer)
    return answer
  } catch (error) {
    if (error instanceof DOMException && error.name === 'AbortError') throw error
    noteSilence()
    throw new ApiError({
      status: 0,
      code: 'unreachable',
      message: 'The server does not answer.',
      cause: error instanceof Error ? error.message : '',
      remedy: 'Nothing that you typed is lost. This page tries again by itself.',
    })
  }
}

async function call(method: Method, template: string, options: Options = {}): Promise<unknown> {
  const answer = await raw(method.toUpperCase(), urlOf(template, options), options)
  if (answer.status === 204) return undefined
  const type = answer.headers.get('Content-Type') ?? ''
  return type.includes('json') ? answer.json() : answer.text()
}

function caller<M extends Method>(method: M) {
  return <P extends PathsWith<M>>(path: P, ...rest: CallArguments<P, M>): Promise<Answer<P, M>> =>
    call(method, path, rest[0] as Options | undefined) as Promise<Answer<P, M>>
}

/**
 * The REST API, typed by docs/openapi.json: `await api.get('/studies/{uid}', { path: { uid } })`.
 * Paths stand without `/api/v1`. Throws ApiError.
 */
export const api = {
  get: caller('get'),
  post: caller('post'),
  put: caller('put'),
  patch: caller('patch'),
  delete: caller('delete'),
  /** The page behind `next` of a list. It is an address of this server whatever name it was called by. */
  async follow<T>(next: string, signal?: AbortSignal): Promise<Page<T>> {
    const { pathname, search } = new URL(next, location.origin)
    const answer = await raw('GET', pathname + search, { signal })
    return (await answer.json()) as Page<T>
  },
}
