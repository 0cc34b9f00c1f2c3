import { useI18n } from 'vue-i18n'
import { plainText } from '@/composables/useFormats'

/** Whose word it was that something goes somewhere. */
export interface Order {
  /** Empty: no rule. */
  rule: string
  /** '', again, move. */
  origin: string
  /** A person, or the AE title that asked by C-MOVE; empty: a rule, or nobody noted it. */
  by: string
}

/** Who ordered a delivery, in words: a rule, a person by hand, a person once more, a C-MOVE. */
export function useOrderedBy(): (order: Order) => string {
  const { t } = useI18n({ useScope: 'global' })
  return ({ rule, origin, by }) => {
    const name = plainText(by)
    if (origin === 'move') return t('deliveries.byMove', { name })
    if (origin === 'again' && name) return t('deliveries.byAgain', { name })
    return rule || (name ? t('deliveries.byPerson', { name }) : t('deliveries.byHand'))
  }
}
