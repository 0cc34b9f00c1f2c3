import { useToast } from '@nuxt/ui/composables'
import { ref } from 'vue'
import { useI18n } from 'vue-i18n'
import { api, asApiError } from '@/api'
import { useAction } from '@/composables/useAction'

/** What can be done with studies, one or many: one after the other, so that it can be said how far it is. */
export function useStudyActions(changed: () => unknown) {
  const { t } = useI18n({ useScope: 'global' })
  const { run } = useAction()
  const toast = useToast()
  const working = ref(false)
  const progress = ref('')

  /** Do something with each; what fails is named and the rest goes on. Gives those for which it was done. */
  async function each(uids: readonly string[], act: (uid: string) => Promise<unknown>): Promise<string[]> {
    working.value = true
    const done: string[] = []
    const failures: string[] = []
    for (const uid of uids) {
      await act(uid).then(() => done.push(uid), (thrown: unknown) => {
        const { message, remedy } = asApiError(thrown)
        failures.push(remedy ? `${message} ${remedy}` : message)
      })
      if (uids.length > 3) progress.value = t('studies.progress', { done: done.length + failures.length, total: uids.length })
    }
    working.value = false
    progress.value = ''
    if (failures.length) {
      toast.add({
        title: t('studies.failed', { n: failures.length }, failures.length), description: failures[0], color: 'error',
        icon: 'i-lucide-circle-alert', duration: 12_000,
      })
    }
    return done
  }

  const say = (title: string) => toast.add({ title, color: 'success', icon: 'i-lucide-circle-check' })

  async function hold(uids: readonly string[], reason: string): Promise<void> {
    const done = await each(uids, (uid) => api.post('/deliveries/hold', { body: { study_instance_uid: uid, reason } }))
    if (done.length) say(t('studies.heldMany', { n: done.length }, done.length))
    await changed()
  }

  async function release(uids: readonly string[]): Promise<void> {
    const done = await each(uids, (uid) => api.post('/deliveries/release', { body: { study_instance_uid: uid, reason: '' } }))
    if (done.length) say(t('studies.releasedMany', { n: done.length }, done.length))
    await changed()
  }

  async function protect(uids: readonly string[], on = true): Promise<void> {
    const put = (uid: string) => api.put('/studies/{uid}/protection', { path: { uid } })
    const take = (uid: string) => api.delete('/studies/{uid}/protection', { path: { uid } })
    let done: string[] = []
    await run({
      do: async () => {
        done = await each(uids, on ? put : take)
        await changed()
      },
      undo: async () => {
        await each(done, on ? take : put)
        await changed()
      },
      done: () => t(on ? 'studies.protectedMany' : 'studies.unprotectedMany', { n: done.length }, done.length),
    })
  }

  /** Into the trash, with undo. `optimistic` takes them off the screen at once. */
  async function remove(uids: readonly string[], optimistic?: () => () => void): Promise<boolean> {
    let done: string[] = []
    await run({
      optimistic,
      do: async () => {
        done = await each(uids, (uid) => api.delete('/studies/{uid}', { path: { uid }, query: { reason: t('studies.deleteReason') } }))
        if (done.length < uids.length) await changed()
      },
      undo: async () => {
        await each(done, (uid) => api.post('/trash/{uid}/restore', { path: { uid } }))
        await changed()
      },
      done: () => (done.length ? t('studies.deletedMany', { n: done.length }, done.length) : ''),
    })
    return done.length > 0
  }

  /** Each as a ZIP of its own, one after the other. */
  async function download(uids: readonly string[]): Promise<void> {
    for (const [place, uid] of uids.entries()) {
      if (place) await new Promise((resolve) => setTimeout(resolve, 600))
      const link = document.createElement('a')
      link.href = `/api/v1/studies/${encodeURIComponent(uid)}/archive`
      link.download = ''
      link.click()
    }
    say(t('studies.downloading', { n: uids.length }, uids.length))
  }

  return { working, progress, each, hold, release, protect, remove, download }
}
