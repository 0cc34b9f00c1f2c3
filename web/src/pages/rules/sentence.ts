import type { Rule } from './tree'

type Words = (key: string, named?: Record<string, unknown>) => string
/** What is needed of a rule for its sentence. */
export type Told = Pick<Rule, 'when' | 'trigger' | 'quiet_seconds' | 'destinations' | 'mode' | 'priority' | 'hold' | 'edits' | 'quarantine'>

/** The conditions in one line; those with "or" in brackets where others stand beside. */
export function conditionsOf(when: string[], t: Words): string {
  const and = ` ${t('rules.sentence.and')} `
  return when.map((text) => (when.length > 1 && / or /.test(text) ? `(${text})` : text)).join(and) || t('rules.sentence.everything')
}

/** What a rule does, in words. */
export function actionOf(rule: Told, t: Words, duration: (seconds: number) => string): string {
  if (rule.quarantine) return t('rules.sentence.quarantine', { reason: rule.quarantine })
  const joint = rule.mode === 'order' ? t('rules.sentence.then') : rule.mode === 'failover' ? t('rules.sentence.orElse') : ', '
  const marks = [
    ...(rule.hold ? [t('rules.sentence.held')] : []),
    ...(rule.priority ? [rule.priority >= 100 ? t('rules.sentence.urgent') : t('rules.sentence.priority', { priority: rule.priority })] : []),
    ...(rule.edits.length ? [t('rules.sentence.edits', { count: rule.edits.length })] : []),
  ]
  const waits = rule.trigger === 'arrived' ? '' : rule.quiet_seconds ? t('rules.sentence.quiet', { time: duration(rule.quiet_seconds) }) : t(`rules.sentence.${rule.trigger}`)
  return [t('rules.sentence.goes', { nodes: rule.destinations.join(joint) }), ...marks, ...(waits ? [waits] : [])].join(' · ')
}

/** What differs between two rules, field by field, as (before, after). */
export function differences(before: Rule | null, after: Rule | null): { field: string; before: unknown; after: unknown }[] {
  const fields = ['name', 'enabled', 'when', 'trigger', 'quiet_seconds', 'destinations', 'mode', 'priority', 'hold', 'edits', 'quarantine'] as const
  return fields.flatMap((field) => {
    const [was, is] = [before?.[field], after?.[field]]
    return JSON.stringify(was) === JSON.stringify(is) ? [] : [{ field, before: was, after: is }]
  })
}

/** A value of a field of a rule for people. */
export function shown(field: string, value: unknown, t: Words): string {
  if (value === undefined || value === null || value === '') return '–'
  if (typeof value === 'boolean') return t(value ? 'common.yes' : 'common.no')
  if ((field === 'trigger' || field === 'mode') && typeof value === 'string') return t(`rules.${field}.${value}`)
  if (Array.isArray(value)) {
    const words = value.map((one) => (typeof one === 'string' ? one : JSON.stringify(one)))
    return words.join(field === 'when' ? ` ${t('rules.sentence.and')} ` : ', ') || (field === 'when' ? t('rules.sentence.everything') : '–')
  }
  return typeof value === 'object' ? JSON.stringify(value) : String(value)
}
