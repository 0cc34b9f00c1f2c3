import { useToast } from '@nuxt/ui/composables'
import { readonly, ref } from 'vue'
import { useI18n } from 'vue-i18n'
import { asApiError } from '@/api'
import { saidOf, wordsReady } from '@/said'

export interface Action<T> {
  /** The call. */
  do: () => Promise<T>
  /** Show the end at once; gives what takes it back when the call fails. */
  optimistic?: () => () => void
  /** Said when it is done. */
  done?: string | ((result: T) => string)
  /** Said while it runs, when that takes longer than a second. */
  progress?: string
  /** Offered for ten seconds after it was done. */
  undo?: () => Promise<unknown>
  /** True: errors are thrown to the caller (a form shows them beside its fields) instead of said. */
  throws?: boolean
}

const SLOW_MILLISECONDS = 1000
const UNDO_MILLISECONDS = 10_000

/**
 * Do something that changes the server: optimistic, with undo, or with a progress; an error is said with cause and remedy.
 * `const { run, busy } = useAction()`; `run` gives the result, or undefined when it failed.
 */
export function useAction() {
  const toast = useToast()
  const { t } = useI18n({ useScope: 'global' })
  const busy = ref(false)
  let running = 0

  async function fail(error: unknown): Promise<void> {
    await wordsReady()
    const { message, cause, remedy } = saidOf(asApiError(error))
    toast.add({ title: message, description: [cause, remedy].filter(Boolean).join(' '), color: 'error', icon: 'i-lucide-circle-alert', duration: 12_000 })
  }

  function succeed<T>(action: Action<T>, result: T): void {
    const title = typeof action.done === 'function' ? action.done(result) : action.done
    if (!title) return
    const undo = action.undo
    toast.add({
      title,
      color: 'success',
      icon: 'i-lucide-circle-check',
      duration: undo ? UNDO_MILLISECONDS : 4000,
      actions: undo ? [{ label: t('common.undo'), icon: 'i-lucide-undo-2', color: 'neutral', variant: 'outline', onClick: () => void undo().catch(fail) }] : undefined,
    })
  }

  async function run<T>(action: Action<T>): Promise<T | undefined> {
    const takeBack = action.optimistic?.()
    busy.value = ++running > 0
    let shown: string | number | undefined
    const slow = setTimeout(() => {
      if (action.progress) shown = toast.add({ title: action.progress, icon: 'i-lucide-loader-circle', color: 'neutral', duration: 0 }).id
    }, SLOW_MILLISECONDS)
    try {
      const result = await action.do()
      succeed(action, result)
      return result
    } catch (error) {
      takeBack?.()
      if (action.throws) throw error
      void fail(error)
      return undefined
    } finally {
      clearTimeout(slow)
      if (shown !== undefined) toast.remove(shown)
      busy.value = --running > 0
    }
  }

  return { run, fail, busy: readonly(busy) }
}
