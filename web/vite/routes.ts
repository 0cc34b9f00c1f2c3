import { readFileSync } from 'node:fs'
import type { Plugin } from 'vite'

interface Chunk {
  type: string
  fileName: string
  isEntry?: boolean
  facadeModuleId?: string | null
  moduleIds?: string[]
  imports?: string[]
}
const ROUTE = /path: '((?:\/:?[a-z0-9-]+)+)\/?'(?:, component: \(\) => import\('@\/([^']+)'\))?(.*)/g
/** Spoken by every page (src/i18n.ts). */
const EVERYWHERE = ['common', 'signin']

/**
 * Write `routes.json`: the addresses of the app, `:name` for a part that may be anything, each with the files that its page
 * needs besides those that index.html names ('*') and with those of its words by language. The server answers these addresses,
 * and no other, with the page, and has the browser ask for the files at once.
 */
export function appRoutes(router: string): Plugin {
  return {
    name: 'gantry:routes',
    apply: 'build',
    generateBundle(_options, bundle) {
      const chunks = (Object.values(bundle) as Chunk[]).filter((one) => one.type === 'chunk')
      const named = new Map(chunks.map((one) => [one.fileName, one]))
      const reached = (chunk: Chunk | undefined, seen = new Set<string>()): Set<string> => {
        if (!chunk || seen.has(chunk.fileName)) return seen
        seen.add(chunk.fileName)
        for (const name of chunk.imports ?? []) reached(named.get(name), seen)
        return seen
      }
      const atOnce = reached(chunks.find((one) => one.isEntry && one.facadeModuleId?.endsWith('index.html')))
      const files = (ends: string[]) => {
        const found = ends.flatMap((end) => [...reached(chunks.find((one) => one.facadeModuleId?.endsWith(end) ?? one.moduleIds?.some((id) => id.endsWith(end))))])
        return [...new Set(found)].filter((name) => !atOnce.has(name)).map((name) => `/${name}`)
      }
      const languages = new Set(chunks.flatMap((one) => one.moduleIds ?? []).flatMap((id) => /\/locales\/([^/]+)\/common\.json$/.exec(id)?.[1] ?? []))
      const routes: Record<string, Record<string, string[]>> = {}
      for (const [, path = '', page, meta = ''] of readFileSync(router, 'utf8').matchAll(ROUTE)) {
        if (routes[path]) continue
        const words = [...(/words: \[([^\]]*)\]/.exec(meta)?.[1] ?? '').matchAll(/'(\w+)'/g)].map((match) => match[1] ?? '')
        const needed: Record<string, string[]> = { '*': page ? files([`/src/${page}`]) : [] }
        for (const language of page ? languages : []) needed[language] = files([...EVERYWHERE, ...words].map((noun) => `/locales/${language}/${noun}.json`))
        routes[path] = needed
      }
      this.emitFile({ type: 'asset', fileName: 'routes.json', source: JSON.stringify(routes) + '\n' })
    },
  }
}
