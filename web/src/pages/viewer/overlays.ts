/** Overlay planes (PS3.3 C.9.2, C.9.3): groups 6000 to 601E, in elements of their own or in bits beside the samples. */
import { raw } from '@/api'
import { number, text, type Attribute, type Dataset } from './series'

/** One plane of one frame: where it lies on the image (from 0) and where its bits are. */
export interface Plane {
  /** What it is known by. */
  key: string
  rows: number
  columns: number
  top: number
  left: number
  /** Bits before its first. */
  skip: number
  /** Its own element, or the address of the bits that stand beside the samples. */
  source: Attribute | string
}

const GROUPS = Array.from({ length: 16 }, (_, index) => (0x6000 + 2 * index).toString(16).toUpperCase())
const MOST_SIDE = 8192
const MOST_BITS = 512 * 1024 * 1024
const BIG_ENDIAN = '1.2.840.10008.1.2.2'

function whole(value: number, otherwise: number): number {
  return Number.isFinite(value) ? Math.trunc(value) : otherwise
}

/** The planes of a frame (from 1) of an instance. Those of other frames, of impossible size or without data are left out. */
export function planesOf(dataset: Dataset | undefined, frame: number): Plane[] {
  const planes: Plane[] = []
  if (!dataset || text(dataset, '00083002') === BIG_ENDIAN) return planes // nobody could be asked for an example
  for (const group of GROUPS) {
    const rows = whole(number(dataset, `${group}0010`), 0)
    const columns = whole(number(dataset, `${group}0011`), 0)
    if (!(rows > 0 && columns > 0 && rows <= MOST_SIDE && columns <= MOST_SIDE)) continue
    const origin = dataset[`${group}0050`]?.Value ?? [1, 1]
    const [top, left] = [whole(Number(origin[0]), 1) - 1, whole(Number(origin[1]), 1) - 1]
    const count = whole(number(dataset, `${group}0015`), 1)
    const begins = whole(number(dataset, `${group}0051`), 0)
    const index = count > 1 || begins > 0 ? frame - (begins || 1) : 0
    if (index < 0 || index >= Math.max(1, count)) continue
    const uid = text(dataset, '00080018')
    const data = dataset[`${group}3000`]
    const skip = rows * columns * index
    if (data && skip + rows * columns <= MOST_BITS) planes.push({ key: `${uid} ${group} ${index}`, rows, columns, top, left, skip, source: data })
    else if (!data && number(dataset, `${group}0102`) > 0) {
      // As large as the image, whatever it says of itself.
      const size = { rows: whole(number(dataset, '00280010'), 0), columns: whole(number(dataset, '00280011'), 0) }
      const source = `/api/v1/instances/${encodeURIComponent(uid)}/frames/${frame}/overlays/${group}`
      planes.push({ key: `${uid} ${group} ${frame}`, ...size, top: 0, left: 0, skip: 0, source })
    }
  }
  return planes
}

/** Whether an instance has overlay planes at all. */
export function hasPlanes(dataset: Dataset): boolean {
  return GROUPS.some((group) => number(dataset, `${group}0010`) > 0)
}

/** The bytes in which the bits of a plane are, and how many bits stand before its first. */
async function bytesOf({ source, skip, rows, columns }: Plane): Promise<[Uint8Array, number]> {
  if (typeof source !== 'string' && source.InlineBinary) {
    return [Uint8Array.from(atob(source.InlineBinary), (letter) => letter.charCodeAt(0)), skip]
  }
  const address = typeof source === 'string' ? source : new URL(source.BulkDataURI ?? '/', location.origin).pathname
  const first = Math.floor(skip / 8)
  const headers: Record<string, string> = { Accept: 'application/octet-stream' }
  if (skip) headers.Range = `bytes=${first}-${Math.ceil((skip + rows * columns) / 8) - 1}`
  const answer = await raw('GET', address, { headers })
  const bytes = new Uint8Array(await answer.arrayBuffer())
  return [bytes, answer.status === 206 ? skip % 8 : skip]
}

/** Set bits as white dots, the first bit of a byte in its lowest (PS3.5 8.1.2). */
export function dotsOf(bytes: Uint8Array, skip: number, count: number): Uint8ClampedArray<ArrayBuffer> {
  const dots = new Uint8ClampedArray(4 * count)
  const words = new Uint32Array(dots.buffer)
  for (let at = 0; at < count; at += 1) {
    const bit = skip + at
    if (((bytes[bit >> 3] ?? 0) >> (bit & 7)) & 1) words[at] = 0xffffffff
  }
  return dots
}

/** A plane as a picture of its own size, clear where no bit is set. */
export async function paint(plane: Plane): Promise<HTMLCanvasElement> {
  const [bytes, skip] = await bytesOf(plane)
  const canvas = document.createElement('canvas')
  canvas.width = plane.columns
  canvas.height = plane.rows
  const dots = dotsOf(bytes, skip, plane.rows * plane.columns)
  canvas.getContext('2d')?.putImageData(new ImageData(dots, plane.columns, plane.rows), 0, 0)
  return canvas
}

/** Pictures of planes, the last used ones. */
export class Planes {
  private readonly kept = new Map<string, HTMLCanvasElement>()
  private readonly asked = new Set<string>()

  constructor(
    private readonly ready: () => void,
    private readonly lost: () => void,
    private readonly most = 24,
  ) {}

  /** The picture, if it is there; otherwise it is asked for, and `ready` told, or `lost`. */
  get(plane: Plane): HTMLCanvasElement | undefined {
    const { key } = plane
    const found = this.kept.get(key)
    if (found || this.asked.has(key)) return found
    this.asked.add(key)
    void paint(plane)
      .then((canvas) => {
        this.kept.set(key, canvas)
        for (const old of this.kept.keys()) if (this.kept.size > this.most) this.kept.delete(old)
        this.ready()
      })
      .catch(this.lost) // asked for again when the image is drawn again
      .finally(() => this.asked.delete(key))
    return undefined
  }
}
