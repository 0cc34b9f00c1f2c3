import { computed } from 'vue'
import type { useList } from '@/composables/useList'

/** A `useList` as a DataList takes it: `<DataList v-bind="bound(list).value" :columns .. />`. */
export function bound<T>(list: ReturnType<typeof useList<T>>) {
  return computed(() => ({
    items: list.items.value,
    state: list.state.value,
    error: list.error.value,
    hasMore: list.hasMore.value,
    loadingMore: list.loadingMore.value,
    onMore: () => void list.more(),
    onRetry: () => void list.reload(),
  }))
}
