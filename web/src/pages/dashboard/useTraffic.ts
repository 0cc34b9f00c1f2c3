import { useIntervalFn } from '@vueuse/core'
import { computed, onScopeDispose, shallowRef, watch, type Ref } from 'vue'
import { api, asApiError, type ApiError, type Schemas } from '@/api'
import { begin, buckets, SPANS, type Span } from '@/components/charts/series'
import { serverNow } from '@/composables/useConnection'

export type Unit = 'instances' | 'bytes'
type Measure = NonNullable<Schemas['Series']>['measure']
type Points = Schemas['Point'][]

/** The roll-up has one line more each minute. */
const REFRESH_MILLISECONDS = 30_000

/** What came and went over a span of time; of one subject (a node, an AE title) or of all. */
export function useTraffic(span: Ref<Span>, unit: Ref<Unit>, subject = '') {
  const received = shallowRef<Points>([])
  const forwarded = shallowRef<Points>([])
  const now = shallowRef(serverNow())
  const error = shallowRef<ApiError | null>(null)
  let current: AbortController | null = null

  async function ask(measure: Measure, signal: AbortSignal): Promise<Points> {
    const from = new Date(begin(span.value, serverNow())).toISOString()
    const query = { measure: measure as 'received_bytes', step: SPANS[span.value].step, from, subject }
    return (await api.get('/metrics/series', { query, signal })).points
  }

  async function load(): Promise<void> {
    current?.abort()
    const mine = (current = new AbortController())
    try {
      const ways = subject ? (['forwarded'] as const) : (['received', 'forwarded'] as const)
      const found = await Promise.all(ways.map((way) => ask(`${way}_${unit.value}`, mine.signal)))
      if (mine !== current) return
      now.value = serverNow()
      received.value = subject ? [] : (found[0] ?? [])
      forwarded.value = found[ways.length - 1] ?? []
      error.value = null
    } catch (thrown) {
      if (mine === current && !mine.signal.aborted) error.value = asApiError(thrown)
    }
  }

  watch([span, unit], () => void load(), { immediate: true })
  useIntervalFn(() => void load(), REFRESH_MILLISECONDS)
  onScopeDispose(() => {
    current?.abort()
    current = null
  })
  return {
    error,
    load,
    received: computed(() => buckets(received.value, span.value, now.value)),
    forwarded: computed(() => buckets(forwarded.value, span.value, now.value)),
  }
}
