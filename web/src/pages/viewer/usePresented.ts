import { computed, shallowRef, type Ref } from 'vue'
import type { StackViewport } from './engine'
import { arrange } from './geometry'
import { isFor, refersTo, type Area, type Presentation } from './presentation'
import type { Missing } from './presentationParts'
import { number, text, type Shown } from './series'
import { rangeOf } from './windows'

/** The presentation state of a cell: what of it is for the image that is shown, and what of it is not applied. */
export function usePresented(shown: Ref<Shown>) {
  const state = shallowRef<Presentation>()
  let arranged: { state: Presentation; area?: Area } | undefined

  function placeOf(index: number): { uid: string; frame: number } {
    const place = shown.value.places[index]
    return { uid: text(place?.dataset, '00080018'), frame: place?.frame ?? 1 }
  }

  /** The image to look at: this one, or the first that the state is for. */
  function indexFrom(index: number): number {
    const chosen = state.value
    if (!chosen) return index
    const isOf = (at: number) => refersTo(chosen, placeOf(at).uid, placeOf(at).frame)
    const found = isOf(index) ? index : shown.value.places.findIndex((_, at) => isOf(at))
    return found < 0 ? index : found
  }

  /** For this image; an image that it is not for stays as it is. */
  function apply(viewport: StackViewport, software: boolean, element: Element, index: number): void {
    const chosen = state.value
    const { uid, frame } = placeOf(index)
    if (!chosen || !refersTo(chosen, uid, frame)) return
    const voi = chosen.voi.find((one) => isFor(one, uid, frame))
    if (voi) viewport.setProperties({ voiRange: rangeOf(voi.centre, voi.width) })
    if (chosen.invert !== undefined) viewport.setProperties({ invert: chosen.invert })
    const area = chosen.areas.find((one) => isFor(one, uid, frame))
    // Who moves the picture meanwhile finds it so on the next image.
    if (arranged?.state === chosen && arranged.area === area) return
    arranged = { state: chosen, area }
    arrange(viewport, chosen, area, software, element)
  }

  const missing = computed<Missing[]>(() => {
    const chosen = state.value
    if (!chosen) return []
    const found = new Set(chosen.missing)
    const { dataset } = shown.value.places[indexFrom(0)] ?? {}
    const [slope, intercept] = [number(dataset, '00281053') || 1, number(dataset, '00281052') || 0]
    if (chosen.rescale && (chosen.rescale[0] !== slope || chosen.rescale[1] !== intercept)) found.add('rescale')
    if (shown.value.imageIds[indexFrom(0)]?.startsWith('painted:')) found.add('serverPicture')
    return [...found]
  })

  /** Show this one from now on; none: the images as they are. */
  function begin(next?: Presentation): void {
    state.value = next
    arranged = undefined
  }

  /** Another series stands here now. */
  function leave(): void {
    const chosen = state.value
    if (chosen && !shown.value.places.some((_, at) => refersTo(chosen, placeOf(at).uid, placeOf(at).frame))) state.value = undefined
    arranged = undefined
  }

  return { state, missing, indexFrom, apply, begin, leave }
}
