/** Which span of time a chart shows. */
export type Span = 'hour' | 'day' | 'week'

export interface Bucket {
  /** Milliseconds since 1970, its beginning. */
  at: number
  value: number
}

interface Point {
  at: string
  value: number
}

const MINUTE = 60_000
const HOUR = 60 * MINUTE

/** Of each span: what the server is asked for, how wide a bar is, and how many there are. */
export const SPANS: Record<Span, { step: 'minute' | 'hour'; width: number; count: number }> = {
  hour: { step: 'minute', width: MINUTE, count: 60 },
  day: { step: 'hour', width: HOUR, count: 24 },
  week: { step: 'hour', width: 4 * HOUR, count: 42 },
}

/** Where a span begins. The last bar of an hour is the last whole minute; of a day the hour that runs. */
export function begin(span: Span, now: number): number {
  const { width, count } = SPANS[span]
  const end = Math.floor(now / width) * width + (span === 'hour' ? 0 : width)
  return end - count * width
}

/** Points of all subjects as bars without gap: steps in which nothing happened are 0. */
export function buckets(points: readonly Point[], span: Span, now: number): Bucket[] {
  const { width, count } = SPANS[span]
  const from = begin(span, now)
  const bars = Array.from({ length: count }, (_, index) => ({ at: from + index * width, value: 0 }))
  for (const point of points) {
    const bar = bars[Math.floor((Date.parse(point.at) - from) / width)]
    if (bar) bar.value += point.value
  }
  return bars
}

/** The upper end of an axis: a round number (1, 2 or 5 times a power of ten) that is not below the highest value. */
export function ceiling(highest: number): number {
  if (highest <= 0) return 1
  const power = 10 ** Math.floor(Math.log10(highest))
  return [1, 2, 5, 10].map((step) => step * power).find((step) => step >= highest) ?? 10 * power
}
