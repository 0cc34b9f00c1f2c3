import { computed } from 'vue'
import { useI18n } from 'vue-i18n'
import { LOCALES } from '@/i18n'
import { serverNow } from './useConnection'

const STEPS: [Intl.RelativeTimeFormatUnit, number][] = [
  ['year', 31_557_600],
  ['month', 2_629_800],
  ['day', 86_400],
  ['hour', 3600],
  ['minute', 60],
]
const UNITS = ['B', 'KB', 'MB', 'GB', 'TB', 'PB']

// Controls, and marks that turn the direction of what follows: in a name they only deceive.
const DECEIVING = /[\u0000-\u001f\u007f-\u009f\u200e\u200f\u202a-\u202e\u2066-\u2069]/g

/** Text of foreign origin without controls and without marks that turn the direction of reading. */
export function plainText(value: string): string {
  return value.replace(DECEIVING, '')
}

/** A DICOM person name (PS3.5 6.2.1) in one line: first group that says something, family name first. */
export function personName(value: string): string {
  const group = plainText(value).split('=').find((one) => one.replaceAll('^', '').trim()) ?? ''
  const [family = '', given = '', middle = '', prefix = '', suffix = ''] = group.split('^').map((part) => part.trim())
  const rest = [prefix, given, middle].filter(Boolean).join(' ')
  return [family, rest, suffix].filter(Boolean).join(', ')
}

// A formatter costs a hundred times what it formats; a list that scrolls asks for thousands.
const kept = new Map<string, Intl.DateTimeFormat | Intl.NumberFormat | Intl.RelativeTimeFormat>()

function keptFormat<T extends Intl.DateTimeFormat | Intl.NumberFormat | Intl.RelativeTimeFormat>(
  kind: string,
  tag: string,
  options: object | undefined,
  make: () => T,
): T {
  const key = `${kind}|${tag}|${JSON.stringify(options)}`
  const found = (kept.get(key) as T | undefined) ?? make()
  kept.set(key, found)
  return found
}

/** Dates, numbers, bytes, names in the language of the person. Times are ISO texts or milliseconds; '' for nothing. */
export function useFormats() {
  const { locale } = useI18n({ useScope: 'global' })
  const tag = computed(() => LOCALES.find(({ code }) => code === locale.value)?.tag ?? 'en-GB')

  function when(value: string | number | null | undefined): Date | null {
    if (value === null || value === undefined || value === '') return null
    // A day alone is a day anywhere; as a time it would be the evening before west of Greenwich.
    const date = new Date(typeof value === 'string' && /^\d{4}-\d\d-\d\d$/.test(value) ? `${value}T00:00:00` : value)
    return Number.isNaN(date.getTime()) ? null : date
  }
  function formatted(value: string | number | null | undefined, options: Intl.DateTimeFormatOptions): string {
    const date = when(value)
    return date ? keptFormat('date', tag.value, options, () => new Intl.DateTimeFormat(tag.value, options)).format(date) : ''
  }
  const number = (value: number, options?: Intl.NumberFormatOptions) =>
    keptFormat('number', tag.value, options, () => new Intl.NumberFormat(tag.value, options)).format(value)

  /** Bytes with three digits, in steps of 1000. */
  function bytes(value: number): string {
    let unit = 0
    let left = value
    while (Math.abs(left) >= 999.5 && unit < UNITS.length - 1) {
      left /= 1000
      unit += 1
    }
    return `${number(left, { maximumSignificantDigits: unit ? 3 : 21 })}\u00a0${UNITS[unit]}`
  }

  /** As "3 minutes ago", by the clock of the server. */
  function relative(value: string | number | null | undefined): string {
    const date = when(value)
    if (!date) return ''
    const seconds = (date.getTime() - serverNow()) / 1000
    const words = keptFormat('relative', tag.value, undefined, () => new Intl.RelativeTimeFormat(tag.value, { numeric: 'auto', style: 'short' }))
    for (const [unit, length] of STEPS) {
      if (Math.abs(seconds) >= length) return words.format(Math.trunc(seconds / length), unit)
    }
    return words.format(0, 'second')
  }

  /** Seconds as "2 h 5 min". */
  function duration(seconds: number): string {
    const parts: [number, string][] = [
      [Math.floor(seconds / 86_400), 'd'],
      [Math.floor((seconds % 86_400) / 3600), 'h'],
      [Math.floor((seconds % 3600) / 60), 'min'],
      [Math.floor(seconds % 60), 's'],
    ]
    const first = parts.findIndex(([count]) => count > 0)
    if (first < 0) return `${number(seconds, { maximumFractionDigits: 1 })} s`
    return parts.slice(first, first + 2).filter(([count]) => count > 0).map(([count, unit]) => `${count} ${unit}`).join(' ')
  }

  return {
    date: (value: string | number | null | undefined) => formatted(value, { dateStyle: 'medium' }),
    time: (value: string | number | null | undefined) => formatted(value, { timeStyle: 'medium' }),
    dateTime: (value: string | number | null | undefined) => formatted(value, { dateStyle: 'medium', timeStyle: 'medium' }),
    relative,
    duration,
    number,
    percent: (share: number) => number(share, { style: 'percent', maximumFractionDigits: 1 }),
    bytes,
    personName,
  }
}
