import { toValue, watchEffect, type MaybeRefOrGetter } from 'vue'

/** The title of the browser's tab. Never a patient's name: titles stay in histories. */
export function usePageTitle(title: MaybeRefOrGetter<string>): void {
  watchEffect(() => {
    const words = toValue(title)
    document.title = words ? `${words} · Gantry` : 'Gantry'
  })
}
