import { shallowReactive } from 'vue'
import { asApiError, type ApiError } from '@/api'
import { askMetadata } from './early'
import { unpackPalettes } from './palette'
import { shownOf, type Dataset, type Shown } from './series'

/** One series on its way to a cell. */
export interface Loaded {
  shown?: Shown
  error?: ApiError
}

/** The metadata of the series of a study, each asked for once, when it is wanted. */
export function useSeries(studyUid: string) {
  const loaded = shallowReactive(new Map<string, Loaded>())
  const asked = new Map<string, Promise<void>>()

  async function fetchOne(seriesUid: string): Promise<void> {
    try {
      const answer = await askMetadata(studyUid, seriesUid)
      const instances = (await answer.json()) as Dataset[]
      await unpackPalettes(instances)
      loaded.set(seriesUid, { shown: shownOf(studyUid, seriesUid, instances, location.origin) })
    } catch (error) {
      asked.delete(seriesUid)
      loaded.set(seriesUid, { error: asApiError(error) })
    }
  }

  /** Have a series there; a second call waits for the first. After an error it is asked for again. */
  function want(seriesUid: string): Promise<void> {
    const waiting = asked.get(seriesUid) ?? fetchOne(seriesUid)
    asked.set(seriesUid, waiting)
    return waiting
  }

  return { loaded, want }
}
