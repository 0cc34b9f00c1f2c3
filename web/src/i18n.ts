import { en } from '@nuxt/ui/locale'
import { shallowRef } from 'vue'
import { createI18n } from 'vue-i18n'
import { firstOf, languagesOf, nounsOf, wordsOf, type Language, type Words } from './languages'

/** Another language is another folder in `locales`, and nothing else: docs/howto/translate.md. */
const files = import.meta.glob<Words>('./locales/*/*.json', { import: 'default' })
export const LOCALES: Language[] = languagesOf(import.meta.glob<{ name: string; tag: string }>('./locales/*/language.json', { import: 'default', eager: true }))
/** The few words inside of the components of the library, which brings them in many languages. */
const ofLibrary = import.meta.glob<typeof en>('/node_modules/@nuxt/ui/dist/runtime/locale/*.js', { import: 'default' })
export const libraryWords = shallowRef<typeof en>(en)
const KEPT = 'gantry-locale'

export const i18n = createI18n({ legacy: false, locale: 'en', fallbackLocale: 'en', messages: {} as Record<string, Words>, missingWarn: false, fallbackWarn: false })

/** Spoken by the shell and by what all pages share. The words of a page come with it (`meta.words` in router.ts). */
export const EVERYWHERE = ['common', 'signin']
export const NOUNS = nounsOf(files)
const wanted = new Set(EVERYWHERE)
const loaded = new Set<string>()
/** The language that will be spoken once its words are there. */
let coming = 'en'

/** Have what is wanted in a language, and in English what it lacks. */
async function loadWords(locale: string): Promise<void> {
  const lacking = [...wanted].filter((noun) => !loaded.has(`${locale}/${noun}`))
  if (!lacking.length) return
  const [words] = await Promise.all([wordsOf(files, locale, lacking), isWhole(locale) ? undefined : loadWords('en')])
  i18n.global.mergeLocaleMessage(locale, words)
  for (const noun of lacking) loaded.add(`${locale}/${noun}`)
  await loadWords(locale) // what was wanted meanwhile
}

/** Have the words of these nouns, in the language that is spoken, or will be in a moment. */
export async function needWords(nouns: readonly string[]): Promise<void> {
  for (const noun of nouns) wanted.add(noun)
  await loadWords(coming)
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
  coming = locale
  let library
  try {
    ;[library] = await Promise.all([loadLibraryWords(locale), loadWords(locale)])
  } catch (error) {
    coming = i18n.global.locale.value
    throw error
  }
  if (coming !== locale) return // another was chosen meanwhile
  libraryWords.value = library
  i18n.global.locale.value = locale
  document.documentElement.lang = locale
  document.documentElement.dir = library.dir
  if (remember) keep(locale)
}
