/** Where the pixels of an image are in its cell, and moving the view so that they are where a presentation state wants them. */
import type { StackViewport } from './engine'
import type { Mapping } from './drawing'
import type { Area, Presentation } from './presentation'
import type { Point } from './presentationParts'

type Point3 = [number, number, number]
const QUARTERS = [0, 90, 180, 270] as const

/** A place of the image (0,0 is the corner of its first pixel) in the space of the patient. */
function worldOf(viewport: StackViewport, [x, y]: Point, software: boolean): Point3 | undefined {
  const image = viewport.getImageData()
  if (!image) return undefined
  const { origin, spacing, direction } = image
  // Painted with WebGL the whole numbers are the middles of pixels, without they are their corners.
  const shift = software ? 0 : -0.5
  const [right, down] = [(x + shift) * spacing[0], (y + shift) * spacing[1]]
  const at = (axis: 0 | 1 | 2) => origin[axis] + right * (direction[axis] ?? 0) + down * (direction[axis + 3] ?? 0)
  return [at(0), at(1), at(2)]
}

/** From pixels of the image to those of a canvas that lies over its cell, `density` for one of the page; undefined without an image. */
export function mappingOf(viewport: StackViewport, software: boolean, density = 1): Mapping | undefined {
  const size = viewport.getImageData()?.dimensions
  const ends = size && ([[0, 0], [size[0], 0], [0, size[1]]] as Point[]).map((point) => worldOf(viewport, point, software))
  if (!size || !ends) return undefined
  const [origin, right, down] = ends.map((world) => (world ? viewport.worldToCanvas(world) : [NaN, NaN])) as [Point, Point, Point]
  const part = (axis: 0 | 1) => [(right[axis] - origin[axis]) / size[0], (down[axis] - origin[axis]) / size[1]] as const
  const [[xx, yx], [xy, yy]] = [part(0), part(1)]
  return ([x, y]) => [density * (origin[0] + x * xx + y * yx), density * (origin[1] + x * xy + y * yy)]
}

/** Turned clockwise, then flipped (PS3.3 C.10.6): where a step to the right, and one down, lead then. */
function wanted({ rotation, flip }: Presentation): [Point, Point] {
  const [cos, sin] = ({ 0: [1, 0], 90: [0, 1], 180: [-1, 0], 270: [0, -1] } as const)[rotation]
  const side = flip ? -1 : 1
  return [[side * cos, sin], [side * -sin, cos]]
}

function steps(map: Mapping): [Point, Point] {
  const [origin, right, down] = [map([0, 0]), map([1, 0]), map([0, 1])]
  return [[right[0] - origin[0], right[1] - origin[1]], [down[0] - origin[0], down[1] - origin[1]]]
}

/** Turn and flip as it asks for. The renderers count angles of flipped pictures otherwise, so it is looked at what comes out. */
function orient(viewport: StackViewport, state: Presentation, software: boolean): void {
  const goal = wanted(state)
  viewport.setCamera({ flipHorizontal: state.flip })
  for (const rotation of [state.rotation, ...QUARTERS.filter((one) => one !== state.rotation)]) {
    viewport.setViewPresentation({ rotation })
    const map = mappingOf(viewport, software)
    if (!map) return
    if (steps(map).every(([x, y], index) => x * (goal[index]?.[0] ?? 0) + y * (goal[index]?.[1] ?? 0) > 0.5 * Math.hypot(x, y))) return
  }
}

/** Show the area that it asks for, so large as it asks for. */
function show(viewport: StackViewport, area: Area, software: boolean, width: number, height: number): void {
  const map = mappingOf(viewport, software)
  if (!map) return
  const ends = ([[area.left, area.top], [area.right, area.top], [area.right, area.bottom], [area.left, area.bottom]] as Point[]).map(map)
  const [xs, ys] = [ends.map(([x]) => x), ends.map(([, y]) => y)]
  const [wide, high] = [Math.max(...xs) - Math.min(...xs), Math.max(...ys) - Math.min(...ys)]
  const [[x, y]] = steps(map)
  const factor = area.mode === 'magnify' ? area.magnification / Math.hypot(x, y) : Math.min(width / wide, height / high)
  if (!Number.isFinite(factor) || factor <= 0) return
  viewport.setZoom(viewport.getZoom() * Math.min(1000, Math.max(0.001, factor)))
  const focalPoint = worldOf(viewport, [(area.left + area.right) / 2, (area.top + area.bottom) / 2], software)
  const camera = viewport.getCamera()
  if (!focalPoint || !camera.focalPoint || !camera.position) return
  const [from, at] = [camera.focalPoint, camera.position]
  viewport.setCamera({ focalPoint, position: [at[0] + focalPoint[0] - from[0], at[1] + focalPoint[1] - from[1], at[2] + focalPoint[2] - from[2]] })
}

/** Turn, flip, zoom and move the view as a presentation state asks for. */
export function arrange(viewport: StackViewport, state: Presentation, area: Area | undefined, software: boolean, place: Element): void {
  viewport.resetCamera()
  orient(viewport, state, software)
  if (area) show(viewport, area, software, place.clientWidth, place.clientHeight)
}
