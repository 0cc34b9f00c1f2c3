/** Graphic annotations of a presentation state (PS3.3 C.10.5, C.10.7): lines, circles, points and text, by layer. */
import { items, numbers, places, points, type Missing, type Point, type Scope } from './presentationParts'
import { number, text, type Dataset } from './series'

/** `display`: places are parts (0 to 1) of the displayed area; otherwise pixels of the image, from its corner. */
interface Placed {
  display: boolean
}
export type Shape =
  | (Placed & { kind: 'points' | 'line' | 'curve'; points: Point[]; filled: boolean })
  | (Placed & { kind: 'ellipse'; centre: Point; first: Point; second: Point; filled: boolean })
export interface Words extends Placed {
  text: string
  /** Corners of the box for it; without one it stands at its anchor. */
  box?: [Point, Point]
  align: 'left' | 'center' | 'right'
  anchor?: { display: boolean; point: Point; visible: boolean }
}
export interface Drawing extends Scope {
  order: number
  colour: string
  shapes: Shape[]
  words: Words[]
}

const MOST_OBJECTS = 2000
const MOST_POINTS = 100_000
const MOST_LETTERS = 1000
const USUAL = '#fde047'

/** All annotations, the lowest layer first. */
export function annotationsOf(dataset: Dataset, missing: Set<Missing>): Drawing[] {
  const layers = new Map<string, { order: number; colour: string }>()
  for (const layer of items(dataset, '00700060', 1000)) layers.set(text(layer, '00700002'), { order: number(layer, '00700062') || 0, colour: colourOf(layer) })
  const room = { objects: MOST_OBJECTS, points: MOST_POINTS }
  const found: Drawing[] = []
  for (const one of items(dataset, '00700001', 1000)) {
    const shapes: Shape[] = []
    const words: Words[] = []
    if (one['00700209']?.Value?.length) missing.add('compound')
    for (const object of items(one, '00700009', MOST_OBJECTS + 1)) {
      const shape = shapeOf(object, room.points)
      if (!shape) missing.add('graphic')
      else if (room.objects <= 0) missing.add('tooMuch')
      else {
        room.objects -= 1
        room.points -= shape.kind === 'ellipse' ? 3 : shape.points.length
        shapes.push(shape)
      }
    }
    for (const object of items(one, '00700008', MOST_OBJECTS + 1)) {
      if (room.objects <= 0) missing.add('tooMuch')
      else words.push(wordsOf(object))
      room.objects -= 1
    }
    const layer = layers.get(text(one, '00700002')) ?? { order: 0, colour: USUAL }
    found.push({ only: one['00081140']?.Value?.length ? places(one) : undefined, ...layer, shapes, words })
  }
  return found.sort((a, b) => a.order - b.order)
}

function shapeOf(object: Dataset, room: number): Shape | undefined {
  const display = text(object, '00700005').toUpperCase() === 'DISPLAY'
  const all = points(numbers(object, '00700022', 2 * Math.max(0, room)))
  const filled = text(object, '00700024').toUpperCase() === 'Y'
  const [first, second, third, fourth] = all
  switch (text(object, '00700023').toUpperCase()) {
    case 'POINT':
      return first ? { kind: 'points', points: all, filled: true, display } : undefined
    case 'POLYLINE':
      return second ? { kind: 'line', points: all, filled, display } : undefined
    case 'INTERPOLATED':
      return second ? { kind: 'curve', points: all, filled, display } : undefined
    case 'CIRCLE':
      if (!first || !second) return undefined
      return { kind: 'ellipse', centre: first, first: second, second: turned(first, second), filled, display }
    case 'ELLIPSE': // ends of the long axis, ends of the short one
      if (!first || !second || !third || !fourth) return undefined
      return { kind: 'ellipse', centre: [(first[0] + second[0]) / 2, (first[1] + second[1]) / 2], first: second, second: fourth, filled, display }
    default:
      return undefined
  }
}

/** A quarter turn of a point about another. */
function turned([x, y]: Point, [px, py]: Point): Point {
  return [x - (py - y), y + (px - x)]
}

function wordsOf(object: Dataset): Words {
  const [left, top, right, bottom] = [...numbers(object, '00700010', 2), ...numbers(object, '00700011', 2)]
  const anchor = points(numbers(object, '00700014', 2))[0]
  const align = text(object, '00700012').toUpperCase()
  return {
    text: text(object, '00700006').slice(0, MOST_LETTERS),
    display: text(object, '00700003').toUpperCase() === 'DISPLAY',
    box: left !== undefined && top !== undefined && right !== undefined && bottom !== undefined ? [[left, top], [right, bottom]] : undefined,
    align: align === 'RIGHT' ? 'right' : align === 'CENTER' ? 'center' : 'left',
    anchor: anchor ? { point: anchor, display: text(object, '00700004').toUpperCase() === 'DISPLAY', visible: text(object, '00700015').toUpperCase() === 'Y' } : undefined,
  }
}

/** The colour that a layer recommends (CIELab or grey), otherwise a yellow that is seen on any grey. */
function colourOf(layer: Dataset): string {
  const lab = numbers(layer, '00700401', 3)
  if (lab.length === 3) return rgbOf(lab as [number, number, number])
  const grey = number(layer, '00700066')
  if (!Number.isFinite(grey)) return USUAL
  const part = Math.round((Math.min(0xffff, Math.max(0, grey)) / 0xffff) * 255)
  return `rgb(${part}, ${part}, ${part})`
}

/** CIELab as it is coded in 16 bits (PS3.3 C.10.7.1.1) in the colours of screens. */
export function rgbOf([l16, a16, b16]: [number, number, number]): string {
  const lightness = (l16 / 0xffff) * 100
  const a = (a16 / 0xffff) * 255 - 128
  const b = (b16 / 0xffff) * 255 - 128
  const fy = (lightness + 16) / 116
  const cube = (t: number) => (t > 6 / 29 ? t ** 3 : 3 * (6 / 29) ** 2 * (t - 4 / 29))
  const [x, y, z] = [0.9642 * cube(fy + a / 500), cube(fy), 0.8249 * cube(fy - b / 200)] // white of D50, as the standard's
  const light = [3.1339 * x - 1.6169 * y - 0.4906 * z, -0.9788 * x + 1.9161 * y + 0.0335 * z, 0.0719 * x - 0.229 * y + 1.4052 * z]
  const shown = light.map((one) => Math.round(255 * Math.min(1, Math.max(0, one <= 0.0031308 ? 12.92 * one : 1.055 * one ** (1 / 2.4) - 0.055))))
  return `rgb(${shown.join(', ')})`
}
