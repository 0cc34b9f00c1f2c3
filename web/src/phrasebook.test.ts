import { describe, expect, it } from 'vitest'
import english from './locales/en/server.json'
import german from './locales/de/server.json'
import { Phrasebook, type Sentences } from './phrasebook'

const book = new Phrasebook(english, german, (text) => `„${text}“`)
const say = (text: string) => book.say(text)

describe('the words of the server in German', () => {
  it.each([
    ['There is no such study.', 'Diese Studie gibt es nicht.'],
    ["there is no node 'PACS2': `gantry node list` shows those that are", 'Einen Knoten „PACS2“ gibt es nicht: `gantry node list` zeigt alle'],
    // The status of DICOM, its meaning, what the peer said of it, and the remedy: as it lies in the ledger.
    [
      'A700 the peer is out of resources: disk full on vol3 (free space at the peer; then we try again)',
      'A700 die Gegenstelle hat keine Ressourcen mehr: disk full on vol3 (an der Gegenstelle Platz schaffen; dann ein neuer Versuch folgt)',
    ],
    ['nothing listens at 192.0.2.7:104 (start the DICOM service there, or correct host and port)', 'an 192.0.2.7:104 lauscht niemand (den DICOM-Dienst dort starten oder Host und Port korrigieren)'],
    ["rule ct-night: 'Modalty' is no keyword a rule can ask for", undefined],
    ['1 deliveries were given up', 'Eine Zustellung wurde aufgegeben'],
    ['12 deliveries were given up', '12 Zustellungen wurden aufgegeben'],
    ['String should have at least 1 character', 'Der Text muss mindestens 1 Zeichen haben'],
    ['Value error, a rule needs at least one destination node', 'Eine Regel braucht mindestens einen Zielknoten'],
  ])('%s', (words, expected) => {
    const found = say(words).replace(/^\p{Ll}/u, (letter) => (expected && /^\p{Lu}/u.test(expected) ? letter.toUpperCase() : letter))
    if (expected) expect(found).toBe(expected)
    else expect(found).not.toBe(words)
  })

  it('leaves alone what it does not know', () => {
    for (const words of ['', 'Mustermann, Erika', 'CT Abdomen mit KM', '(((', ': ; . ', 'x'.repeat(50_000)]) expect(say(words)).toBe(words)
  })

  it('is not stalled by what a peer may send', () => {
    const began = performance.now()
    for (const piece of ['a: ', '(', ') ', "'", '; . : ', 'is '].map((part, number) => part.repeat(1000) + number)) expect(say(piece)).toContain(piece.slice(-1))
    expect(performance.now() - began).toBeLessThan(20_000)
  })

  it('says every sentence in German, with its values', () => {
    const missing: string[] = []
    for (const [room, sentences] of Object.entries(english as Sentences)) {
      for (const [code, sentence] of Object.entries(sentences)) {
        const into = (german as Sentences)[room]?.[code]
        if (!into) missing.push(`${room}.${code}: ${sentence}`)
        const strange = [...(into ?? '').matchAll(/\{\d+\}/g)].filter(([spot]) => !sentence.includes(spot))
        if (strange.length) missing.push(`${room}.${code}: ${strange.join(' ')} is not in the English`)
      }
    }
    expect(missing).toEqual([])
  })
})
