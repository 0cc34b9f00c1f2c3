/** Whether a text is a UID (PS3.5 9.1). */
export function isUid(text: string): boolean {
  return text.length <= 64 && /^(0|[1-9][0-9]*)(\.(0|[1-9][0-9]*))+$/.test(text)
}

/** A new UID made of a random UUID (PS3.5 B.2). */
export function newUid(): string {
  const bytes = crypto.getRandomValues(new Uint8Array(16))
  bytes[6] = ((bytes[6] ?? 0) & 0x0f) | 0x40
  bytes[8] = ((bytes[8] ?? 0) & 0x3f) | 0x80
  return `2.25.${bytes.reduce((number, byte) => number * 256n + BigInt(byte), 0n)}`
}
