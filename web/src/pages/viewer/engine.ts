/**
 * Cornerstone3D, set up once: this file is loaded when the first image is to be shown, and with it the renderer, the tools
 * and the loader. Decoding is done in workers; everything comes from this server.
 */
import {
  cache,
  Enums,
  eventTarget,
  getRenderingCapabilities,
  imageLoader,
  imageRetrievalPoolManager,
  init as startCore,
  RenderingEngine,
  setUseCPURendering,
  type Types,
} from '@cornerstonejs/core'
import loader from '@cornerstonejs/dicom-image-loader'
import {
  addTool,
  AngleTool,
  annotation,
  EllipticalROITool,
  Enums as ToolEnums,
  init as startTools,
  LengthTool,
  PanTool,
  StackScrollTool,
  ToolGroupManager,
  WindowLevelTool,
  ZoomTool,
} from '@cornerstonejs/tools'
import type { Dataset } from './series'

export { Enums, eventTarget }
export type StackViewport = Types.IStackViewport

const GROUP = 'viewer'
const ENGINE = 'viewer'
/** Pixels kept in the browser, bytes; the oldest go first. */
const CACHE_BYTES = 1_500_000_000
const { MouseBindings } = ToolEnums

export const TOOLS = {
  window: WindowLevelTool.toolName,
  zoom: ZoomTool.toolName,
  pan: PanTool.toolName,
  stack: StackScrollTool.toolName,
  length: LengthTool.toolName,
  angle: AngleTool.toolName,
  roi: EllipticalROITool.toolName,
} as const
export type ToolName = keyof typeof TOOLS

let engine: RenderingEngine | undefined
let software = false

/** True when images are painted by the processor: there is no graphics card to be used. */
export function paintsInSoftware(): boolean {
  return software
}

/** The tools write styles of their texts as an attribute, which our policy does not allow; by the object model it does. */
function styleTextsByProperty(): void {
  const plainly = SVGElement.prototype.setAttribute
  SVGTextElement.prototype.setAttribute = function (name: string, value: string): void {
    if (name === 'style') this.style.cssText = value
    else plainly.call(this, name, value)
  }
}

function start(): RenderingEngine {
  if (engine && !engine.hasBeenDestroyed) return engine
  startCore()
  const able = getRenderingCapabilities()
  software = !able.webgl || able.softwareRasterizer
  // WebGL by software is slower than painting without it, and its shaders take a second to build.
  if (software) setUseCPURendering(true)
  styleTextsByProperty()
  startTools()
  loader.init({ maxWebWorkers: Math.max(1, Math.min(4, Math.floor((navigator.hardwareConcurrency || 2) / 2))) })
  cache.setMaxCacheSize(CACHE_BYTES)
  imageRetrievalPoolManager.setMaxSimultaneousRequests(Enums.RequestType.Interaction, 4)
  imageRetrievalPoolManager.setMaxSimultaneousRequests(Enums.RequestType.Prefetch, 4)
  for (const tool of [WindowLevelTool, ZoomTool, PanTool, StackScrollTool, LengthTool, AngleTool, EllipticalROITool]) addTool(tool)
  engine = new RenderingEngine(ENGINE)
  const group = ToolGroupManager.createToolGroup(GROUP)
  for (const name of Object.values(TOOLS)) group?.addTool(name)
  chooseTool('window')
  return engine
}

/** Ready for the first image: what takes time need not wait for it. */
export function prepare(): void {
  start()
}

/** The tool of the left button; wheel, middle and right button always scroll, move and zoom. */
export function chooseTool(chosen: ToolName): void {
  const group = ToolGroupManager.getToolGroup(GROUP)
  if (!group) return
  for (const [name, tool] of Object.entries(TOOLS)) {
    const mouseButtons: number[] = []
    if (name === chosen) mouseButtons.push(MouseBindings.Primary)
    if (name === 'pan') mouseButtons.push(MouseBindings.Auxiliary)
    if (name === 'zoom') mouseButtons.push(MouseBindings.Secondary)
    if (name === 'stack') mouseButtons.push(MouseBindings.Wheel)
    const bindings = mouseButtons.map((mouseButton) => ({ mouseButton }))
    if (bindings.length) group.setToolActive(tool, { bindings })
    else group.setToolPassive(tool, { removeAllBindings: true })
  }
}

/** A place for a stack. */
export function openViewport(id: string, element: HTMLDivElement): StackViewport {
  const running = start()
  running.enableElement({ viewportId: id, type: Enums.ViewportType.STACK, element, defaultOptions: { background: [0, 0, 0] } })
  ToolGroupManager.getToolGroup(GROUP)?.addViewport(id, ENGINE)
  return running.getViewport<StackViewport>(id)
}

export function closeViewport(id: string): void {
  ToolGroupManager.getToolGroup(GROUP)?.removeViewports(ENGINE, id)
  if (engine && !engine.hasBeenDestroyed) engine.disableElement(id)
}

export function resizeViewports(): void {
  if (engine && !engine.hasBeenDestroyed) engine.resize(true, true)
}

/** Tell the loader what the images are, before the first is asked for. */
export function tellMetadata(metadata: Map<string, Dataset>): void {
  start()
  for (const [imageId, dataset] of metadata) loader.wadors.metaDataManager.add(imageId, dataset as never)
}

/** Load an image ahead of its time. */
export function loadAhead(imageId: string): Promise<unknown> {
  if (cache.getImageLoadObject(imageId)) return Promise.resolve()
  return imageLoader.loadAndCacheImage(imageId, { requestType: Enums.RequestType.Prefetch, priority: 0 } as never)
}

/** Take away the measurement that is selected; without one, all of them that are drawn here. */
export function eraseMeasurements(element: HTMLDivElement): void {
  const chosen = annotation.selection.getAnnotationsSelected()
  if (chosen.length) for (const uid of chosen) annotation.state.removeAnnotation(uid)
  else annotation.state.removeAllAnnotations()
  element.dispatchEvent(new CustomEvent('erased'))
  engine?.render()
}

/** Nothing of what was seen stays in memory. */
export function closeEngine(): void {
  annotation.state.removeAllAnnotations()
  ToolGroupManager.destroyToolGroup(GROUP)
  engine?.destroy()
  engine = undefined
  cache.purgeCache()
}
