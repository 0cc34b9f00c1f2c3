import type { Schemas } from '@/api'

type Happening = Schemas['Happening']
type Translate = (key: string, values: Record<string, unknown>, count?: number) => string

const ICONS: Record<string, string> = {
  received: 'i-lucide-download', decided: 'i-lucide-split', delivery: 'i-lucide-send', held: 'i-lucide-hand', conflict: 'i-lucide-git-compare',
  settled: 'i-lucide-circle-check', act: 'i-lucide-user',
}
const LONG = 400

const text = (value: unknown): string => (typeof value === 'string' ? value : typeof value === 'number' ? String(value) : '')
const list = (value: unknown): string => (Array.isArray(value) ? value.map(text).filter(Boolean).join(', ') : text(value))

/** A happening in words: what, and below it the circumstances. */
export function describe(one: Happening, t: Translate, te: (key: string) => boolean, number: (value: number) => string) {
  const details: Record<string, unknown> = one.details ?? {}
  const n = one.instances ?? 0
  const said = { what: one.what.slice(0, LONG), who: one.who ?? '', n: number(n) }
  const bits: string[] = []
  let title = ''
  if (one.kind === 'act') {
    const key = `studies.act.${one.what.replaceAll('.', '_')}`
    title = te(key) ? t(key, said) : `${one.what}: ${said.who}`
    bits.push(list(details.nodes) || text(details.node), text(details.label), text(details.reason))
  } else if (one.kind === 'delivery') {
    title = t(`studies.history.delivery_${one.state || 'waiting'}`, said, n)
    const rule = text(details.rule)
    bits.push(rule ? t('studies.byRule', { names: rule }) : t('studies.byHand', {}), text(details.error))
  } else {
    title = t(`studies.history.${one.kind}`, said, n)
    if (one.kind === 'received') bits.push(text(details.called_aet) && t('studies.history.to', { what: text(details.called_aet) }), text(details.address))
    if (one.kind === 'decided') bits.push(list(details.conditions), t('studies.history.version', { n: text(details.version) }))
    if (one.kind === 'held') bits.push(text(details.reason), one.state ? t(`studies.history.state_${one.state}`, said) : '')
    if (one.kind === 'conflict') title = t('studies.history.conflict', { ...said, what: te(`studies.conflict.${one.what}`) ? t(`studies.conflict.${one.what}`, {}) : one.what }, n)
  }
  return { icon: ICONS[one.kind] ?? 'i-lucide-dot', title, text: bits.filter(Boolean).join(' · ').slice(0, LONG), bad: one.kind === 'conflict' || one.state === 'dead' }
}
