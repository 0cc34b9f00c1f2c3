/** The place of a node as people write it: AET@host:port, https://…, folder:/… */
export type Kind = 'dimse' | 'dicomweb' | 'folder'

export type Fault = '' | 'empty' | 'shape' | 'aet' | 'host' | 'port' | 'path'

export interface Place {
  kind: Kind
  fault: Fault
  /** What the address says, as words to show beside the field; empty while it cannot be read. */
  aet: string
  host: string
  port: number
}

const DIMSE = /^([^@]*)@(\[[^[\]]*\]|[^[\]:@]*):([^:@[\]]*)$/

export function kindOf(address: string): Kind {
  const text = address.trim().toLowerCase()
  if (text.startsWith('folder:')) return 'folder'
  return text.startsWith('http:') || text.startsWith('https:') ? 'dicomweb' : 'dimse'
}

/** Read while somebody types; the server has the last word. */
export function readAddress(address: string): Place {
  const text = address.trim()
  const place: Place = { kind: kindOf(text), fault: '', aet: '', host: '', port: 0 }
  if (!text) return { ...place, fault: 'empty' }
  if (place.kind === 'folder') return { ...place, fault: text.slice('folder:'.length).startsWith('/') ? '' : 'path' }
  if (place.kind === 'dicomweb') {
    try {
      const { hostname, port, protocol } = new URL(text)
      return { ...place, host: hostname, port: Number(port) || (protocol === 'https:' ? 443 : 80) }
    } catch {
      return { ...place, fault: 'shape' }
    }
  }
  const match = DIMSE.exec(text)
  if (!match) return { ...place, fault: 'shape' }
  const [, aet = '', host = '', port = ''] = match
  const found = { ...place, aet: aet.trim(), host: host.replace(/^\[|\]$/g, '').trim(), port: Number(port) }
  if (!found.aet || found.aet.length > 16 || /[^\x20-\x7e]|\\/.test(found.aet)) return { ...found, fault: 'aet' }
  if (!found.host) return { ...found, fault: 'host' }
  if (!/^\d{1,5}$/.test(port) || found.port < 1 || found.port > 65535) return { ...found, fault: 'port' }
  return found
}
