import { createRouter, createWebHistory, type RouteRecordRaw } from 'vue-router'
import { useSession } from '@/composables/useSession'

declare module 'vue-router' {
  interface RouteMeta {
    /** Shown without an account, and without menu. */
    open?: boolean
    /** The permission that the page needs; without it the page says so. */
    action?: string
  }
}

// Paths begin with a word of their own ('/studies'): the server answers those words, read from this file at build.
const routes: RouteRecordRaw[] = [
  { path: '/', redirect: '/dashboard' },
  { path: '/sign-in', component: () => import('@/pages/signin/index.vue'), meta: { open: true } },
  { path: '/account/confirm/', component: () => import('@/pages/signin/confirm.vue'), meta: { open: true } },
  { path: '/account/password/', component: () => import('@/pages/signin/password.vue'), meta: { open: true } },
  { path: '/account/forgotten/', component: () => import('@/pages/signin/forgotten.vue'), meta: { open: true } },
  { path: '/account/register/', component: () => import('@/pages/signin/register.vue'), meta: { open: true } },
  { path: '/setup', component: () => import('@/pages/setup/index.vue'), meta: { open: true } },
  { path: '/profile', component: () => import('@/pages/profile/index.vue') },
  // Pages by noun, one block each; the action is that of navigation.ts.
  { path: '/dashboard', component: () => import('@/pages/dashboard/index.vue') },
  { path: '/deliveries', component: () => import('@/pages/deliveries/index.vue'), meta: { action: 'deliveries.view' } },
  { path: '/deliveries/study/:uid', component: () => import('@/pages/deliveries/study.vue'), meta: { action: 'deliveries.view' } },
  { path: '/deliveries/receipt/:uid', component: () => import('@/pages/deliveries/receipt.vue'), meta: { action: 'deliveries.view' } },
  { path: '/destinations/:name', component: () => import('@/pages/deliveries/destination.vue'), meta: { action: 'deliveries.view' } },
  { path: '/alerts', component: () => import('@/pages/alerts/index.vue'), meta: { action: 'alerts.view' } },
  { path: '/storage', component: () => import('@/pages/storage/index.vue'), meta: { action: 'storage.view' } },
  { path: '/quarantine', component: () => import('@/pages/quarantine/index.vue'), meta: { action: 'quarantine.view' } },
  { path: '/audit', component: () => import('@/pages/audit/index.vue'), meta: { action: 'audit.view' } },
  { path: '/people', component: () => import('@/pages/people/index.vue'), meta: { action: 'people.view' } },
  { path: '/settings', component: () => import('@/pages/settings/index.vue'), meta: { action: 'system.view' } },
  { path: '/api-reference', component: () => import('@/pages/api/index.vue'), meta: { action: 'docs.view' } },
  { path: '/nodes', component: () => import('@/pages/nodes/index.vue'), meta: { action: 'nodes.view' } },
  { path: '/nodes/new', component: () => import('@/pages/nodes/form.vue'), meta: { action: 'nodes.edit' } },
  { path: '/nodes/:name', component: () => import('@/pages/nodes/node.vue'), meta: { action: 'nodes.view' } },
  { path: '/nodes/:name/edit', component: () => import('@/pages/nodes/form.vue'), meta: { action: 'nodes.edit' } },
  { path: '/rules', component: () => import('@/pages/rules/index.vue'), meta: { action: 'rules.view' } },
  { path: '/rules/new', component: () => import('@/pages/rules/edit.vue'), meta: { action: 'rules.edit' } },
  { path: '/rules/edit/:name', component: () => import('@/pages/rules/edit.vue'), meta: { action: 'rules.edit' } },
  { path: '/studies/:uid/view', component: () => import('@/pages/viewer/index.vue'), meta: { action: 'studies.view' } },
  { path: '/studies', component: () => import('@/pages/studies/index.vue'), meta: { action: 'studies.view' } },
  { path: '/studies/:uid', component: () => import('@/pages/studies/study.vue'), meta: { action: 'studies.view' } },
  { path: '/:rest(.*)*', component: () => import('@/pages/notfound/index.vue') },
]

// The viewer shows its first image soonest when it need not wait for the rest of the app.
const viewed = /^\/studies\/([^/]+)\/view\/?$/.exec(location.pathname)
if (viewed?.[1] && !viewed[1].includes('%')) {
  const uid = viewed[1]
  void import('@/pages/viewer/early').then((early) => early.beginEarly(uid, new URLSearchParams(location.search))).catch(() => undefined)
  void import('@/pages/viewer/index.vue').catch(() => undefined) // the router asks again, and says what is wrong
}

export const router = createRouter({
  history: createWebHistory(),
  routes,
  scrollBehavior: (_to, _from, saved) => saved ?? { top: 0 },
})

router.beforeEach((to) => {
  const { session } = useSession()
  if (session.value?.must_change_password && to.path !== '/setup') return { path: '/setup', query: { next: to.fullPath } }
  if (to.meta.open || session.value) return true
  return { path: '/sign-in', query: to.fullPath === '/dashboard' ? {} : { next: to.fullPath } }
})

// After an upgrade the files of the page that is open are gone: load the new app at the address one wanted.
router.onError((error: unknown, to) => {
  if (error instanceof TypeError && /import|module/i.test(error.message)) location.assign(to.fullPath)
})
