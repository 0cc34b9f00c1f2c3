/** What a series holds, read from its metadata (DICOM JSON, PS3.18 annex F). No Cornerstone here. */
import { seriesUrl } from './first'

export { seriesUrl }

export interface Attribute {
  vr: string
  Value?: unknown[]
  BulkDataURI?: string
  InlineBinary?: string
}
export type Dataset = Record<string, Attribute>

export type Kind = 'images' | 'presentations' | 'pdf' | 'document' | 'report' | 'video' | 'other'

export interface Shown {
  kind: Kind
  seriesUid: string
  /** Of images: one per frame, in order, as Cornerstone wants them. */
  imageIds: string[]
  /** Of images: which frame (from 1) of which instance each is. */
  places: { dataset: Dataset; frame: number }[]
  /** Of images: the UIDs of their instances. */
  instancesOfImages: Set<string>
  /** Of presentation states: what they are. */
  datasets: Dataset[]
  /** Of documents, reports, videos: the instances. */
  instances: { uid: string; url: string; title: string }[]
  /** Frames per second that the data ask for; 0: not a cine. */
  rate: number
  modality: string
  metadata: Map<string, Dataset>
}

const VIDEO = /^1\.2\.840\.10008\.1\.2\.4\.10\d(\.1)?$/
const PDF = '1.2.840.10008.5.1.4.1.1.104.1'
const DOCUMENTS = '1.2.840.10008.5.1.4.1.1.104.'
const PRESENTATIONS = '1.2.840.10008.5.1.4.1.1.11.'
const REPORTS = '1.2.840.10008.5.1.4.1.1.88.'
export const MAX_FRAMES = 20_000

/** The first value of an attribute as text; '' where there is none. */
export function text(dataset: Dataset | undefined, tag: string): string {
  const value = dataset?.[tag]?.Value?.[0]
  if (typeof value === 'string' || typeof value === 'number') return String(value)
  if (typeof value === 'object' && value !== null && 'Alphabetic' in value) return String(value.Alphabetic)
  return ''
}

/** The first value of an attribute as a number; NaN where it is none. */
export function number(dataset: Dataset | undefined, tag: string): number {
  const value = dataset?.[tag]?.Value?.[0]
  return typeof value === 'number' ? value : typeof value === 'string' && value.trim() ? Number(value) : NaN
}

interface Listed {
  series_instance_uid: string
  series_number: number | null
  modality: string
  instance_count: number
}

/** The series of a study in the order in which they stand beside each other. */
export function ordered<One extends Listed>(series: readonly One[]): One[] {
  return [...series].sort((a, b) => (a.series_number ?? 1e9) - (b.series_number ?? 1e9) || a.series_instance_uid.localeCompare(b.series_instance_uid))
}

/** UIDs that an address names. */
export function wishedSeries(value: unknown): string[] {
  return String(value ?? '').split(',').filter(Boolean)
}

/** Modalities without pictures: a study does not open with them when there is something to see. */
export const PAPER = new Set(['SR', 'DOC', 'KO', 'PR', 'AU', 'ECG', 'HD', 'REG', 'RTSTRUCT', 'RTPLAN', 'RTRECORD', 'FID', 'RWV'])

/** The series to begin with: those that the address names, else the first with pictures, else the first. */
export function firstSeries<One extends Listed>(series: readonly One[], wished: readonly string[]): One[] {
  const named = wished.map((uid) => series.find((one) => one.series_instance_uid === uid)).filter((one): one is One => Boolean(one))
  if (named.length) return named
  const all = ordered(series)
  const first = all.find((one) => !PAPER.has(one.modality)) ?? all[0]
  return first ? [first] : []
}

/** A stack of so many images is opened in its middle. */
const MANY = 8

/** What one instance is to a viewer. */
export function kindOf(instance: Dataset): Kind {
  const sopClass = text(instance, '00080016')
  if (sopClass === PDF) return 'pdf'
  if (sopClass.startsWith(DOCUMENTS)) return 'document'
  if (sopClass.startsWith(REPORTS)) return 'report'
  if (sopClass.startsWith(PRESENTATIONS)) return 'presentations'
  if (VIDEO.test(text(instance, '00083002'))) return 'video'
  const pixels = instance['7FE00010'] ?? instance['7FE00008'] ?? instance['7FE00009']
  return pixels && number(instance, '00280010') > 0 ? 'images' : 'other'
}

