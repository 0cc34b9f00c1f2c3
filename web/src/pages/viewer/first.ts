/**
 * The first thing that runs when a viewer's address is opened (vite/first.ts puts it before the app): asks for the first
 * image, the study and the metadata by what stands in the address, has the viewer's files fetched, and shows the image where
 * it will stand. All of it is handed over to the viewer when that is there. No other module of ours is needed for it.
 */

/** The image with which a series begins, as the server paints it. */
export interface FirstImage {
  /** In this browser (blob:). */
  url: string
  /** Below the DICOMweb root: study, series, instance, frame. */
  place: string
}

interface First {
  studyUid: string
  study: Promise<Response>
  image: Promise<FirstImage>
  /** By address. */
  metadata: Map<string, Promise<Response>>
}

const VIEWER = /^\/studies\/([0-9.]+)\/view\/?$/
const JSON_TYPE = { Accept: 'application/json' }
/** Where the first cell begins: below the header, beside or below the series. */
const WIDE = { top: 45, left: 144 }
const NARROW = { top: 212, left: 0 }
const WIDE_PIXELS = 1024

/** The address of a series below the DICOMweb root. */
export function seriesUrl(studyUid: string, seriesUid: string): string {
  return `/dicomweb/studies/${encodeURIComponent(studyUid)}/series/${encodeURIComponent(seriesUid)}`
}

/** Ask for the image with which the viewer of a study, or of one of its series, begins. */
export async function fetchFirstImage(studyUid: string, seriesUid = ''): Promise<FirstImage> {
  const query = seriesUid ? `?series=${encodeURIComponent(seriesUid)}` : ''
  // Without headers of its own: the page may have asked for it already (a Link header), and this takes that answer.
  const answer = await fetch(`/api/v1/studies/${encodeURIComponent(studyUid)}/first-image` + query)
  if (!answer.ok) throw new Error(`first image: ${answer.status}`)
  const place = answer.headers.get('Content-Location') ?? ''
  return { url: URL.createObjectURL(await answer.blob()), place }
}

/** The series that an image is of. */
export function seriesOf(place: string): string {
  return /\/series\/([^/]+)\//.exec(place)?.[1] ?? ''
}

const shown: HTMLElement[] = []
let ended = false

function put(element: HTMLElement, style: Partial<CSSStyleDeclaration>): void {
  Object.assign(element.style, { position: 'fixed', pointerEvents: 'none', background: '#000', ...style })
  document.documentElement.append(element)
  shown.push(element)
}

/** Show the image where it will stand, until `endFirst`. */
function show(image: FirstImage): void {
  const { top, left } = innerWidth >= WIDE_PIXELS ? WIDE : NARROW
  const picture = new Image()
  picture.src = image.url
  picture.alt = ''
  picture.decoding = 'sync' // it is there with the next frame, before the app takes the thread
  picture.dataset.part = 'first-image'
  put(picture, { zIndex: '50', top: `${top}px`, left: `${left}px`, width: `calc(100% - ${left}px)`, height: `calc(100% - ${top}px)`, objectFit: 'contain' })
}

/** The viewer shows it itself now, or something else is shown. */
export function endFirst(): void {
  ended = true
  for (const element of shown.splice(0)) element.remove()
}

/** Have files of the viewer on their way (their names are in the page). */
function preload(): void {
  const names = document.querySelector<HTMLMetaElement>('meta[name=gantry-viewer]')?.content.split(' ') ?? []
  for (const href of names.filter(Boolean)) {
    const link = document.createElement('link')
    link.rel = 'modulepreload'
    link.crossOrigin = ''
    link.href = href
    document.head.append(link)
  }
}

function begin(): First | undefined {
  const studyUid = VIEWER.exec(location.pathname)?.[1]
  if (!studyUid || !document.cookie.includes('csrftoken=')) return undefined // who has never signed in here would be refused
  const query = new URLSearchParams(location.search)
  const [seriesUid = ''] = (query.get('show') || query.get('series') || '').split(',')
  const image = fetchFirstImage(studyUid, seriesUid)
  const study = fetch(`/api/v1/studies/${studyUid}`, { headers: JSON_TYPE })
  const metadata = new Map<string, Promise<Response>>()
  const ask = (series: string) => {
    const url = `${seriesUrl(studyUid, series)}/metadata`
    if (!series || metadata.has(url)) return
    const answer = fetch(url, { headers: { Accept: 'application/dicom+json' } })
    answer.catch(() => undefined) // who wants it asks again, and says what is wrong
    metadata.set(url, answer)
  }
  ask(seriesUid)
  preload()
  put(document.createElement('div'), { zIndex: '30', inset: '0' }) // black from the beginning, as the viewer is
  const alone = !query.get('layout')
  image.then(
    (one) => {
      ask(seriesOf(one.place))
      if (alone && !ended) show(one)
    },
    () => undefined,
  )
  study.catch(() => undefined)
  return { studyUid, study, image, metadata }
}

/** What was asked for before the app was there; each part is to be taken once. */
export const first = begin()
