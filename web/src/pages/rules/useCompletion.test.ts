import { expect, test } from 'vitest'
import { fitting, wordAt } from './useCompletion'

const all = ['ModalitiesInStudy', 'Modality', 'PatientName', 'StationName'].map((word) => ({ word, meaning: '' }))
const words = (word: string) => fitting(all, word).map((one) => one.word)

test('keywords that begin like the word come first, a complete one ends it', () => {
  expect(words('moda')).toEqual(['Modality', 'ModalitiesInStudy'])
  expect(words('name')).toEqual(['PatientName', 'StationName'])
  expect(words('M')).toEqual([])
  expect(words('Modality')).toEqual([])
})

test('the word before the caret is looked at, not what stands behind', () => {
  const text = "conditions: ['Modality=CT and Stat']"
  expect(wordAt(text, text.indexOf("']"))).toEqual({ from: text.indexOf('Stat'), word: 'Stat' })
  expect(wordAt(text, text.indexOf('=CT'))).toEqual({ from: text.indexOf('Modality'), word: 'Modality' })
  expect(wordAt('', 0)).toEqual({ from: 0, word: '' })
})
