import { useI18n } from 'vue-i18n'
import type { Schemas } from '@/api'

/** What an entry of the audit is about: the kind in the language of the person, and which one. */
export function useWhat(): (entry: Pick<Schemas['AuditEntry'], 'kind' | 'key'>) => string {
  const { t, te } = useI18n({ useScope: 'global' })
  return ({ kind, key }) => [te(`audit.kinds.${kind}`) ? t(`audit.kinds.${kind}`) : kind, key].filter(Boolean).join(' ')
}
