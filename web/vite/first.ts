import type { Plugin } from 'vite'

interface Chunk {
  type: string
  fileName?: string
  facadeModuleId?: string | null
  moduleIds?: string[]
  imports?: string[]
}

/**
 * The viewer's first module stands in the page before the app, and beside it the names of the files that the viewer will need:
 * who opens a viewer's address need not wait until the app asks for them.
 */
export function viewerFirst(folder: string): Plugin {
  const entry = `${folder}/first.ts`
  return {
    name: 'gantry:viewer-first',
    apply: 'build',
    buildStart() {
      this.emitFile({ type: 'chunk', id: entry, name: 'first' })
    },
    transformIndexHtml: {
      order: 'post',
      handler(html, { bundle }) {
        const chunks = Object.values((bundle ?? {}) as Record<string, Chunk>).filter((one) => one.type === 'chunk')
        const of = (path: string) => chunks.find((one) => one.facadeModuleId === path)
        // Where the module itself is: the entry of this name may only lead there.
        const first = chunks.find((one) => one.moduleIds?.includes(entry))
        if (!first?.fileName) throw new Error(`${entry} became no file of its own`)
        const wanted = new Set<string>()
        const add = (chunk: Chunk | undefined) => {
          if (!chunk?.fileName || wanted.has(chunk.fileName)) return
          wanted.add(chunk.fileName)
          for (const name of chunk.imports ?? []) add(chunks.find((one) => one.fileName === name))
        }
        for (const path of ['engine.ts', 'index.vue', 'early.ts']) add(of(`${folder}/${path}`))
        const names = [...wanted].map((name) => `/${name}`).filter((name) => name !== `/${first.fileName}` && !html.includes(`"${name}"`))
        return [
          { tag: 'meta', attrs: { name: 'gantry-viewer', content: names.join(' ') }, injectTo: 'head-prepend' as const },
          { tag: 'script', attrs: { type: 'module', async: true, crossorigin: true, src: `/${first.fileName}` }, injectTo: 'head-prepend' as const },
        ]
      },
    },
  }
}
