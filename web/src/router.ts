import { createRouter, createWebHistory, type RouteRecordRaw } from 'vue-router'
import { noteSilence, useConnection } from '@/composables/useConnection'
import { useSession } from '@/composables/useSession'
import { needWords } from '@/i18n'

declare module 'vue-router' {
  interface RouteMeta {
    /** Shown without an account, and without menu. */
    open?: boolean
    /** Shown to everybody, in the menu to those who are signed in. */
    anyone?: boolean
    /** The page fills the window by itself, without menu and bar. */
    whole?: boolean
    /** The permission that the page needs; without it the page says so. */
    action?: string
    /** Files of `locales` that the page speaks, with its parts; `common` and `signin` are always there. */
    words?: string[]
  }
}

// The server answers these addresses with the app, read from this file at build; to any other it says that it does not exist (404).
const routes: RouteRecordRaw[] = [
  { path: '/', redirect: '/dashboard' },
  { path: '/sign-in', component: () => import('@/pages/signin/index.vue'), meta: { open: true } },
  { path: '/account/confirm/', component: () => import('@/pages/signin/confirm.vue'), meta: { open: true } },
  { path: '/account/password/', component: () => import('@/pages/signin/password.vue'), meta: { open: true } },
  { path: '/account/forgotten/', component: () => import('@/pages/signin/forgotten.vue'), meta: { open: true } },
  { path: '/account/register/', component: () => import('@/pages/signin/register.vue'), meta: { open: true } },
  { path: '/setup', component: () => import('@/pages/setup/index.vue'), meta: { open: true, words: ['setup'] } },
  { path: '/profile', component: () => import('@/pages/profile/index.vue'), meta: { words: ['profile', 'people'] } },
  // Pages by noun, one block each; the action is that of navigation.ts.
  { path: '/dashboard', component: () => import('@/pages/dashboard/index.vue'), meta: { words: ['dashboard', 'deliveries', 'alerts'] } },
  { path: '/deliveries', component: () => import('@/pages/deliveries/index.vue'), meta: { action: 'deliveries.view', words: ['deliveries'] } },
  { path: '/deliveries/study/:uid', component: () => import('@/pages/deliveries/study.vue'), meta: { action: 'deliveries.view', words: ['deliveries'] } },
  { path: '/deliveries/receipt/:uid', component: () => import('@/pages/deliveries/receipt.vue'), meta: { action: 'deliveries.view', words: ['deliveries'] } },
  { path: '/destinations/:name', component: () => import('@/pages/deliveries/destination.vue'), meta: { action: 'deliveries.view', words: ['deliveries', 'dashboard'] } },
  { path: '/alerts', component: () => import('@/pages/alerts/index.vue'), meta: { action: 'alerts.view', words: ['alerts'] } },
  { path: '/storage', component: () => import('@/pages/storage/index.vue'), meta: { action: 'storage.view', words: ['storage'] } },
  { path: '/quarantine', component: () => import('@/pages/quarantine/index.vue'), meta: { action: 'quarantine.view', words: ['quarantine'] } },
  { path: '/audit', component: () => import('@/pages/audit/index.vue'), meta: { action: 'audit.view', words: ['audit'] } },
  { path: '/people', component: () => import('@/pages/people/index.vue'), meta: { action: 'people.view', words: ['people'] } },
  { path: '/settings', component: () => import('@/pages/settings/index.vue'), meta: { action: 'system.view', words: ['settings'] } },
  { path: '/api-reference', component: () => import('@/pages/api/index.vue'), meta: { action: 'docs.view', words: ['api'] } },
  { path: '/api', redirect: '/api-reference' }, // what errors and the demonstration name
  { path: '/nodes', component: () => import('@/pages/nodes/index.vue'), meta: { action: 'nodes.view', words: ['nodes'] } },
  { path: '/nodes/new', component: () => import('@/pages/nodes/form.vue'), meta: { action: 'nodes.edit', words: ['nodes'] } },
  { path: '/nodes/:name', component: () => import('@/pages/nodes/node.vue'), meta: { action: 'nodes.view', words: ['nodes'] } },
  { path: '/nodes/:name/edit', component: () => import('@/pages/nodes/form.vue'), meta: { action: 'nodes.edit', words: ['nodes'] } },
  { path: '/rules', component: () => import('@/pages/rules/index.vue'), meta: { action: 'rules.view', words: ['rules'] } },
  { path: '/rules/new', component: () => import('@/pages/rules/edit.vue'), meta: { action: 'rules.edit', words: ['rules', 'nodes'] } },
  { path: '/rules/edit/:name', component: () => import('@/pages/rules/edit.vue'), meta: { action: 'rules.edit', words: ['rules', 'nodes'] } },
  { path: '/studies/:uid/view', component: () => import('@/pages/viewer/index.vue'), meta: { whole: true, action: 'studies.view', words: ['viewer', 'studies'] } },
  { path: '/studies', component: () => import('@/pages/studies/index.vue'), meta: { action: 'studies.view', words: ['studies'] } },
  { path: '/studies/:uid', component: () => import('@/pages/studies/study.vue'), meta: { action: 'studies.view', words: ['studies'] } },
  { path: '/:rest(.*)*', component: () => import('@/pages/notfound/index.vue'), meta: { anyone: true } },
]

