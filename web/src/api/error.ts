/** What the server (or the way to it) refused: for a program (`code`) and for a person (`message`, `cause`, `remedy`). */
export class ApiError extends Error {
  override readonly name = 'ApiError'
  /** HTTP status; 0 when no answer came. */
  readonly status: number
  readonly code: string
  override readonly cause: string
  readonly remedy: string
  /** More, as the code needs; with `invalid` the list of wrong values. */
  readonly details: unknown
  /** Seconds to wait before the next attempt; 0: not told. */
  readonly retryAfter: number

  constructor(parts: {
    status: number
    code: string
    message: string
    cause?: string
    remedy?: string
    details?: unknown
    retryAfter?: number
  }) {
    super(parts.message)
    this.status = parts.status
    this.code = parts.code
    this.cause = parts.cause ?? ''
    this.remedy = parts.remedy ?? ''
    this.details = parts.details ?? null
    this.retryAfter = parts.retryAfter ?? 0
  }
}

/** One wrong value of an `invalid` request. */
export interface Problem {
  where: string
  message: string
}

/** The wrong values that a 422 names; empty for anything else. */
export function problemsOf(error: unknown): Problem[] {
  if (!(error instanceof ApiError) || !Array.isArray(error.details)) return []
  return error.details.flatMap((detail: unknown) => {
    if (typeof detail !== 'object' || detail === null || !('message' in detail)) return []
    const where = 'where' in detail && typeof detail.where === 'string' ? detail.where : ''
    return [{ where, message: String(detail.message) }]
  })
}

/** Whatever was thrown, as an ApiError: pages show one kind of error only. */
export function asApiError(error: unknown): ApiError {
  if (error instanceof ApiError) return error
  const words = error instanceof Error ? error.message : String(error)
  return new ApiError({ status: 0, code: 'page_fault', message: 'Something went wrong in this page.', cause: words })
}

interface ErrorBody {
  error: { code: string; message: string; remedy?: string; details?: unknown }
}

function isErrorBody(value: unknown): value is ErrorBody {
  if (typeof value !== 'object' || value === null || !('error' in value)) return false
  const inner = value.error
  return typeof inner === 'object' && inner !== null && 'code' in inner && 'message' in inner
}

/** The error in an answer that is no success, whether the server or a proxy before it wrote it. */
export async function errorOf(answer: Response): Promise<ApiError> {
  const retryAfter = Number(answer.headers.get('Retry-After')) || 0
  const body: unknown = await answer.json().catch(() => null)
  if (isErrorBody(body)) {
    const { code, message, remedy, details } = body.error
    const cause = typeof details === 'string' ? details : ''
    return new ApiError({ status: answer.status, code, message, cause, remedy, details, retryAfter })
  }
  const cause = `HTTP ${answer.status} ${answer.statusText}`.trim()
  return new ApiError({ status: answer.status, code: 'unreadable_answer', message: 'The server did not answer as it should.', cause, retryAfter })
}
