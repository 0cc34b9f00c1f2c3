/**
 * Presentation states (PS3.3 A.33, C.10, C.11) as the viewer applies them, read from their metadata. Everything is bounded:
 * what is too much, or of a kind that is not applied, is named in `missing`.
 */
import { number, text, type Dataset } from './series'
import { annotationsOf, type Drawing } from './presentationGraphics'
import { items, places, shuttersOf, type Missing, type Scope, type Shutter } from './presentationParts'

export type { Drawing } from './presentationGraphics'
export type { Missing, Shutter } from './presentationParts'

export interface Voi extends Scope {
  centre: number
  width: number
}
/** Corners of the displayed area in pixels of the image, from 0, and how large it is shown. */
export interface Area extends Scope {
  left: number
  top: number
  right: number
  bottom: number
  mode: 'fit' | 'magnify'
  magnification: number
}
export interface Presentation {
  uid: string
  label: string
  description: string
  creator: string
  /** As in DICOM: YYYYMMDD, HHMMSS. */
  date: string
  /** The series and images that it is for; by image its frames, none for all of them. */
  series: string[]
  images: Map<string, number[]>
  voi: Voi[]
  areas: Area[]
  drawings: Drawing[]
  shutters: Shutter[]
  /** Grey of what the shutters hide, 0 to 255. */
  shade: number
  rotation: 0 | 90 | 180 | 270
  flip: boolean
  /** Dark and bright the other way round; undefined: as the image says. */
  invert?: boolean
  /** Slope and intercept, where it has its own. */
  rescale?: [number, number]
  missing: Missing[]
  /** The whole data set: its own overlays are drawn, too. */
  dataset: Dataset
}

const GREY = '1.2.840.10008.5.1.4.1.1.11.1'
const COLOUR = '1.2.840.10008.5.1.4.1.1.11.2'
const ANY = '1.2.840.10008.5.1.4.1.1.11.'
const MOST_REFERENCES = 20_000
/** What stands in a data set and is not applied. */
const NOT_APPLIED: [string, Missing][] = [
  ['00283000', 'modalityTable'],
  ['00286100', 'mask'],
  ['20500010', 'presentationTable'],
  ['00700209', 'compound'],
  ['00281201', 'palette'],
]

/** Whether an instance is a presentation state of any kind. */
export function isPresentation(dataset: Dataset): boolean {
  return text(dataset, '00080016').startsWith(ANY)
}

/** What a presentation state asks for. */
export function presentationOf(dataset: Dataset): Presentation {
  const missing = new Set<Missing>()
  const sopClass = text(dataset, '00080016')
  if (sopClass !== GREY && sopClass !== COLOUR) missing.add('kind')
  for (const [tag, name] of NOT_APPLIED) if (dataset[tag]?.Value?.length) missing.add(name)
  const [series, images] = references(dataset, missing)
  const rotation = number(dataset, '00700042')
  const slope = number(dataset, '00281053')
  const shape = text(dataset, '20500020')
  return {
    uid: text(dataset, '00080018'),
    label: text(dataset, '00700080').slice(0, 200),
    description: text(dataset, '00700081').slice(0, 500),
    creator: text(dataset, '00700084').slice(0, 200),
    date: `${text(dataset, '00700082')}${text(dataset, '00700083').slice(0, 6)}`.slice(0, 14),
    series,
    images,
    voi: windows(dataset, missing),
    areas: areas(dataset, missing),
    drawings: annotationsOf(dataset, missing),
    shutters: shuttersOf(dataset, missing),
    shade: Math.round((Math.min(0xffff, Math.max(0, number(dataset, '00181622') || 0)) / 0xffff) * 255),
    rotation: rotation === 90 || rotation === 180 || rotation === 270 ? rotation : 0,
    flip: text(dataset, '00700041').toUpperCase() === 'Y',
    invert: shape ? shape === 'INVERSE' : undefined,
    rescale: Number.isFinite(slope) && slope ? [slope, number(dataset, '00281052') || 0] : undefined,
    missing: [...missing],
    dataset,
  }
}

function references(dataset: Dataset, missing: Set<Missing>): [string[], Map<string, number[]>] {
  const series: string[] = []
  const images = new Map<string, number[]>()
  for (const one of items(dataset, '00081115', 1000)) {
    series.push(text(one, '0020000E'))
    for (const [uid, frames] of places(one)) {
      if (images.size >= MOST_REFERENCES) missing.add('tooMuch')
      else images.set(uid, frames)
    }
  }
  return [series, images]
}

function scopeOf(dataset: Dataset): Scope {
  return { only: dataset['00081140']?.Value?.length ? places(dataset) : undefined }
}

function windows(dataset: Dataset, missing: Set<Missing>): Voi[] {
  const found: Voi[] = []
  for (const one of items(dataset, '00283110', 1000)) {
    const [centre, width] = [number(one, '00281050'), number(one, '00281051')]
    if (one['00283010']?.Value?.length) missing.add('voiTable')
    else if (Number.isFinite(centre) && width > 0) {
      // The renderer spreads evenly between the ends of a window.
      if (!['', 'LINEAR', 'LINEAR_EXACT'].includes(text(one, '00281056').toUpperCase())) missing.add('voiFunction')
      found.push({ ...scopeOf(one), centre, width })
    }
  }
  return found
}

function areas(dataset: Dataset, missing: Set<Missing>): Area[] {
  const found: Area[] = []
  for (const one of items(dataset, '0070005A', 1000)) {
    const [x1, y1, x2, y2] = [...(one['00700052']?.Value ?? []).slice(0, 2), ...(one['00700053']?.Value ?? []).slice(0, 2)].map(Number)
    if (![x1, y1, x2, y2].every((value) => Number.isFinite(value) && Math.abs(value as number) < 1e6)) continue
    const [left, right] = [Math.min(x1 as number, x2 as number) - 1, Math.max(x1 as number, x2 as number)]
    const [top, bottom] = [Math.min(y1 as number, y2 as number) - 1, Math.max(y1 as number, y2 as number)]
    const mode = text(one, '00700100').toUpperCase()
    if (mode === 'TRUE SIZE') missing.add('trueSize')
    const magnification = number(one, '00700103')
    found.push({ ...scopeOf(one), left, top, right, bottom, mode: mode === 'MAGNIFY' && magnification > 0 ? 'magnify' : 'fit', magnification: Math.min(1000, magnification || 1) })
  }
  return found
}

/** Whether something of a presentation state is for this frame (from 1) of an image. */
export function isFor(scope: Scope, uid: string, frame: number): boolean {
  if (!scope.only) return true
  const frames = scope.only.get(uid)
  return frames !== undefined && (frames.length === 0 || frames.includes(frame))
}

/** Whether the presentation state refers to this frame of an image. */
export function refersTo(state: Presentation, uid: string, frame: number): boolean {
  return isFor({ only: state.images }, uid, frame)
}