/** Of what browsers paint garbage or nothing, the server paints the pictures: single bits, and palettes in segments. */
export function isPainted(instance: Dataset): boolean {
  const palette = text(instance, '00280004') === 'PALETTE COLOR'
  return number(instance, '00280100') === 1 || (palette && !instance['00281201'])
}

/** JPEG of more than eight bits with loss: decoders of browsers come near, the server's is exact. */
function isDecoded(instance: Dataset): boolean {
  return text(instance, '00083002') === '1.2.840.10008.1.2.4.51' && number(instance, '00280101') > 8
}
const PLAIN = `?accept=${encodeURIComponent('multipart/related; type="application/octet-stream"; transfer-syntax=1.2.840.10008.1.2.1')}`

/** Frames per second as the data say: cine rate, recommended rate, or the time of a frame in milliseconds. */
export function rateOf(instance: Dataset, frames: number): number {
  if (frames < 2) return 0
  const frameTime = number(instance, '00181063')
  for (const rate of [number(instance, '00082144'), number(instance, '00180040'), frameTime > 0 ? 1000 / frameTime : NaN]) {
    if (rate > 0) return Math.min(60, Math.max(1, Math.round(rate)))
  }
  return 15
}

/** How a series is shown: by what most of its instances that can be shown are. */
export function shownOf(studyUid: string, seriesUid: string, instances: Dataset[], origin: string): Shown {
  const kinds = instances.map(kindOf)
  const counts = new Map<Kind, number>()
  for (const kind of kinds) if (kind !== 'other') counts.set(kind, (counts.get(kind) ?? 0) + 1)
  const kind = [...counts].sort((a, b) => b[1] - a[1])[0]?.[0] ?? 'other'
  const chosen = instances.filter((_, index) => kinds[index] === kind)
  const shown: Shown = {
    kind,
    seriesUid,
    imageIds: [],
    places: [],
    instancesOfImages: new Set(),
    datasets: kind === 'presentations' ? chosen : [],
    instances: [],
    rate: 0,
    modality: text(instances[0], '00080060'),
    metadata: new Map(),
  }
  for (const instance of chosen) {
    const uid = text(instance, '00080018')
    const url = `${seriesUrl(studyUid, seriesUid)}/instances/${encodeURIComponent(uid)}`
    if (kind !== 'images') {
      shown.instances.push({ uid, url, title: text(instance, '00420010') })
      continue
    }
    shown.instancesOfImages.add(uid)
    const frames = Math.max(1, number(instance, '00280008') || 1)
    shown.rate = Math.max(shown.rate, rateOf(instance, frames))
    for (let frame = 1; frame <= frames && shown.imageIds.length < MAX_FRAMES; frame += 1) {
      const plainId = `${isPainted(instance) ? 'painted' : 'wadors'}:${origin}${url}/frames/${frame}`
      const imageId = plainId + (isDecoded(instance) ? PLAIN : '')
      shown.imageIds.push(imageId)
      shown.places.push({ dataset: instance, frame })
      // Those of the other frames are looked up by the first without a query.
      if (frame === 1) for (const id of new Set([plainId, imageId])) shown.metadata.set(id, instance)
    }
  }
  return shown
}

/** Where to begin, as the server says it, too: a stack in its middle, where there is most to see; a cine and a few images at the first. */
export function firstIndex(shown: Shown): number {
  return shown.rate || shown.imageIds.length < MANY ? 0 : Math.floor((shown.imageIds.length - 1) / 2)
}

/** Whether the server's first image is the one with which a series begins. */
export function beginsWith(shown: Shown, place: string): boolean {
  const imageId = shown.imageIds[firstIndex(shown)]
  return imageId !== undefined && (imageId.split('?')[0] ?? '').endsWith(place)
}
