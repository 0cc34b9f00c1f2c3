import { existsSync, readFileSync } from 'node:fs'
import { dirname, join, normalize } from 'node:path'
import { expect, it } from 'vitest'
import { EVERYWHERE, NOUNS } from './i18n'

const SOURCE = import.meta.dirname
const texts = new Map<string, string>()

/** A source without its comments. */
function text(path: string): string {
  const found = texts.get(path) ?? readFileSync(path, 'utf8').replace(/\/\*[\s\S]*?\*\/|(?<!:)\/\/.*/g, '')
  texts.set(path, found)
  return found
}

function placeOf(name: string, from: string): string | undefined {
  const base = name.startsWith('@/') ? join(SOURCE, name.slice(2)) : name.startsWith('.') ? normalize(join(dirname(from), name)) : ''
  return base ? ['', '.ts', '.vue', '/index.ts'].map((end) => base + end).find((path) => /\.(ts|vue)$/.test(path) && existsSync(path)) : undefined
}

/** A source and all of ours that it imports, at once or later. */
function reached(path: string, seen = new Set<string>()): Set<string> {
  if (seen.has(path) || path.endsWith('/router.ts')) return seen
  seen.add(path)
  for (const [, name = ''] of text(path).matchAll(/(?:from|import)\s*\(?\s*'([^']+)'/g)) {
    const place = placeOf(name, path)
    if (place) reached(place, seen)
  }
  return seen
}

const topOf = new Map(NOUNS.map((noun) => [noun, Object.keys(JSON.parse(readFileSync(join(SOURCE, `locales/en/${noun}.json`), 'utf8')) as object)]))
const KEY = new RegExp(`['"\`](${NOUNS.join('|')})\\.(\\w*)(['"\`]?)`, 'g')
const ACTIONS = new Set([...readFileSync(join(SOURCE, '../../docs/openapi.json'), 'utf8').matchAll(/"x-action": "([a-z.]+)"/g)].map((match) => match[1]))

/** The nouns whose words stand in these sources. Permissions are written alike ('rules.view'), but are no words. */
function spoken(paths: Iterable<string>): string[] {
  const found = new Set<string>()
  for (const path of paths) {
    if (path.endsWith('schema.ts')) continue
    for (const [, noun = '', key = '', end = ''] of text(path).matchAll(KEY)) {
      if ((!key || topOf.get(noun)?.includes(key)) && !(end && ACTIONS.has(`${noun}.${key}`))) found.add(noun)
    }
  }
  return [...found].filter((noun) => !EVERYWHERE.includes(noun)).sort()
}

const ROUTES = [...text(join(SOURCE, 'router.ts')).matchAll(/path: '([^']+)', component: \(\) => import\('@\/([^']+)'\)(.*)/g)].map(([, path = '', page = '', rest = '']) => ({
  path,
  page,
  words: [...(/words: \[([^\]]*)\]/.exec(rest)?.[1] ?? '').matchAll(/'(\w+)'/g)].map((match) => match[1] ?? '').sort(),
}))

it('the shell speaks only what is always there', () => {
  expect(spoken(reached(join(SOURCE, 'main.ts')))).toEqual([])
})

it.each(ROUTES)('$path names the words that it speaks', ({ page, words }) => {
  expect(ROUTES.length).toBeGreaterThan(20)
  expect(words).toEqual(spoken(reached(join(SOURCE, page))))
})
