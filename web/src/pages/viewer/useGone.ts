import { ref } from 'vue'
import { api } from '@/api'
import { useLive } from '@/composables/useLive'

/** Whether the study went away while it is looked at. `check` asks; it is also asked when the server says that one was deleted. */
export function useGone(uid: string) {
  const gone = ref(false)

  async function check(): Promise<void> {
    try {
      // The list, which is no look at the patient's data for the audit.
      const page = await api.get('/studies', { query: { study_instance_uid: uid, limit: 1 } })
      gone.value = page.items.length === 0
    } catch {
      return // the next one who asks hears it
    }
  }

  useLive(['StudyDeleted'], (changes) => void (changes.length && check()))
  return { gone, check }
}
