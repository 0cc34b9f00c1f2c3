import { readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { brotliCompressSync, constants, gzipSync } from 'node:zlib'
import type { Plugin } from 'vite'

const TEXT = /\.(js|css|html|svg|json|wasm|txt)$/
const SMALLEST = 512

/** Beside each file that is worth it, the same compressed with brotli and gzip: the server only chooses. */
export function compressed(): Plugin {
  let folder = ''
  return {
    name: 'gantry:compressed',
    apply: 'build',
    configResolved(config) {
      folder = config.build.outDir
    },
    closeBundle() {
      for (const path of files(folder)) {
        if (!TEXT.test(path) || statSync(path).size < SMALLEST || path.endsWith('index.html')) continue
        const content = readFileSync(path)
        // 9 of 11: the last two levels cost ten times the time for two hundredths.
        const quality = { params: { [constants.BROTLI_PARAM_QUALITY]: 9 } }
        writeFileSync(path + '.br', brotliCompressSync(content, quality))
        writeFileSync(path + '.gz', gzipSync(content, { level: 9 }))
      }
    },
  }
}

function files(folder: string): string[] {
  return readdirSync(folder, { withFileTypes: true }).flatMap((entry) =>
    entry.isDirectory() ? files(join(folder, entry.name)) : [join(folder, entry.name)],
  )
}
