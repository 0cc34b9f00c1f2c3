import { raw } from '@/api'
import { number, text, type Attribute, type Dataset } from './series'

const TABLES = ['00281201', '00281202', '00281203'] as const
/** Series of more palettes than this have one in each frame of a video; their own colours are then not fetched. */
const MOST = 100

/** Entries of a lookup table as numbers: words, or bytes where there are fewer bytes than two for each entry (PS3.3 C.7.6.3.1.6). */
export function entriesOf(bytes: Uint8Array, count: number): number[] {
  if (bytes.length < 2 * count) return [...bytes.subarray(0, count)]
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  return Array.from({ length: Math.min(count, bytes.length >> 1) }, (_, index) => view.getUint16(2 * index, true))
}

async function bytesOf(attribute: Attribute): Promise<Uint8Array> {
  if (attribute.InlineBinary) return Uint8Array.from(atob(attribute.InlineBinary), (letter) => letter.charCodeAt(0))
  const { pathname } = new URL(attribute.BulkDataURI ?? '/', location.origin)
  const answer = await raw('GET', pathname, { headers: { Accept: 'application/octet-stream' } })
  return new Uint8Array(await answer.arrayBuffer())
}

/** Palettes as the renderer wants them: as numbers in the metadata. */
export async function unpackPalettes(instances: Dataset[]): Promise<void> {
  const coloured = instances.filter((one) => text(one, '00280004') === 'PALETTE COLOR').slice(0, MOST)
  for (const instance of coloured) {
    for (const [index, tag] of TABLES.entries()) {
      const attribute = instance[tag]
      if (!attribute || attribute.Value) continue
      const count = (number(instance, `0028110${index + 1}`) & 0xffff) || 65_536
      attribute.Value = entriesOf(await bytesOf(attribute), count)
    }
  }
}
