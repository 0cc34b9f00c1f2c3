import { ref, shallowRef } from 'vue'

/**
 * Ask before something is done to one of a list: `const removing = useAsked((one: Node) => remove(one))`; a button calls
 * `removing.ask(item)`, `<ConfirmDialog v-model:open="removing.open.value" :title="..removing.chosen.value?.name" @confirm="removing.go()" />`.
 */
export function useAsked<T>(act: (one: T) => Promise<unknown>) {
  const chosen = shallowRef<T>()
  const open = ref(false)
  return {
    chosen,
    open,
    ask(one: T): void {
      chosen.value = one
      open.value = true
    },
    async go(): Promise<void> {
      open.value = false
      if (chosen.value !== undefined) await act(chosen.value)
    },
  }
}
