/** Sentences of the server by room and code, a value in them as {0}, {1}. */
export type Sentences = Record<string, Record<string, string>>

interface Pattern {
  /** What stands before, between and behind the values. */
  parts: string[]
  /** Which value stands behind each part. */
  spots: number[]
  /** The sentence in the other language; with " | " the one for 1 comes first. */
  into: string
  weight: number
}

/** Sentences are short; what is longer is data, and not looked through. */
const LONGEST = 4000
const DEEPEST = 5
const KEPT = 1000
const BETWEEN = [': ', '; ', '. ', ' · ']

const lowered = (text: string) => text.charAt(0).toLowerCase() + text.slice(1)
const raised = (text: string) => text.charAt(0).toUpperCase() + text.slice(1)

/**
 * What the server says, in another language: its English sentences are the codes' (tools/server_words.py reads them from
 * its sources), so also what lies in the database since long, and one sentence inside of another, is found. What is not
 * known stays as the server said it.
 */
export class Phrasebook {
  private readonly whole = new Map<string, string>()
  private readonly patterns: Pattern[] = []
  private readonly kept = new Map<string, string>()

  /** `quoted`: a value that the server puts between '' in the quotation marks of the language. */
  constructor(
    english: Sentences,
    other: Sentences,
    private readonly quoted: (text: string) => string = (text) => `'${text}'`,
  ) {
    for (const [room, sentences] of Object.entries(english)) {
      for (const [code, sentence] of Object.entries(sentences)) {
        const into = other[room]?.[code]
        if (into) this.learn(sentence, into)
      }
    }
    this.patterns.sort((one, two) => two.weight - one.weight)
  }

  /** A text of the server in the other language. */
  say(text: string): string {
    if (!text || text.length > LONGEST) return text
    const before = this.kept.get(text)
    if (before !== undefined) return before
    const found = this.look(text, 0) ?? text
    if (this.kept.size >= KEPT) this.kept.clear()
    this.kept.set(text, found)
    return found
  }

  private learn(sentence: string, into: string): void {
    const split = lowered(sentence).split(/\{(\d+)\}/)
    const parts = split.filter((_, place) => place % 2 === 0)
    if (parts.length === 1) this.whole.set(parts[0] ?? '', into)
    else this.patterns.push({ parts, spots: split.filter((_, place) => place % 2 === 1).map(Number), into, weight: parts.join('').length })
  }

  private look(text: string, depth: number): string | null {
    const whole = this.exact(text)
    if (whole !== null || depth >= DEEPEST) return whole
    // A value at the end of a cause must not swallow the remedy in brackets behind it.
    return this.bracket(text, depth, true) ?? this.sentence(text, depth) ?? this.status(text, depth) ?? this.bracket(text, depth, false) ?? this.pieces(text, depth)
  }

  private exact(text: string): string | null {
    const plain = lowered(text)
    const stop = plain.endsWith('.') && this.whole.has(plain.slice(0, -1))
    const found = this.whole.get(stop ? plain.slice(0, -1) : plain)
    return found === undefined ? null : this.cased(stop ? `${found}.` : found, text)
  }

  private sentence(text: string, depth: number): string | null {
    const whole = this.exact(text)
    if (whole !== null) return whole
    const plain = lowered(text)
    for (const { parts, spots, into } of this.patterns) {
      const values = valuesIn(plain, parts)
      if (!values) continue
      const given = new Map(spots.map((spot, place) => [spot, values[place] ?? '']))
      const forms = into.split(' | ')
      const form = (forms.length > 1 && given.get(0) !== '1' ? forms[1] : forms[0]) ?? into
      return this.cased(form.replace(/\{(\d+)\}/g, (_, spot: string) => this.value(given.get(Number(spot)) ?? '', text, depth)), text)
    }
    return null
  }

  /** A value may be a sentence; text in the quotation marks of a programmer gets those of the language. */
  private value(value: string, text: string, depth: number): string {
    // `plain` had its first letter lowered: a value at the very beginning gets its own back.
    const own = text.startsWith(value.slice(1), 1) && lowered(text).startsWith(value) ? text.slice(0, value.length) : value
    const quoted = /^'([^']*)'$/.exec(own)
    if (quoted) return this.quoted(quoted[1] ?? '')
    return depth < DEEPEST ? (this.look(own, depth + 1) ?? own) : own
  }

  private cased(found: string, text: string): string {
    return /^\p{Lu}/u.test(text) ? raised(found) : found
  }

  /** "A801 the peer does not know ...": the status of DICOM, then what it means. */
  private status(text: string, depth: number): string | null {
    const match = /^([0-9A-F]{4} )(.+)$/s.exec(text)
    const found = match ? this.look(match[2] ?? '', depth + 1) : null
    return found === null ? null : `${match?.[1]}${found}`
  }

  /** "cause (remedy)"; `both`: only when both are known. */
  private bracket(text: string, depth: number, both: boolean): string | null {
    const stop = text.endsWith('.') ? '.' : ''
    const body = stop ? text.slice(0, -1) : text
    if (!body.endsWith(')')) return null
    let open = 0
    for (let place = body.length - 1; place > 0; place -= 1) {
      if (body[place] === ')') open += 1
      else if (body[place] === '(' && (open -= 1) === 0) {
        const head = body.slice(0, place).trimEnd()
        const inner = body.slice(place + 1, -1)
        const [first, second] = [head && this.look(head, depth + 1), this.look(inner, depth + 1)]
        return (both ? first && second : first || second) ? `${first || head} (${second ?? inner})${stop}` : null
      }
    }
    return null
  }

  /** Several sentences, or one behind a name. */
  private pieces(text: string, depth: number): string | null {
    const places = BETWEEN.flatMap((between) => [...text.matchAll(new RegExp(between.replace('.', '\\.'), 'g'))].slice(0, 6).map(({ index }) => ({ at: index, between })))
    for (const { at, between } of places.sort((one, two) => one.at - two.at).slice(0, 12)) {
      const [left, right] = [text.slice(0, at), text.slice(at + between.length)]
      const first = this.sentence(between === '. ' ? `${left}.` : left, depth + 1)
      const second = this.look(right, depth + 1)
      if (first === null && second === null) continue
      return `${first === null ? left : between === '. ' ? first.replace(/\.$/, '') : first}${between}${second ?? right}`
    }
    return null
  }
}

/** The values between the parts, or null when the text is another one. Linear: no expression that a long text could stall. */
function valuesIn(text: string, parts: string[]): string[] | null {
  const first = parts[0] ?? ''
  const last = parts.at(-1) ?? ''
  if (!text.startsWith(first) || !text.endsWith(last) || text.length < first.length + last.length) return null
  const end = text.length - last.length
  const values: string[] = []
  let from = first.length
  for (const part of parts.slice(1, -1)) {
    const at = text.indexOf(part, from)
    if (at < 0 || at + part.length > end) return null
    values.push(text.slice(from, at))
    from = at + part.length
  }
  values.push(text.slice(from, end))
  return values
}
