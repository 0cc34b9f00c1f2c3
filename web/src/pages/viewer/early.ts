/**
 * What the viewer needs first was asked for while the app itself still started (first.ts); who comes here by a link of the app
 * has it asked for now. What failed there is asked for again, so that the page can say what is wrong.
 */
import { api, raw, type Schemas } from '@/api'
import { fetchFirstImage, first, seriesOf, seriesUrl, type FirstImage } from './first'

const AFTER_PAINT_MS = 20
type Study = Schemas['StudyDetail']

let study = first?.study
let image = first?.image

/** An answer that came early, when it is a good one. */
async function good(waiting: Promise<Response> | undefined): Promise<Response | undefined> {
  const answer = await waiting?.catch(() => undefined)
  return answer?.ok ? answer : undefined
}

/** The metadata of a series. */
export async function askMetadata(studyUid: string, seriesUid: string): Promise<Response> {
  const url = `${seriesUrl(studyUid, seriesUid)}/metadata`
  const waiting = first?.metadata.get(url)
  first?.metadata.delete(url) // a body is read once, and the next one who asks wants what is there then
  return (await good(waiting)) ?? raw('GET', url, { headers: { Accept: 'application/dicom+json' } })
}

/** The study. */
export async function askStudy(studyUid: string): Promise<Study> {
  const waiting = first?.studyUid === studyUid ? study : undefined
  study = undefined
  const answer = await good(waiting)
  return answer ? ((await answer.json()) as Study) : api.get('/studies/{uid}', { path: { uid: studyUid } })
}

/** The image with which a series begins. */
export async function askFirstImage(studyUid: string, seriesUid: string): Promise<FirstImage> {
  const waiting = first?.studyUid === studyUid ? image : undefined
  const early = await waiting?.catch(() => undefined)
  if (!early || seriesOf(early.place) !== seriesUid) return fetchFirstImage(studyUid, seriesUid)
  image = undefined
  return early
}

/** Have the renderer loaded and started while the metadata are on their way, after what asks for them has been drawn. */
export function warmEngine(): void {
  setTimeout(() => void import('./engine').then((engine) => engine.prepare()).catch(() => undefined), AFTER_PAINT_MS) // the cell asks again, and says what is wrong
}
