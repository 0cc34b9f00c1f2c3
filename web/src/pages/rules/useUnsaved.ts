import { onBeforeUnmount, onMounted, ref, toValue, watch, type MaybeRefOrGetter } from 'vue'
import { onBeforeRouteLeave } from 'vue-router'

/**
 * Keep what was typed: leaving the page with changes asks first. `const { asking, leave } = useUnsaved(dirty)`;
 * `<ConfirmDialog v-model:open="asking" @confirm="leave()" />`. `release()` before going on after saving.
 */
export function useUnsaved(dirty: MaybeRefOrGetter<boolean>) {
  const asking = ref(false)
  let free = false
  let go: ((leave: boolean) => void) | null = null

  const warn = (event: BeforeUnloadEvent) => {
    if (!free && toValue(dirty)) event.preventDefault()
  }
  onMounted(() => addEventListener('beforeunload', warn))
  onBeforeUnmount(() => removeEventListener('beforeunload', warn))
  onBeforeRouteLeave(() => {
    if (free || !toValue(dirty)) return true
    go?.(false)
    asking.value = true
    return new Promise<boolean>((resolve) => {
      go = resolve
    })
  })
  // Closed without a word: the page stays.
  watch(asking, (open) => {
    if (open) return
    go?.(false)
    go = null
  })
  return {
    asking,
    leave(): void {
      go?.(true)
      go = null
      asking.value = false
    },
    release(): void {
      free = true
    },
  }
}
