import { useI18n } from 'vue-i18n'
import { api } from '@/api'
import { useAction } from '@/composables/useAction'

export type Act = 'retry' | 'hold' | 'release' | 'recall' | 'resend'

/** What is steered: one study in all queues or in that of one node. */
export interface Target {
  study_instance_uid: string
  node?: string
}

/** Called with what was chosen, and again when the server has answered. */
type Changed = () => void

/** Retry, hold, release, recall, send again; holding and releasing can be undone. */
export function useSteer(changed: Changed) {
  const { t } = useI18n({ useScope: 'global' })
  const { run, busy } = useAction()

  function call(act: Act, target: Target, reason: string, priority?: number): Promise<number> {
    const body = { study_instance_uid: target.study_instance_uid, node: target.node ?? null }
    const steered = { ...body, reason, priority: priority ?? null }
    if (act === 'retry') return api.post('/deliveries/retry', { body: { ...body, statuses: ['failed', 'dead'] } }).then(({ queued }) => queued)
    const answers = {
      hold: () => api.post('/deliveries/hold', { body: steered }),
      release: () => api.post('/deliveries/release', { body: steered }),
      recall: () => api.post('/deliveries/recall', { body: steered }),
      resend: () => api.post('/deliveries/resend', { body: steered }),
    }
    return answers[act]().then(({ changed }) => changed)
  }

  async function all(act: Act, targets: Target[], reason: string, priority?: number): Promise<number> {
    let sum = 0
    for (const target of targets) sum += await call(act, target, reason, priority)
    return sum
  }

  /** Do it with one or many; throws to a form (`throws`), otherwise says what went wrong. */
  async function steer(act: Act, targets: Target[], reason = '', options: { priority?: number; throws?: boolean } = {}): Promise<void> {
    const back = { hold: 'release', release: 'hold' }[act as string] as Act | undefined
    await run({
      do: () => all(act, targets, reason, options.priority).finally(changed),
      done: (count) => t(`deliveries.done.${act}`, { n: count }, count),
      progress: t('deliveries.working'),
      undo: back && (() => all(back, targets, back === 'hold' ? t('deliveries.undoReason') : '').finally(changed)),
      throws: options.throws,
    })
  }

  return { steer, busy }
}
