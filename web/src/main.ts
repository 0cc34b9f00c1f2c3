import { addAPIProvider, addIcon } from '@iconify/vue'
import { init } from 'virtual:nuxt-ui-icons'
import { createApp } from 'vue'
import App from './App.vue'
import { onSessionLost } from './api'
import { useSession } from './composables/useSession'
import { firstLocale, i18n, speak } from './i18n'
import { beginFirst, router } from './router'
import './styles/main.css'

// Icons are bundled; an unknown one stays empty instead of being asked for outside of this host.
addAPIProvider('', { resources: ['data:,'] })
init((name, data) => addIcon(name, data))

const { load, askAgain } = useSession()
onSessionLost(askAgain)

/** Language and session first, beside what the first page needs: no page then shows itself to change a moment later. */
async function start(): Promise<void> {
  const app = createApp(App).use(i18n)
  const ready = Promise.all([speak(firstLocale(), { remember: false }), load().catch(() => undefined)])
  beginFirst()
  await ready
  app.use(router).mount('#app')
}

void start()
