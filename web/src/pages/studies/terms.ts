import type { Schemas } from '@/api'

export type Term = Schemas['TermOut']

/** What stands before a word to say what it is. */
export const PREFIXES: Record<string, string> = {
  name: 'name', patient_id: 'id', accession: 'acc', description: 'desc', date: 'date', modality: 'mod', uid: 'uid', text: 'text', number: 'number',
}

/** The text with one word taken as something else. The server counts characters, not the halves of them that JavaScript counts. */
export function retype(text: string, term: Term, kind: string): string {
  const word = /[\s,;^]/.test(term.text) ? `"${term.text}"` : term.text
  return replaced(text, term, `${PREFIXES[kind] ?? 'text'}:${word}`)
}

/** The text without one word. */
export function without(text: string, term: Term): string {
  return replaced(text, term, '').replaceAll(/\s{2,}/g, ' ').trim()
}

function replaced(text: string, term: Term, word: string): string {
  const letters = Array.from(text)
  letters.splice(term.start, term.end - term.start, word)
  return letters.join('')
}
