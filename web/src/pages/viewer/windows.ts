/** Window presets: what radiologists call them, centre and width in the units of the modality. */
export interface Preset {
  name: string
  centre: number
  width: number
}

const CT: Preset[] = [
  { name: 'abdomen', centre: 60, width: 400 },
  { name: 'lung', centre: -600, width: 1500 },
  { name: 'bone', centre: 480, width: 2500 },
  { name: 'brain', centre: 40, width: 80 },
  { name: 'mediastinum', centre: 40, width: 400 },
  { name: 'liver', centre: 90, width: 150 },
  { name: 'angio', centre: 300, width: 600 },
]

/** All that is in the image, from its darkest to its brightest: a width of nothing. */
const WHOLE: Preset = { name: 'whole', centre: 0, width: 0 }

/** The presets of a modality; those without units of their own have the whole range only. */
export function presetsOf(modality: string): Preset[] {
  return modality === 'CT' ? [...CT, WHOLE] : [WHOLE]
}

/** Lowest and highest value of a window (PS3.3 C.11.2.1.2). */
export function rangeOf(centre: number, width: number): { lower: number; upper: number } {
  const wide = Math.max(1, width)
  return { lower: centre - 0.5 - (wide - 1) / 2, upper: centre - 0.5 + (wide - 1) / 2 }
}

/** Centre and width of a range, as shown. */
export function windowOf(range: { lower: number; upper: number }): { centre: number; width: number } {
  return { centre: Math.round((range.lower + range.upper) / 2 + 0.5), width: Math.round(range.upper - range.lower + 1) }
}
