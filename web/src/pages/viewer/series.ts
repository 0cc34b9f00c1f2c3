/** What a series holds, read from its metadata (DICOM JSON, PS3.18 annex F). No Cornerstone here. */

export interface Attribute {
  vr: string
  Value?: unknown[]
  BulkDataURI?: string
  InlineBinary?: string
}
export type Dataset = Record<string, Attribute>

export type Kind = 'images' | 'pdf' | 'document' | 'report' | 'video' | 'other'

export interface Shown {
  kind: Kind
  seriesUid: string
  /** Of images: one per frame, in order, as Cornerstone wants them. */
  imageIds: string[]
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

/** The address of a series below the DICOMweb root. */
export function seriesUrl(studyUid: string, seriesUid: string): string {
  return `/dicomweb/studies/${encodeURIComponent(studyUid)}/series/${encodeURIComponent(seriesUid)}`
}

/** What one instance is to a viewer. */
export function kindOf(instance: Dataset): Kind {
  const sopClass = text(instance, '00080016')
  if (sopClass === PDF) return 'pdf'
  if (sopClass.startsWith(DOCUMENTS)) return 'document'
  if (sopClass.startsWith(REPORTS)) return 'report'
  if (VIDEO.test(text(instance, '00083002'))) return 'video'
  const pixels = instance['7FE00010'] ?? instance['7FE00008'] ?? instance['7FE00009']
  return pixels && number(instance, '00280010') > 0 ? 'images' : 'other'
}

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
    const frames = Math.max(1, number(instance, '00280008') || 1)
    shown.rate = Math.max(shown.rate, rateOf(instance, frames))
    for (let frame = 1; frame <= frames && shown.imageIds.length < MAX_FRAMES; frame += 1) {
      const imageId = `wadors:${origin}${url}/frames/${frame}`
      shown.imageIds.push(imageId)
      if (frame === 1) shown.metadata.set(imageId, instance)
    }
  }
  return shown
}

/** Where to begin: a stack in its middle, where there is most to see; a cine and a few images at the first. */
export function firstIndex(shown: Shown): number {
  return shown.rate || shown.imageIds.length < 8 ? 0 : Math.floor((shown.imageIds.length - 1) / 2)
}
