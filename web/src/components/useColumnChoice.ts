import { useLocalStorage } from '@vueuse/core'
import { computed, type ComputedRef } from 'vue'
import type { Column } from './columns'

/** The columns of a list that somebody wants to see, kept in this browser under the name of the list. */
export function useColumnChoice(name: string, columns: ComputedRef<Column[]>) {
  const chosen = useLocalStorage<Record<string, boolean>>(`gantry.columns.${name}`, {}, { writeDefaults: false })
  const on = (column: Column) => column.fixed === true || (chosen.value[column.key] ?? column.off !== true)

  function toggle(column: Column): void {
    const next = { ...chosen.value, [column.key]: !on(column) }
    if (next[column.key] === (column.off !== true)) delete next[column.key]
    chosen.value = next
  }

  return {
    /** What is shown. A column that was chosen stands from a middle width of the window on, below there is no room. */
    shown: computed(() => columns.value.filter(on).map((column) => (chosen.value[column.key] && column.from !== 'sm' ? { ...column, from: 'md' as const } : column))),
    items: computed(() =>
      columns.value.filter(({ fixed }) => !fixed).map((column) => ({
        label: column.label, type: 'checkbox' as const, checked: on(column), onSelect: (event: Event) => { event.preventDefault(); toggle(column) },
      })),
    ),
    changed: computed(() => Object.keys(chosen.value).length > 0),
    reset(): void { chosen.value = {} },
  }
}

export type ColumnChoice = ReturnType<typeof useColumnChoice>
