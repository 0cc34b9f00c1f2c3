/** One entry of the menu. `action`: the permission without which it is not shown; '' for everybody. */
export interface Entry {
  to: string
  icon: string
  /** Key of its name: `common.nav.<key>`. */
  key: string
  action: string
}

export interface Group {
  key: string
  entries: Entry[]
}

/** The menu, the command palette and the walk of the browser tests read this table. */
export const NAVIGATION: Group[] = [
  {
    key: 'overview',
    entries: [
      { to: '/dashboard', icon: 'i-lucide-gauge', key: 'dashboard', action: '' },
      { to: '/studies', icon: 'i-lucide-scan-line', key: 'studies', action: 'studies.view' },
      { to: '/deliveries', icon: 'i-lucide-send', key: 'deliveries', action: 'deliveries.view' },
    ],
  },
  {
    key: 'routing',
    entries: [
      { to: '/nodes', icon: 'i-lucide-network', key: 'nodes', action: 'nodes.view' },
      { to: '/rules', icon: 'i-lucide-split', key: 'rules', action: 'rules.view' },
    ],
  },
  {
    key: 'house',
    entries: [
      { to: '/storage', icon: 'i-lucide-hard-drive', key: 'storage', action: 'storage.view' },
      { to: '/quarantine', icon: 'i-lucide-shield-alert', key: 'quarantine', action: 'quarantine.view' },
      { to: '/alerts', icon: 'i-lucide-bell', key: 'alerts', action: 'alerts.view' },
      { to: '/audit', icon: 'i-lucide-scroll-text', key: 'audit', action: 'audit.view' },
      { to: '/people', icon: 'i-lucide-users', key: 'people', action: 'people.view' },
      { to: '/settings', icon: 'i-lucide-settings', key: 'settings', action: 'system.view' },
      { to: '/api-reference', icon: 'i-lucide-braces', key: 'api', action: 'docs.view' },
    ],
  },
]

/** What the command palette can begin from anywhere: a page that is a form. `key`: its name in `common.action.<key>`. */
export const ACTIONS: Entry[] = [
  { to: '/nodes/new', icon: 'i-lucide-plus', key: 'addNode', action: 'nodes.edit' },
  { to: '/rules/new', icon: 'i-lucide-plus', key: 'addRule', action: 'rules.edit' },
]
