import { shallowRef } from 'vue'
import { ApiError } from '@/api/error'
import { i18n } from '@/i18n'
import { Phrasebook, type Sentences } from '@/phrasebook'

/** `locales/en/server.json` is made from the sources of the server (tools/server_words.py); a language has its own beside it. */
const tables = import.meta.glob<Sentences>('./locales/*/server.json', { import: 'default' })
const books = shallowRef<Record<string, Phrasebook>>({})
const asked = new Map<string, Promise<void>>()

/** Load the words of the server in a language, once, when they are needed first: most pages have none of them. */
async function load(locale: string): Promise<void> {
  const [english, other] = [tables['./locales/en/server.json'], tables[`./locales/${locale}/server.json`]]
  if (!english || !other) return
  try {
    const book = new Phrasebook(await english(), await other(), (text) => i18n.global.t('common.quoted', { text }))
    books.value = { ...books.value, [locale]: book }
  } catch {
    asked.delete(locale) // the server is away: the next text tries again
  }
}

/** Until the words of the server are there: for what is said once and stays as it is, as a notice. */
export function wordsReady(): Promise<void> {
  const locale = i18n.global.locale.value
  const loading = asked.get(locale) ?? (locale === 'en' ? Promise.resolve() : load(locale))
  asked.set(locale, loading)
  return loading
}

/**
 * What the server says for people (message, cause, remedy, finding, alert), in the language of the person:
 * `{{ said(alert.message) }}`. What is not known stays as it is.
 */
export function said(text: string | null | undefined): string {
  if (!text) return ''
  const locale = i18n.global.locale.value
  void wordsReady()
  return books.value[locale]?.say(text) ?? text
}

/** As `said`, for a line of its own. */
export function saidAlone(text: string | null | undefined): string {
  return begun(said(text))
}

/** With a capital, as a sentence that stands alone; not what begins with a name of a setting or a command. */
function begun(text: string): string {
  return /^\p{Ll}+[ ,:]/u.test(text) ? text.charAt(0).toUpperCase() + text.slice(1) : text
}

/** "GET /api/v1/nodes lists the nodes.": helps who writes a program, not who looks at a page. */
const FOR_PROGRAMS = /^(GET|POST|PUT|PATCH|DELETE) \/api\//

/** What is wrong, why and what to do, in the language of the person; of the server, or of this app when no answer came. */
export function saidOf(error: ApiError): { message: string; cause: string; remedy: string } {
  const { t, te } = i18n.global
  const own = `common.fault.${error.code}`
  if (te(`${own}.message`)) return { message: t(`${own}.message`), cause: t(`${own}.cause`, { cause: error.cause }), remedy: t(`${own}.remedy`) }
  const remedy = FOR_PROGRAMS.test(error.remedy) ? '' : error.remedy
  return { message: begun(said(error.message)), cause: begun(said(error.cause)), remedy: begun(said(remedy)) }
}
