import { onScopeDispose, readonly, ref, watch } from 'vue'

/** True once a condition has held for 100 ms: what is quicker than that needs no spinner. */
export function useSlowly(condition: () => boolean, milliseconds = 100) {
  const slow = ref(false)
  let timer: ReturnType<typeof setTimeout> | undefined
  const stop = watch(
    condition,
    (holds) => {
      clearTimeout(timer)
      if (!holds) slow.value = false
      else timer = setTimeout(() => (slow.value = true), milliseconds)
    },
    { immediate: true },
  )
  onScopeDispose(() => {
    clearTimeout(timer)
    stop()
  })
  return readonly(slow)
}
