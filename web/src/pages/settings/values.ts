import type { Schemas } from '@/api'

export type Setting = Schemas['SettingOut']
export type Value = string | number | boolean | string[]

/** The text of a field for a value: lists stand one a line. */
export function asText(value: unknown): string {
  if (Array.isArray(value)) return value.join('\n')
  return value === null || value === undefined ? '' : String(value)
}

/** What is typed as a value of the setting; null: it is no number. */
export function readValue(setting: Setting, typed: string | boolean): Value | null {
  if (typeof typed === 'boolean') return typed
  if (setting.type === 'list') return typed.split(/[\n,]/).map((one) => one.trim()).filter(Boolean)
  if (setting.type !== 'number') return typed.trim()
  const number = Number(typed.trim().replace(',', '.'))
  return typed.trim() === '' || !Number.isFinite(number) ? null : number
}

/** The document that changes one setting. JSON is YAML. */
export const documentOf = (setting: Setting, value: Value) => JSON.stringify({ gantry: 1, settings: { [setting.name]: value } })
