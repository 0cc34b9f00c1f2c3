/**
 * What the viewer needs first is asked for while the app itself still starts: study, metadata and picture of the series that
 * will be shown come side by side with the session, the words and the renderer.
 */
import { api, raw, type Schemas } from '@/api'
import { firstSeries, pictureUrl, seriesUrl, wishedSeries } from './series'

const AFTER_PAINT_MS = 20
type Study = Schemas['StudyDetail']

let uid = ''
let study: Promise<Study> | undefined
const metadata = new Map<string, Promise<Response>>()

function metadataUrl(studyUid: string, seriesUid: string): string {
  return `${seriesUrl(studyUid, seriesUid)}/metadata`
}

/** The metadata of a series, perhaps on their way already. */
export function askMetadata(studyUid: string, seriesUid: string): Promise<Response> {
  const url = metadataUrl(studyUid, seriesUid)
  const waiting = metadata.get(url)
  metadata.delete(url) // a body is read once, and the next one who asks wants what is there then
  const ask = () => raw('GET', url, { headers: { Accept: 'application/dicom+json' } })
  return waiting?.catch(ask) ?? ask()
}

/** The study, perhaps on its way already. */
export function askStudy(studyUid: string): Promise<Study> {
  const waiting = uid === studyUid ? study : undefined
  study = undefined
  const ask = () => api.get('/studies/{uid}', { path: { uid: studyUid } })
  return waiting?.catch(ask) ?? ask()
}

/** Begin with the study whose viewer is the first page that is opened. What fails is asked for again by the page. */
export async function beginEarly(studyUid: string, query: URLSearchParams): Promise<void> {
  uid = studyUid
  study = api.get('/studies/{uid}', { path: { uid: studyUid } })
  const [first] = firstSeries((await study).series, wishedSeries(query.get('show') ?? query.get('series')))
  if (!first) return
  const picture = pictureUrl(studyUid, first)
  if (picture) new Image().src = picture
  const url = metadataUrl(studyUid, first.series_instance_uid)
  metadata.set(url, raw('GET', url, { headers: { Accept: 'application/dicom+json' } }))
  warmEngine()
  await metadata.get(url)
}

/** Have the renderer loaded and started while the metadata are on their way, after what asks for them has been drawn. */
export function warmEngine(): void {
  setTimeout(() => void import('./engine').then((engine) => engine.prepare()).catch(() => undefined), AFTER_PAINT_MS) // the cell asks again, and says what is wrong
}
