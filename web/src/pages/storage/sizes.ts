const UNITS: Record<string, number> = { b: 1, kb: 1e3, mb: 1e6, gb: 1e9, tb: 1e12, pb: 1e15, kib: 2 ** 10, mib: 2 ** 20, gib: 2 ** 30, tib: 2 ** 40, pib: 2 ** 50 }
const MOST = 2 ** 60

/** Bytes of "500 GB", "1,5 TB", "20 GiB"; 0 for nothing, null for what is no size. */
export function parseSize(text: string): number | null {
  if (!text.trim()) return 0
  const found = /^\s*(\d+(?:[.,]\d+)?)\s*([a-z]+)?\s*$/i.exec(text)
  const unit = UNITS[(found?.[2] ?? 'b').toLowerCase()]
  if (!found?.[1] || unit === undefined) return null
  const bytes = Math.round(Number(found[1].replace(',', '.')) * unit)
  return bytes < MOST ? bytes : null
}

/** Bytes as a person would type them: exact, in the largest unit that leaves at most three decimals. */
export function sizeText(bytes: number | null | undefined): string {
  if (!bytes) return ''
  for (const unit of ['tb', 'gb', 'mb', 'kb']) {
    const value = bytes / (UNITS[unit] ?? 1)
    if (value >= 1 && Math.round(value * 1000) === value * 1000) return `${value} ${unit.toUpperCase()}`
  }
  return `${bytes} B`
}