// The viewer shows its first image soonest when it need not wait for the rest of the app.
const VIEWER = /^\/studies\/[^/]+\/view\/?$/
if (VIEWER.test(location.pathname)) {
  void import('@/pages/viewer/early').then((early) => early.warmEngine()).catch(() => undefined)
  void import('@/pages/viewer/index.vue').catch(() => undefined) // the router asks again, and says what is wrong
}
/** Whoever is led elsewhere (to sign in) does not see what a viewer's address shows before the app is there. */
const leaveFirst = VIEWER.test(location.pathname) ? () => void import('@/pages/viewer/first').then((first) => first.endFirst()) : () => undefined

export const router = createRouter({
  history: createWebHistory(),
  routes,
  scrollBehavior: (_to, _from, saved) => saved ?? { top: 0 },
})

/**
 * Begin with the page that the address names: its code and its words come side by side with the session (its first answers:
 * public/begin.js). What fails here fails again where it is wanted, and is said there.
 */
export function beginFirst(): void {
  const to = router.resolve(location.pathname === '/' ? '/dashboard' : location.pathname + location.search)
  void needWords(to.meta.words ?? []).catch(() => undefined)
  for (const { components } of to.matched) {
    const load: unknown = components?.default
    if (typeof load === 'function') void Promise.resolve(load()).catch(() => undefined)
  }
}

router.beforeEach((to) => {
  void needWords(to.meta.words ?? []).catch(() => undefined) // beside the code of the page; waited for below
  const { session } = useSession()
  if (session.value?.must_change_password && to.path !== '/setup') return { path: '/setup', query: { next: to.fullPath } }
  if (to.meta.open || to.meta.anyone || session.value) return true
  return { path: '/sign-in', query: to.fullPath === '/dashboard' ? {} : { next: to.fullPath } }
})
router.beforeResolve((to) => needWords(to.meta.words ?? []))
router.afterEach((to) => void (VIEWER.test(to.path) || leaveFirst()))

// After an upgrade the files of the page that is open are gone: load the new app at the address one wanted. While the
// server is away that would show the browser's own page instead, so it waits for the server.
router.onError(async (error: unknown, to) => {
  if (!(error instanceof TypeError && /import|module/i.test(error.message))) return
  try {
    await fetch(to.fullPath, { method: 'HEAD', cache: 'no-store' })
    location.assign(to.fullPath)
  } catch {
    noteSilence()
    const { onBack } = useConnection()
    const off = onBack(() => {
      off()
      location.assign(to.fullPath)
    })
  }
})
