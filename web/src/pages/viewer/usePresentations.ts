import { computed, watch, type Ref } from 'vue'
import type { Schemas } from '@/api'
import { presentationOf, type Presentation } from './presentation'
import type { Shown } from './series'
import type { useSeries } from './useSeries'

/** So many series and states of a study are looked at. */
const MOST_SERIES = 20
const MOST_STATES = 500

/** The presentation states of a study, read when `begin` is true: after the first image, which they would hold up. */
export function usePresentations(series: ReturnType<typeof useSeries>, all: Ref<Schemas['SeriesOut'][]>, begin: Ref<boolean>) {
  const read = new WeakMap<object, Presentation>()
  const uids = computed(() => all.value.filter((one) => one.modality === 'PR').slice(0, MOST_SERIES).map((one) => one.series_instance_uid))
  const states = computed(() =>
    uids.value
      .flatMap((uid) => series.loaded.get(uid)?.shown?.datasets ?? [])
      .slice(0, MOST_STATES)
      .map((dataset) => {
        const state = read.get(dataset) ?? presentationOf(dataset)
        read.set(dataset, state)
        return state
      }),
  )

  watch([begin, uids], () => begin.value && uids.value.forEach((uid) => void series.want(uid)), { immediate: true })

  /** Those that are for images of what is shown. */
  function of(shown: Shown | undefined): Presentation[] {
    return states.value.filter((state) => [...state.images.keys()].some((uid) => shown?.instancesOfImages.has(uid)))
  }

  return { states, of }
}
