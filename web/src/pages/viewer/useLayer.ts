import { computed, ref, type Ref } from 'vue'
import { drawAnnotations, drawPlane, drawShutters, type Sheet } from './drawing'
import type { StackViewport } from './engine'
import { mappingOf } from './geometry'
import { hasPlanes, Planes, planesOf, type Plane } from './overlays'
import { isFor, refersTo, type Presentation } from './presentation'
import { text, type Shown } from './series'

/** What lies over the images of a cell: overlay planes, and what the presentation state draws. */
export function useLayer(canvas: Ref<HTMLCanvasElement | null>, shown: Ref<Shown>, presented: Ref<Presentation | undefined>) {
  const visible = ref(true)
  /** Overlays that are on the image and could not be had: who reads it must know. */
  const lost = ref(false)
  let again: (() => void) | undefined
  const planes = new Planes(
    () => again?.(),
    () => (lost.value = true),
  )
  const has = computed(() => [...new Set(shown.value.places.map(({ dataset }) => dataset))].some(hasPlanes))

  function ofImage(index: number): { plane: Plane[]; uid: string; frame: number } {
    const place = shown.value.places[index]
    const state = presented.value
    const uid = text(place?.dataset, '00080018')
    const frame = place?.frame ?? 1
    const own = state && refersTo(state, uid, frame) ? planesOf(state.dataset, 1) : []
    return { plane: [...planesOf(place?.dataset, frame), ...own], uid, frame }
  }

  /** Draw anew over the image of this place of the stack. */
  function draw(viewport: StackViewport, software: boolean, index: number): void {
    const sheet = canvas.value
    const context = sheet?.getContext('2d')
    if (!sheet || !context) return
    const density = Math.min(2, window.devicePixelRatio || 1)
    const [width, height] = [Math.round(sheet.clientWidth * density), Math.round(sheet.clientHeight * density)]
    if (sheet.width !== width) sheet.width = width
    if (sheet.height !== height) sheet.height = height
    context.setTransform(1, 0, 0, 1, 0, 0)
    context.clearRect(0, 0, width, height)
    lost.value = false
    again = () => draw(viewport, software, index)
    const { plane, uid, frame } = ofImage(index)
    const state = presented.value && refersTo(presented.value, uid, frame) ? presented.value : undefined
    sheet.dataset.drawn = String(plane.length || state ? index : '')
    if (!plane.length && !state) return
    const map = mappingOf(viewport, software, density)
    if (!map) return
    const paper: Sheet = { context, map, density }
    const size = viewport.getImageData()?.dimensions ?? [1, 1, 1]
    if (state) drawShutters(paper, state, [size[0], size[1]]) // what is hidden stays hidden
    if (!visible.value) return
    for (const one of plane) {
      const picture = planes.get(one)
      if (picture) drawPlane(paper, picture, one.left, one.top)
    }
    if (state) drawAnnotations(paper, state, uid, frame, state.areas.find((area) => isFor(area, uid, frame)) ?? { left: 0, top: 0, right: size[0], bottom: size[1] })
  }

  function toggle(): void {
    visible.value = !visible.value
    again?.()
  }

  return { visible, has, lost, draw, toggle, forget: () => (again = undefined) }
}
