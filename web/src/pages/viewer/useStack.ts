import { onBeforeUnmount, reactive, shallowRef, watch, type Ref } from 'vue'
import { asApiError, raw, type ApiError } from '@/api'
import { Prefetch } from './prefetch'
import type { Presentation } from './presentation'
import { firstIndex, type Shown } from './series'
import { useLayer } from './useLayer'
import { usePresented } from './usePresented'
import { rangeOf, windowOf } from './windows'

type Engine = typeof import('./engine')
type Viewport = ReturnType<Engine['openViewport']>

/** Everything that a cell with images can be told to do, and what it says of itself. */
export function useStack(id: string, element: Ref<HTMLDivElement | null>, canvas: Ref<HTMLCanvasElement | null>, shown: Ref<Shown>) {
  const state = reactive({ index: 0, count: 0, centre: 0, width: 0, zoom: 1, playing: false, ready: false, shownAt: 0, picture: '' })
  const error = shallowRef<ApiError>()
  const presented = usePresented(shown)
  const layer = useLayer(canvas, shown, presented.state)
  let engine: Engine | undefined
  let viewport: Viewport | undefined
  let prefetch: Prefetch | undefined
  let timer = 0
  let stepping = false
  let closed = false
  let stacked = false
  let run = 0

  async function open(): Promise<void> {
    const mine = ++run
    stop()
    error.value = undefined
    state.ready = stacked = false
    setPicture()
    prefetch?.stop()
    engine ??= await import('./engine')
    if (closed || mine !== run || !element.value) return
    if (!viewport) {
      viewport = engine.openViewport(id, element.value)
      listen(engine, element.value)
    }
    const { imageIds, metadata } = shown.value
    engine.tellMetadata(metadata)
    state.count = imageIds.length
    state.index = presented.indexFrom(firstIndex(shown.value))
    prefetch = new Prefetch(imageIds.length, (index) => (painted(index) ? Promise.resolve() : (engine as Engine).loadAhead(imageIds[index] as string)))
    try {
      await go(state.index)
    } catch {
      if (mine === run) await explain()
    }
  }

  /** Whether the server paints the picture, always. */
  function painted(index: number): boolean {
    return shown.value.imageIds[index]?.startsWith('painted:') ?? false
  }

  async function go(index: number): Promise<void> {
    const mine = run
    state.index = index
    if (!viewport || !engine) return
    if (painted(index)) return explain()
    if (stacked) {
      await viewport.setImageIdIndex(index)
      return
    }
    await viewport.setStack(shown.value.imageIds, index)
    if (mine !== run) return
    stacked = true
    viewport.setProperties({ interpolationType: engine.Enums.InterpolationType.LINEAR })
    present()
    viewport.render()
    read()
    prefetch?.move(index)
  }

  /** Window, turn and place as the presentation state wants them for this image. */
  function present(): void {
    if (viewport && engine && element.value && stacked) presented.apply(viewport, engine.paintsInSoftware(), element.value, state.index)
  }

  function setPicture(blob?: Blob): void {
    if (state.picture) URL.revokeObjectURL(state.picture)
    state.picture = blob ? URL.createObjectURL(blob) : ''
  }

  /** An image that cannot be shown: ask the server what is wrong with it, it says so in words. */
  async function explain(): Promise<void> {
    const { index } = state
    const mine = run
    const imageId = shown.value.imageIds[index]
    if (!imageId || closed) return
    const { pathname } = new URL(imageId.slice(imageId.indexOf(':') + 1))
    try {
      // What the browser cannot decode, the server perhaps can: its picture, without measuring.
      const answer = await raw('GET', `${pathname}/rendered`, { headers: { Accept: 'image/jpeg' } })
      const blob = await answer.blob()
      if (closed || mine !== run || index !== state.index) return
      error.value = undefined
      setPicture(blob)
    } catch (refused) {
      if (mine === run && index === state.index) error.value = asApiError(refused)
    }
  }

  function listen(from: Engine, place: HTMLDivElement): void {
    const { Events } = from.Enums
    place.addEventListener(Events.STACK_NEW_IMAGE, () => {
      if (!viewport) return
      error.value = undefined
      setPicture()
      state.index = viewport.getCurrentImageIdIndex()
      present()
      prefetch?.move(state.index)
      read()
    })
    place.addEventListener(Events.IMAGE_RENDERED, () => {
      // The empty cell is painted, too, before its first image is there.
      if (!stacked) return
      if (viewport) layer.draw(viewport, from.paintsInSoftware(), viewport.getCurrentImageIdIndex())
      if (state.ready) return
      state.shownAt = performance.now()
      state.ready = true
    })
    place.addEventListener(Events.VOI_MODIFIED, read)
    place.addEventListener(Events.CAMERA_MODIFIED, read)
    from.eventTarget.addEventListener(Events.IMAGE_LOAD_ERROR, failed)
    from.eventTarget.addEventListener(Events.IMAGE_LOAD_FAILED, failed)
  }

  function failed(event: Event): void {
    const detail: unknown = event instanceof CustomEvent ? event.detail : undefined
    const which = typeof detail === 'object' && detail !== null && 'imageId' in detail ? detail.imageId : undefined
    if (which !== shown.value.imageIds[state.index]) return
    stop()
    void explain()
  }

  function read(): void {
    if (!viewport) return
    const range = viewport.getProperties().voiRange
    if (range) Object.assign(state, windowOf(range))
    state.zoom = viewport.getZoom()
  }

  function to(index: number): void {
    if (!viewport || !state.count) return
    const wanted = Math.min(state.count - 1, Math.max(0, index))
    void go(wanted).catch(() => explain())
  }

  function stop(): void {
    window.clearInterval(timer)
    state.playing = false
  }

  const cell = {
    state,
    error,
    to,
    scroll: (by: number) => to(state.index + by),
    /** A width of 0 is the whole range of the image. */
    setWindow(centre: number, width: number): void {
      const image = viewport?.getCornerstoneImage()
      if (!viewport || !image) return
      const of = (stored: number) => stored * image.slope + image.intercept
      viewport.setProperties({ voiRange: width ? rangeOf(centre, width) : { lower: of(image.minPixelValue), upper: of(image.maxPixelValue) } })
      viewport.render()
    },
    invert(): void {
      viewport?.setProperties({ invert: !viewport.getProperties().invert })
      viewport?.render()
    },
    flip(): void {
      viewport?.setCamera({ flipHorizontal: !viewport.getCamera().flipHorizontal })
      viewport?.render()
    },
    rotate(): void {
      if (!viewport) return
      viewport.setViewPresentation({ rotation: ((viewport.getViewPresentation().rotation ?? 0) + 90) % 360 })
      viewport.render()
    },
    zoomBy(factor: number): void {
      if (!viewport) return
      viewport.setZoom(viewport.getZoom() * factor)
      viewport.render()
    },
    layer,
    presented: presented.state,
    missing: presented.missing,
    /** Show the images as a presentation state says; none: as they are by themselves. */
    present(next?: Presentation): void {
      presented.begin(next)
      if (!stacked) return
      const index = presented.indexFrom(state.index)
      if (next && index !== state.index) return to(index)
      if (next) present()
      else cell.reset()
      viewport?.render()
    },
    reset(): void {
      presented.begin()
      viewport?.resetProperties()
      viewport?.setCamera({ flipHorizontal: false })
      viewport?.setViewPresentation({ rotation: 0 }) // which resetting the camera does not turn back
      viewport?.resetCamera()
      viewport?.render()
      read()
    },
    erase(): void {
      if (element.value) engine?.eraseMeasurements(element.value)
    },
    play(): void {
      if (state.playing) return stop()
      if (state.count < 2) return
      state.playing = true
      timer = window.setInterval(() => {
        if (!viewport || stepping) return // a slow decoder drops frames, it does not pile them up
        stepping = true
        const next = (state.index + 1) % state.count
        go(next)
          .catch(stop)
          .finally(() => {
            stepping = false
            if (error.value) stop()
          })
      }, 1000 / (shown.value.rate || 15))
    },
    retry: open,
  }

  watch(shown, () => presented.leave())
  watch([element, shown], () => element.value && void open().catch((fault: unknown) => (error.value = asApiError(fault))), { immediate: true })

  onBeforeUnmount(() => {
    closed = true
    stop()
    setPicture()
    prefetch?.stop()
    if (!engine) return
    engine.eventTarget.removeEventListener(engine.Enums.Events.IMAGE_LOAD_ERROR, failed)
    engine.eventTarget.removeEventListener(engine.Enums.Events.IMAGE_LOAD_FAILED, failed)
    if (viewport) engine.closeViewport(id)
  })

  return cell
}

export type StackCell = ReturnType<typeof useStack>
