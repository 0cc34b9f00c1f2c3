import { readFileSync } from 'node:fs'
import type { Plugin } from 'vite'

/** Write `routes.json`, the fixed beginnings of all addresses of the app: the server answers those, and no other, with the page. */
export function appRoutes(router: string): Plugin {
  return {
    name: 'gantry:routes',
    apply: 'build',
    generateBundle() {
      const text = readFileSync(router, 'utf8')
      const words = [...text.matchAll(/path: '((?:\/[a-z0-9-]+)+)/g)].map((match) => match[1])
      this.emitFile({ type: 'asset', fileName: 'routes.json', source: JSON.stringify([...new Set(words)].sort()) + '\n' })
    },
  }
}
