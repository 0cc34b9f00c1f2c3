import { fileURLToPath } from 'node:url'
import ui from '@nuxt/ui/vite'
import vue from '@vitejs/plugin-vue'
import { defineConfig } from 'vitest/config'
import { appRoutes } from './vite/routes.ts'
import { chunkGroups } from './vite/chunks.ts'
import { compressed } from './vite/compressed.ts'
import { viewerFirst } from './vite/first.ts'
import { mocked } from './vite/mocked.ts'

const here = (path: string) => fileURLToPath(new URL(path, import.meta.url))
/** Where `make web-dev` finds the server that answers /api. */
const SERVER = process.env.GANTRY_URL ?? 'http://127.0.0.1:8080'
/** What the server answers itself; beginnings of addresses as regular expressions, as /api-reference is a page of ours. */
const SERVED = ['^/api/', '^/dicomweb/', '^/account/openid/', '^/static/', '^/admin/', '^/health/', '^/metrics']

export default defineConfig(({ mode }) => ({
  root: here('.'),
  resolve: { alias: { '@': here('./src'), xmlbuilder2: here('./vite/no-xml.ts') } },
  plugins: [
    vue(),
    ui({
      // Own code is imported by name; only Nuxt UI's own components (U...) are found by theirs.
      autoImport: false,
      components: { dts: here('./components.d.ts'), dirs: [] },
      colorMode: false,
      // Icons that the sources name are bundled; nothing is ever fetched from an icon service (main.ts makes sure).
      icon: { clientBundle: { scan: { globInclude: ['src/**/*.{vue,ts}'], globExclude: ['src/**/*.test.ts', 'src/api/schema.ts'] }, sizeLimitKb: 256 } },
      ui: { colors: { primary: 'gantry', neutral: 'slate' } },
      theme: { colors: ['primary', 'secondary', 'success', 'info', 'warning', 'error'] },
    }),
    appRoutes(here('./src/router.ts')),
    viewerFirst(here('./src/pages/viewer')),
    compressed(),
    mocked(here('../docs/openapi.json')),
  ],
  build: {
    outDir: process.env.GANTRY_WEB_OUT ?? here('../src/gantry/main/web_dist'),
    emptyOutDir: true,
    assetsDir: 'assets',
    target: 'es2022',
    sourcemap: false,
    reportCompressedSize: false,
    assetsInlineLimit: 0,
    chunkSizeWarningLimit: 4000,
    rolldownOptions: { output: { codeSplitting: { groups: chunkGroups() }, chunkFileNames: ({ name }) => `assets/${name.split('~')[0]}-[hash].js` } },
  },
  worker: { format: 'es' as const },
  optimizeDeps: { exclude: ['@cornerstonejs/dicom-image-loader'] },
  server: {
    host: '127.0.0.1',
    port: 5173,
    fs: { allow: [here('.'), here('../docs/openapi.json')] },
    proxy: mode === 'mocked' ? {} : Object.fromEntries(SERVED.map((path) => [path, { target: SERVER, changeOrigin: true, headers: { origin: SERVER } }])),
  },
  test: { environment: 'happy-dom', include: ['src/**/*.test.ts', 'vite/**/*.test.ts'], setupFiles: [here('./vite/test-setup.ts')] },
}))
