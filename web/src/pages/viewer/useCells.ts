import { computed, reactive, ref, shallowReactive, watch } from 'vue'
import { useRoute, useRouter } from 'vue-router'
import type { Schemas } from '@/api'
import { cellsOf, isLayout, type Layout } from './layouts'
import { firstSeries, wishedSeries } from './series'
import type { useSeries } from './useSeries'
import type { StackCell } from './useStack'

/** Which series stands in which cell; the address says it too, so that it can be sent to somebody. */
export function useCells(series: ReturnType<typeof useSeries>) {
  const route = useRoute()
  const router = useRouter()
  const layout = ref<Layout>(isLayout(route.query.layout) ? route.query.layout : '1x1')
  const active = ref(0)
  const shown = reactive<(string | undefined)[]>([])
  const stacks = shallowReactive(new Map<number, StackCell>())
  const count = computed(() => cellsOf(layout.value))
  const stack = computed(() => stacks.get(active.value))
  const current = computed(() => shown[active.value])

  function put(cell: number, seriesUid: string): void {
    shown[cell] = seriesUid
    void series.want(seriesUid)
  }

  /** The first cells: what the address names, else the first series of which there are pictures. */
  function begin(all: Schemas['SeriesOut'][]): void {
    const first = firstSeries(all, wishedSeries(route.query.show ?? route.query.series))
    first.slice(0, count.value).forEach((one, cell) => put(cell, one.series_instance_uid))
  }

  function setLayout(next: Layout, uids: string[]): void {
    layout.value = next
    active.value = Math.min(active.value, count.value - 1)
    for (let cell = 0; cell < count.value; cell += 1) {
      const free = uids.find((uid) => !shown.slice(0, count.value).includes(uid))
      if (!shown[cell] && free) put(cell, free)
    }
  }

  watch(
    [layout, () => shown.slice(0, count.value).join(',')],
    () => {
      const show = shown.slice(0, count.value).filter(Boolean).join(',')
      const query = { layout: layout.value === '1x1' ? undefined : layout.value, show: show || undefined }
      void router.replace({ query })
    },
    { flush: 'post' },
  )

  return { layout, active, shown, stacks, count, stack, current, put, begin, setLayout }
}
