/** Paints overlays, shutters and annotations over an image. Places are pixels of the image: 0,0 is the corner of the first. */
import { isFor, type Area, type Presentation } from './presentation'
import type { Shape, Words } from './presentationGraphics'
import type { Point } from './presentationParts'

/** From pixels of the image to those of the canvas. */
export type Mapping = (point: Point) => Point
export interface Sheet {
  context: CanvasRenderingContext2D
  map: Mapping
  /** Pixels of the canvas in one of the page. */
  density: number
}
const LINE = 1.5
const DOT = 3
const LETTERS = 14

/** A picture whose first dot lies at `left`, `top` of the image. */
export function drawPlane({ context, map }: Sheet, picture: HTMLCanvasElement, left: number, top: number): void {
  const origin = map([0, 0])
  const right = map([1, 0])
  const down = map([0, 1])
  context.save()
  context.setTransform(right[0] - origin[0], right[1] - origin[1], down[0] - origin[0], down[1] - origin[1], ...origin)
  // Larger than it is: dots stay dots. Smaller: none of them is lost.
  context.imageSmoothingEnabled = Math.hypot(right[0] - origin[0], right[1] - origin[1]) < 1
  context.drawImage(picture, left, top)
  context.restore()
}

/** Hide what the shutters hide of an image of this size. */
export function drawShutters(sheet: Sheet, { shutters, shade }: Presentation, [columns, rows]: readonly [number, number]): void {
  const { context } = sheet
  context.fillStyle = `rgb(${shade}, ${shade}, ${shade})`
  for (const shutter of shutters) {
    context.beginPath()
    path(sheet, corners({ left: 0, top: 0, right: columns, bottom: rows }), true)
    if (shutter.kind === 'circle') ellipse(sheet, shutter.centre, [shutter.centre[0] + shutter.radius, shutter.centre[1]], [shutter.centre[0], shutter.centre[1] + shutter.radius])
    else path(sheet, shutter.kind === 'polygon' ? shutter.points : corners(shutter), true)
    context.fill('evenodd')
  }
}

function corners({ left, top, right, bottom }: { left: number; top: number; right: number; bottom: number }): Point[] {
  return [[left, top], [right, top], [right, bottom], [left, bottom]]
}

function path({ context, map }: Sheet, points: readonly Point[], closed: boolean): void {
  points.forEach((point, index) => (index ? context.lineTo(...map(point)) : context.moveTo(...map(point))))
  if (closed) context.closePath()
}

function ellipse({ context, map }: Sheet, centre: Point, first: Point, second: Point): void {
  const [x, y] = map(centre)
  const [a, b] = [map(first), map(second)]
  const [long, short] = [Math.hypot(a[0] - x, a[1] - y), Math.hypot(b[0] - x, b[1] - y)]
  context.moveTo(...a)
  context.ellipse(x, y, long, short, Math.atan2(a[1] - y, a[0] - x), 0, 2 * Math.PI)
}

/** A smooth line through all points (Catmull and Rom). */
function curve({ context, map }: Sheet, points: readonly Point[]): void {
  const on = points.map((point) => map(point))
  const at = (index: number) => on[Math.min(on.length - 1, Math.max(0, index))] as Point
  context.moveTo(...at(0))
  for (let index = 0; index < on.length - 1; index += 1) {
    const [before, from, to, after] = [at(index - 1), at(index), at(index + 1), at(index + 2)]
    context.bezierCurveTo(
      from[0] + (to[0] - before[0]) / 6, from[1] + (to[1] - before[1]) / 6, to[0] - (after[0] - from[0]) / 6, to[1] - (after[1] - from[1]) / 6, ...to,
    )
  }
}

function drawShape(sheet: Sheet, shape: Shape): void {
  const { context, map, density } = sheet
  context.beginPath()
  if (shape.kind === 'points') {
    for (const point of shape.points) {
      const [x, y] = map(point)
      context.moveTo(x + DOT * density, y)
      context.arc(x, y, DOT * density, 0, 2 * Math.PI)
    }
  } else if (shape.kind === 'ellipse') ellipse(sheet, shape.centre, shape.first, shape.second)
  else if (shape.kind === 'curve') curve(sheet, shape.points)
  else path(sheet, shape.points, false)
  if (shape.filled) context.fill()
  context.stroke()
}

/** With a dark edge, so that it is read on any picture. */
function drawWords(sheet: Sheet, words: Words, mapOf: (display: boolean) => Mapping): void {
  const { context, density } = sheet
  const size = LETTERS * density
  const lines = words.text.split(/\r\n|\r|\n/).slice(0, 50)
  const anchor = words.anchor && mapOf(words.anchor.display)(words.anchor.point)
  const box = words.box?.map((corner) => mapOf(words.display)(corner))
  const left = box ? Math.min(...box.map(([x]) => x)) : (anchor?.[0] ?? size)
  const right = box ? Math.max(...box.map(([x]) => x)) : left
  const top = box ? Math.min(...box.map(([, y]) => y)) : (anchor?.[1] ?? size)
  if (box && anchor && words.anchor?.visible) {
    context.beginPath()
    context.moveTo((left + right) / 2, top)
    context.lineTo(...anchor)
    context.stroke()
  }
  context.font = `${size}px sans-serif`
  context.textBaseline = 'top'
  context.textAlign = box ? words.align : 'left'
  const x = context.textAlign === 'right' ? right : context.textAlign === 'center' ? (left + right) / 2 : left
  const edge = context.strokeStyle
  lines.forEach((line, index) => {
    context.lineWidth = 3 * density
    context.strokeStyle = '#000'
    context.strokeText(line, x, top + index * size * 1.2)
    context.fillText(line, x, top + index * size * 1.2)
  })
  context.strokeStyle = edge
  context.lineWidth = LINE * density
}

/** The annotations that are for this frame; `area` is what parts of the display are parts of. */
export function drawAnnotations(sheet: Sheet, state: Presentation, uid: string, frame: number, area: Pick<Area, 'left' | 'top' | 'right' | 'bottom'>): void {
  const { context, density } = sheet
  const ends = corners(area).map((corner) => sheet.map(corner))
  const [xs, ys] = [ends.map(([x]) => x), ends.map(([, y]) => y)]
  const [left, top] = [Math.min(...xs), Math.min(...ys)]
  const [width, height] = [Math.max(...xs) - left, Math.max(...ys) - top]
  const ofDisplay: Mapping = ([x, y]) => [left + x * width, top + y * height]
  const mapOf = (display: boolean) => (display ? ofDisplay : sheet.map)
  context.lineWidth = LINE * density
  context.lineJoin = 'round'
  for (const drawing of state.drawings) {
    if (!isFor(drawing, uid, frame)) continue
    context.strokeStyle = context.fillStyle = drawing.colour
    for (const shape of drawing.shapes) drawShape({ ...sheet, map: mapOf(shape.display) }, shape)
    for (const words of drawing.words) drawWords(sheet, words, mapOf)
  }
}
