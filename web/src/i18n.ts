import { en } from '@nuxt/ui/locale'
import { shallowRef } from 'vue'
import { createI18n } from 'vue-i18n'
import { firstOf, languagesOf, wordsOf, type Language, type Words } from './languages'

/** Another language is another folder in `locales`, and nothing else: docs/howto/translate.md. */
const files = import.meta.glob<Words>('./locales/*/*.json', { import: 'default' })
export const LOCALES: Language[] = languagesOf(import.meta.glob<{ name: string; tag: string }>('./locales/*/language.json', { import: 'default', eager: true }))
/** The few words inside of the components of the library, which brings them in many languages. */
const ofLibrary = import.meta.glob<typeof en>('/node_modules/@nuxt/ui/dist/runtime/locale/*.js', { import: 'default' })
export const libraryWords = shallowRef<typeof en>(en)
const KEPT = 'gantry-locale'

export const i18n = createI18n({ legacy: false, locale: 'en', fallbackLocale: 'en', messages: {} as Record<string, Words>, missingWarn: false, fallbackWarn: false })

const loaded = new Set<string>()

async function loadWords(locale: string): Promise<void> {
  if (loaded.has(locale)) return
  i18n.global.setLocaleMessage(locale, await wordsOf(files, locale))
  loaded.add(locale)
}

/** Whether a language has every file that English has: then nothing of English is needed. */
function isWhole(locale: string): boolean {
  return Object.keys(files).every((path) => !path.startsWith('./locales/en/') || path.replace('/en/', `/${locale}/`) in files)
}

async function loadLibraryWords(locale: string): Promise<typeof en> {
  const read = Object.entries(ofLibrary).find(([path]) => path.endsWith(`/${locale.replace('-', '_').toLowerCase()}.js`))?.[1]
  return locale === 'en' || !read ? en : read()
}

function keep(locale?: string): string | null {
  try {
    if (locale) localStorage.setItem(KEPT, locale)
    return localStorage.getItem(KEPT)
  } catch {
    return null // a browser that keeps nothing: its own language
  }
}

/** The language that was chosen, otherwise that of the browser if we have it, otherwise English. */
export function firstLocale(): string {
  return firstOf(LOCALES, [keep(), ...navigator.languages])
}

/** Speak a language from now on. */
export async function speak(locale: string, { remember = true } = {}): Promise<void> {
  const [library] = await Promise.all([loadLibraryWords(locale), loadWords(locale), isWhole(locale) ? undefined : loadWords('en')])
  libraryWords.value = library
  i18n.global.locale.value = locale
  document.documentElement.lang = locale
  document.documentElement.dir = library.dir
  if (remember) keep(locale)
}
