/** Cells beside each other. */
export const LAYOUTS = ['1x1', '1x2', '2x2'] as const
export type Layout = (typeof LAYOUTS)[number]

export function isLayout(value: unknown): value is Layout {
  return LAYOUTS.some((layout) => layout === value)
}

export function cellsOf(layout: Layout): number {
  return layout === '2x2' ? 4 : layout === '1x2' ? 2 : 1
}

/** What a key does in the viewer; the help sheet shows this list. */
export const SHORTCUTS = [
  { keys: ['ArrowUp', 'ArrowDown'], name: 'scroll' },
  { keys: ['PageUp', 'PageDown'], name: 'scrollFar' },
  { keys: ['Home', 'End'], name: 'ends' },
  { keys: ['ArrowLeft', 'ArrowRight'], name: 'series' },
  { keys: ['w'], name: 'window' },
  { keys: ['z'], name: 'zoom' },
  { keys: ['p'], name: 'pan' },
  { keys: ['s'], name: 'stack' },
  { keys: ['l'], name: 'length' },
  { keys: ['a'], name: 'angle' },
  { keys: ['e'], name: 'roi' },
  { keys: ['Delete'], name: 'erase' },
  { keys: ['1', '8'], name: 'presets' },
  { keys: ['i'], name: 'invert' },
  { keys: ['h'], name: 'flip' },
  { keys: ['r'], name: 'rotate' },
  { keys: ['o'], name: 'overlays' },
  { keys: ['v'], name: 'presentation' },
  { keys: ['0'], name: 'reset' },
  { keys: ['Space'], name: 'cine' },
  { keys: ['Tab'], name: 'cell' },
  { keys: ['g'], name: 'layout' },
  { keys: ['?'], name: 'help' },
] as const
