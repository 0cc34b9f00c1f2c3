import { computed, ref, type Ref } from 'vue'

/** A word that can stand at the caret, with what it means. */
export interface Completion {
  word: string
  meaning: string
}
const SHOWN = 8

/** The beginning of a word before the caret, and where it begins. */
export function wordAt(text: string, caret: number): { from: number; word: string } {
  const word = /[A-Za-z]+$/.exec(text.slice(Math.max(0, caret - 64), caret))?.[0] ?? ''
  return { from: caret - word.length, word }
}

/** Words that begin like this first, then those that hold it; none for what is complete already. */
export function fitting(all: Completion[], word: string): Completion[] {
  const wanted = word.toLowerCase()
  if (wanted.length < 2 || all.some((one) => one.word === word)) return []
  const rank = (one: Completion) => (one.word.toLowerCase().startsWith(wanted) ? 0 : 1)
  return all.filter((one) => one.word.toLowerCase().includes(wanted)).sort((one, other) => rank(one) - rank(other) || one.word.length - other.word.length).slice(0, SHOWN)
}

/** Completion of keywords in a text area: arrows choose, Enter or Tab takes what was chosen, Escape closes. */
export function useCompletion(text: Ref<string>, area: () => HTMLTextAreaElement | null, all: () => Completion[]) {
  const caret = ref(-1)
  const chosen = ref(-1)
  const found = computed(() => (caret.value < 0 ? [] : fitting(all(), wordAt(text.value, caret.value).word)))
  function look(): void {
    const element = area()
    caret.value = element && element.selectionStart === element.selectionEnd ? element.selectionStart : -1
    chosen.value = -1
  }
  function take(one: Completion): void {
    const element = area()
    if (!element) return
    const { from } = wordAt(text.value, caret.value)
    element.setRangeText(one.word, from, caret.value, 'end')
    text.value = element.value
    caret.value = -1
    element.focus()
  }
  function key(event: KeyboardEvent): void {
    if (!found.value.length || event.isComposing) return
    const one = found.value[chosen.value]
    if (event.key === 'ArrowDown' || event.key === 'ArrowUp') {
      chosen.value = (chosen.value + (event.key === 'ArrowDown' ? 1 : -1) + found.value.length) % found.value.length
    } else if (one && (event.key === 'Enter' || event.key === 'Tab')) take(one)
    else if (event.key === 'Escape') caret.value = -1
    else return
    event.preventDefault()
  }
  return { found, chosen, look, take, key, close: () => (caret.value = -1) }
}
