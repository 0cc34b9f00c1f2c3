import { expect, it } from 'vitest'

type Words = { [key: string]: string | Words }
const files = import.meta.glob<Words>('./*/*.json', { import: 'default', eager: true })

function keys(words: Words, before = ''): string[] {
  return Object.entries(words).flatMap(([key, value]) => (typeof value === 'string' ? [before + key] : keys(value, `${before}${key}.`)))
}

const english = Object.entries(files).filter(([path]) => path.startsWith('./en/'))

it.each(english.map(([path, words]) => [path.slice('./en/'.length), words] as const))('%s is complete in German', (name, words) => {
  const german = files[`./de/${name}`]
  expect(german, `locales/de/${name}`).toBeDefined()
  expect(keys(german ?? {}).sort()).toEqual(keys(words).sort())
})

it('nothing is German only', () => {
  const only = Object.keys(files).filter((path) => path.startsWith('./de/') && !files[path.replace('/de/', '/en/')])
  expect(only).toEqual([])
})
