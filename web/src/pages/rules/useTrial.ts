import { ref, shallowRef } from 'vue'
import { api, asApiError, raw, type ApiError, type Schemas } from '@/api'

export type Trial = Schemas['TrialOut']
export interface Arrival {
  calling_aet: string
  called_aet: string
  remote_address: string
}
/** Below the limit of a request, with room for the form around it: the header of any object is far shorter. */
const HEAD_BYTES = 960 * 1024

/** Try the rules on a file of this computer or on a stored study. Nothing is stored. */
export function useTrial() {
  const trial = shallowRef<Trial | null>(null)
  const of = ref('')
  const busy = ref(false)
  const error = shallowRef<ApiError | null>(null)

  async function attempt(name: string, ask: () => Promise<Trial>): Promise<void> {
    busy.value = true
    error.value = null
    trial.value = null
    of.value = name
    try {
      trial.value = await ask()
    } catch (thrown) {
      error.value = asApiError(thrown)
    } finally {
      busy.value = false
    }
  }
  const tryStudy = (uid: string, version: string) => attempt(uid, () => api.post('/rule-trials', { body: { study_instance_uid: uid, version } }))
  const tryFile = (file: File, version: string, arrival: Arrival) =>
    attempt(file.name, async () => {
      const form = new FormData()
      for (const [key, value] of Object.entries({ version, ...arrival, size: String(file.size) })) form.append(key, value)
      // No name: it may say who the patient is.
      form.append('file', file.slice(0, HEAD_BYTES), 'file.dcm')
      const answer = await raw('POST', '/api/v1/rule-trials/file', { body: form })
      return (await answer.json()) as Trial
    })
  return { trial, of, busy, error, tryStudy, tryFile }
}
