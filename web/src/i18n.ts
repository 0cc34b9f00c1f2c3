import { createI18n } from 'vue-i18n'

export type Locale = 'en' | 'de'
type Words = { [key: string]: string | Words }

/** One file per noun: `locales/en/studies.json` holds the words `studies.*`. Another language: another folder, and a line in LOCALES. */
const files = import.meta.glob<Words>('./locales/*/*.json', { import: 'default' })
export const LOCALES: { code: Locale; name: string; tag: string }[] = [
  { code: 'en', name: 'English', tag: 'en-GB' },
  { code: 'de', name: 'Deutsch', tag: 'de-DE' },
]
const KEPT = 'gantry-locale'

export const i18n = createI18n({ legacy: false, locale: 'en', fallbackLocale: 'en', messages: {} as Record<string, Words>, missingWarn: false, fallbackWarn: false })

const loaded = new Set<string>()

async function loadWords(locale: Locale): Promise<void> {
  if (loaded.has(locale)) return
  const wanted = Object.entries(files).filter(([path]) => path.startsWith(`./locales/${locale}/`))
  const all = await Promise.all(
    wanted.map(async ([path, read]) => [path.slice(path.lastIndexOf('/') + 1, -'.json'.length), await read()] as const),
  )
  i18n.global.setLocaleMessage(locale, Object.fromEntries(all))
  loaded.add(locale)
}

function keep(locale?: Locale): string | null {
  try {
    if (locale) localStorage.setItem(KEPT, locale)
    return localStorage.getItem(KEPT)
  } catch {
    return null // a browser that keeps nothing: its own language
  }
}

/** The language that was chosen, otherwise that of the browser if we have it, otherwise English. */
export function firstLocale(): Locale {
  const wishes = [keep(), ...navigator.languages].map((wish) => wish?.slice(0, 2))
  return LOCALES.find(({ code }) => wishes.find((wish) => LOCALES.some((one) => one.code === wish)) === code)?.code ?? 'en'
}

/** Speak a language from now on. */
export async function speak(locale: Locale, { remember = true } = {}): Promise<void> {
  await Promise.all([loadWords('en'), loadWords(locale)])
  i18n.global.locale.value = locale
  document.documentElement.lang = locale
  if (remember) keep(locale)
}
