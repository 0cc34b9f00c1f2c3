/** Parts that several modules of presentation states have: for which images something is, shutters, and what is not applied. */
import { number, text, type Dataset } from './series'

/** What of a presentation state is not applied; the words stand in `viewer.missing`. */
export type Missing =
  | 'kind' | 'modalityTable' | 'mask' | 'presentationTable' | 'compound' | 'palette' | 'voiTable' | 'voiFunction' | 'trueSize'
  | 'tooMuch' | 'bitmapShutter' | 'graphic' | 'rescale' | 'serverPicture'

/** For which images, by their UID with frames (none: all); without `only` for all that the state refers to. */
export interface Scope {
  only?: Map<string, number[]>
}

export type Point = [number, number]
export type Shutter =
  | { kind: 'rectangle'; left: number; top: number; right: number; bottom: number }
  | { kind: 'circle'; centre: Point; radius: number }
  | { kind: 'polygon'; points: Point[] }

const MOST_FRAMES = 20_000
const MOST_VERTICES = 10_000

/** Items of a sequence, so many at most. */
export function items(dataset: Dataset | undefined, tag: string, most: number): Dataset[] {
  const found = dataset?.[tag]?.Value ?? []
  return found.slice(0, most).filter((one): one is Dataset => typeof one === 'object' && one !== null)
}

/** The numbers of an attribute, so many at most; none where one of them is none. */
export function numbers(dataset: Dataset, tag: string, most: number): number[] {
  const found = (dataset[tag]?.Value ?? []).slice(0, most).map((one) => (typeof one === 'number' ? one : typeof one === 'string' && one.trim() ? Number(one) : NaN))
  return found.every((one) => Number.isFinite(one) && Math.abs(one) < 1e7) ? found : []
}

/** Pairs of numbers. */
export function points(flat: readonly number[]): Point[] {
  return Array.from({ length: Math.floor(flat.length / 2) }, (_, index) => [flat[2 * index] as number, flat[2 * index + 1] as number])
}

/** Referenced Image Sequence: UIDs with their frames. */
export function places(dataset: Dataset): Map<string, number[]> {
  const found = new Map<string, number[]>()
  for (const one of (dataset['00081140']?.Value ?? []).slice(0, MOST_FRAMES)) {
    if (typeof one !== 'object' || one === null) continue
    const image = one as Dataset
    found.set(text(image, '00081155'), numbers(image, '00081160', MOST_FRAMES))
  }
  return found
}

/** Display shutters (PS3.3 C.7.6.11): edges are the outermost rows and columns to be seen, from 1; centre and vertices are row before column. */
export function shuttersOf(dataset: Dataset, missing: Set<Missing>): Shutter[] {
  const found: Shutter[] = []
  for (const shape of (dataset['00181600']?.Value ?? []).slice(0, 8)) {
    if (shape === 'RECTANGULAR') {
      const [left, right, top, bottom] = ['00181602', '00181604', '00181606', '00181608'].map((tag) => number(dataset, tag)) as [number, number, number, number]
      if ([left, right, top, bottom].every(Number.isFinite)) found.push({ kind: 'rectangle', left: left - 1, top: top - 1, right, bottom })
    } else if (shape === 'CIRCULAR') {
      const [row, column] = numbers(dataset, '00181610', 2)
      const radius = number(dataset, '00181612')
      if (row !== undefined && column !== undefined && radius > 0) found.push({ kind: 'circle', centre: [column - 0.5, row - 0.5], radius })
    } else if (shape === 'POLYGONAL') {
      const vertices = points(numbers(dataset, '00181620', 2 * MOST_VERTICES)).map(([row, column]): Point => [column - 0.5, row - 0.5])
      if (vertices.length > 2) found.push({ kind: 'polygon', points: vertices })
    } else missing.add('bitmapShutter')
  }
  if (dataset['00181623']?.Value?.length) missing.add('bitmapShutter')
  return found
}
