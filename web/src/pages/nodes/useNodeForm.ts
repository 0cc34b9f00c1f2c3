import { computed, reactive, shallowRef } from 'vue'
import { api, asApiError, type ApiError, type Schemas } from '@/api'
import { readAddress } from './address'

const EMPTY = {
  name: '', address: '', calling_aet: '', max_associations: 4, max_attempts: 12, connect_seconds: 10, response_seconds: 60,
  failover_seconds: 300, enabled: true, transcode: 'never', bandwidth: '', reconcile: 'auto', http_auth: '', path_template: '',
  tls: false, authorities: '', fingerprint: '', certificate: '', key: '', user: '', passcode: '',
}
export type Fields = typeof EMPTY
type NodeIn = Schemas['NodeIn']

/** The form of a node: filled from one, tested before it is saved, saved. `name`: the node that is changed. */
export function useNodeForm(name?: string) {
  const fields = reactive<Fields>({ ...EMPTY })
  const saved = shallowRef(JSON.stringify(EMPTY))
  const loading = shallowRef(Boolean(name))
  const error = shallowRef<ApiError | null>(null)
  const hasPasscode = shallowRef(false)
  const place = computed(() => readAddress(fields.address))
  const dirty = computed(() => JSON.stringify(fields) !== saved.value)

  async function load(): Promise<void> {
    if (!name) return
    loading.value = true
    try {
      const path = { name }
      const [node, security] = await Promise.all([api.get('/nodes/{name}', { path }), api.get('/nodes/{name}/security', { path })])
      const known: Record<string, unknown> = { ...node, ...security, passcode: '' }
      Object.assign(fields, Object.fromEntries(Object.keys(EMPTY).map((key) => [key, known[key] ?? EMPTY[key as keyof Fields]])))
      hasPasscode.value = security.has_passcode
      saved.value = JSON.stringify(fields)
      error.value = null
    } catch (thrown) {
      error.value = asApiError(thrown)
    } finally {
      loading.value = false
    }
  }

  function security() {
    const none = place.value.kind === 'folder'
    const { authorities, fingerprint, certificate, key, user, passcode } = fields
    // For a web server its address says whether it is TLS.
    const tls = place.value.kind === 'dicomweb' ? /^https:/i.test(fields.address.trim()) : fields.tls
    const files = tls && !none ? { authorities, fingerprint, certificate, key } : { authorities: '', fingerprint: '', certificate: '', key: '' }
    return { tls: tls && !none, ...files, user: none ? '' : user, passcode: none ? '' : passcode }
  }
  function settings() {
    return {
      address: fields.address.trim(),
      calling_aet: fields.calling_aet.trim(),
      max_associations: fields.max_associations,
      max_attempts: fields.max_attempts,
      connect_seconds: fields.connect_seconds,
      response_seconds: fields.response_seconds,
      failover_seconds: fields.failover_seconds,
      transcode: fields.transcode as NodeIn['transcode'],
      bandwidth: fields.bandwidth.trim(),
      reconcile: fields.reconcile as NodeIn['reconcile'],
      http_auth: (place.value.kind === 'dicomweb' ? fields.http_auth : '') as NodeIn['http_auth'],
      path_template: place.value.kind === 'folder' ? fields.path_template.trim() : '',
    }
  }
  const test = () => api.post('/node-tests', { body: { ...settings(), name: '', aet: '', host: '', enabled: true, security: security(), like: name ?? '' } })

  async function save(): Promise<string> {
    if (name) {
      // An empty passcode in this form means: as it was.
      const body = { ...settings(), enabled: fields.enabled, security: { ...security(), passcode: fields.passcode || (fields.user || fields.http_auth ? null : '') } }
      await api.patch('/nodes/{name}', { path: { name }, body })
    } else {
      await api.post('/nodes', { body: { ...settings(), name: fields.name.trim(), aet: '', host: '', enabled: fields.enabled, security: security() } })
    }
    saved.value = JSON.stringify(fields)
    return name ?? fields.name.trim()
  }
  void load()
  return { fields, place, dirty, loading, error, hasPasscode, load, test, save }
}
