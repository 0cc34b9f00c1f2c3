/** Words of a noun, as a file has them. */
export type Words = { [key: string]: string | Words }
/** Path -> what reads it, as `import.meta.glob` gives it. */
export type Files<T> = Record<string, () => Promise<T>>

export interface Language {
  /** Of BCP 47, as in `locales/<code>`. */
  code: string
  /** What it calls itself. */
  name: string
  /** For dates and numbers. */
  tag: string
}

/** Not nouns of the app: what the language is called, and the sentences of the server (said.ts). */
const OTHERS = ['language.json', 'server.json']

/**
 * The languages that are there: each folder `locales/<code>` with a `language.json` ({"name", "tag"}) is one; English first.
 * `heads`: path -> that file.
 */
export function languagesOf(heads: Record<string, { name: string; tag: string }>): Language[] {
  const found = Object.entries(heads).map(([path, { name, tag }]) => ({ code: path.split('/').at(-2) ?? '', name, tag }))
  return found.sort((one, two) => Number(two.code === 'en') - Number(one.code === 'en') || one.name.localeCompare(two.name))
}

/** The nouns that have words in English, which has all of them. */
export function nounsOf(files: Files<Words>): string[] {
  return Object.keys(files).flatMap((path) => (path.includes('/en/') && !OTHERS.some((name) => path.endsWith(`/${name}`)) ? [path.slice(path.lastIndexOf('/') + 1, -'.json'.length)] : []))
}

/** The words of a language of these nouns, as far as it has them: `studies.json` holds the words `studies.*`. */
export async function wordsOf(files: Files<Words>, code: string, nouns: readonly string[]): Promise<Words> {
  const wanted = nouns.flatMap((noun) => {
    const read = files[`./locales/${code}/${noun}.json`]
    return read ? [[noun, read] as const] : []
  })
  return Object.fromEntries(await Promise.all(wanted.map(async ([noun, read]) => [noun, await read()] as const)))
}

/** The first wish that is there, as it stands or without its region; otherwise English. */
export function firstOf(languages: Language[], wishes: readonly (string | null)[]): string {
  for (const wish of wishes) {
    const found = languages.find(({ code }) => code === wish) ?? languages.find(({ code }) => code === wish?.split('-')[0])
    if (found) return found.code
  }
  return 'en'
}
