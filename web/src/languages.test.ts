import { createI18n } from 'vue-i18n'
import { expect, it } from 'vitest'
import { i18n, LOCALES, speak } from './i18n'
import { firstOf, languagesOf, nounsOf, wordsOf } from './languages'
import { Phrasebook } from './phrasebook'

/** A language of three files that somebody has dropped into `locales/qx`: not every word is there yet. */
const heads = {
  './locales/de/language.json': { name: 'Deutsch', tag: 'de-DE' },
  './locales/en/language.json': { name: 'English', tag: 'en-GB' },
  './locales/qx/language.json': { name: 'Qx', tag: 'qx' },
}
const files = {
  './locales/en/common.json': () => Promise.resolve({ menu: 'Menu', nav: { studies: 'Studies' } }),
  './locales/qx/language.json': () => Promise.resolve({ name: 'Qx', tag: 'qx' }),
  './locales/qx/common.json': () => Promise.resolve({ menu: '[Ménü]' }),
  './locales/qx/server.json': () => Promise.resolve({ nodes: { no_node: '[{0} nödé ñö]' } }),
}

it('a third language is there because its files are, and what it lacks is English', async () => {
  const languages = languagesOf(heads)
  expect(languages.map(({ code }) => code)).toEqual(['en', 'de', 'qx'])
  expect(firstOf(languages, [null, 'qx-AA', 'de'])).toBe('qx')
  expect(firstOf(languages, ['fr', 'de-AT'])).toBe('de')
  expect(firstOf(languages, ['fr'])).toBe('en')
  const messages = { en: await wordsOf(files, 'en', nounsOf(files)), qx: await wordsOf(files, 'qx', nounsOf(files)) }
  expect(Object.keys(messages.qx)).toEqual(['common'])
  const { t } = createI18n({ legacy: false, locale: 'qx', fallbackLocale: 'en', messages: messages as unknown as Record<string, { common: Record<string, string> }>, missingWarn: false, fallbackWarn: false }).global
  expect(t('common.menu')).toBe('[Ménü]')
  expect(t('common.nav.studies')).toBe('Studies')
  const book = new Phrasebook({ nodes: { no_node: 'there is no node {0}' } }, await files['./locales/qx/server.json']())
  expect(book.say("There is no node 'CT1'")).toBe("['CT1' nödé ñö]")
})

it('the languages of this build are those with a folder, and each can be spoken', async () => {
  expect(LOCALES[0]?.name).toBe('English')
  expect(LOCALES.map(({ code }) => code)).toContain('de')
  await speak('de', { remember: false })
  expect(document.documentElement.lang).toBe('de')
  expect(i18n.global.t('common.cancel')).toBe('Abbrechen')
  await speak('en', { remember: false })
  expect(i18n.global.t('common.cancel')).toBe('Cancel')
})
