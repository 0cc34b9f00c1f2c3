import { ref, shallowRef } from 'vue'
import { asApiError, type ApiError } from '@/api'

/** A form that is sent once: busy, refused with an error, or done. */
export function useSend(send: () => Promise<unknown>) {
  const busy = ref(false)
  const done = ref(false)
  const error = shallowRef<ApiError | null>(null)

  async function submit(): Promise<void> {
    if (busy.value) return
    busy.value = true
    error.value = null
    try {
      await send()
      done.value = true
    } catch (thrown) {
      error.value = asApiError(thrown)
    } finally {
      busy.value = false
    }
  }

  return { busy, done, error, submit }
}

/** What stands behind # in the link of a mail; no server sees it before the form is sent. */
export function linkOfMail(): string {
  return decodeURIComponent(location.hash.slice(1))
}
