import { useToast } from '@nuxt/ui/composables'
import { ref } from 'vue'
import { useI18n } from 'vue-i18n'
import { api, type Schemas } from '@/api'
import { useAction } from '@/composables/useAction'
import { useFormats } from '@/composables/useFormats'
import { said } from '@/said'

/** Ask nodes for a sign of life, and say what came of it. */
export function useEcho() {
  const toast = useToast()
  const { t } = useI18n({ useScope: 'global' })
  const { number } = useFormats()
  const { fail } = useAction()
  const asking = ref(new Set<string>())

  async function echo(name: string): Promise<Schemas['EchoOut'] | undefined> {
    asking.value = new Set([...asking.value, name])
    try {
      const answer = await api.post('/nodes/{name}/echo', { path: { name } })
      if (answer.ok) {
        const milliseconds = number(answer.milliseconds, { maximumFractionDigits: answer.milliseconds < 10 ? 1 : 0 })
        toast.add({ title: t('nodes.echo.ok', { name, milliseconds }), color: 'success', icon: 'i-lucide-circle-check' })
      } else {
        toast.add({
          title: t('nodes.echo.failed', { name }),
          description: [said(answer.message), said(answer.remedy)].filter(Boolean).join(' — '),
          color: 'error',
          icon: 'i-lucide-circle-alert',
          duration: 12_000,
        })
      }
      return answer
    } catch (error) {
      fail(error)
      return undefined
    } finally {
      asking.value = new Set([...asking.value].filter((one) => one !== name))
    }
  }
  return { echo, asking }
}
