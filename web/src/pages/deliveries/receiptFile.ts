import type { Schemas } from '@/api'

type Receipt = Schemas['ReceiptOut']

const COLUMNS = [
  'sop_instance_uid', 'status', 'identical', 'changed', 'stored_sha256', 'sent_sha256', 'dataset_bytes', 'transfer_syntax_uid', 'sent_syntax', 'sent_at',
  'confirmed_at', 'verified_at', 'verified_by', 'attempts', 'resends', 'rule_name', 'origin', 'ordered_by',
  'decision_id', 'error',
] as const

/** One cell of CSV (RFC 4180). A text that a spreadsheet would take for a formula is marked as text. */
export function cell(value: string | number | boolean | null | undefined): string {
  if (value === null || value === undefined) return ''
  let text = String(value)
  if (typeof value === 'string' && /^[=+\-@\t\r]/.test(text)) text = `'${text}`
  return /[",\r\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text
}

/** The receipt as CSV: a line per instance and destination. */
export function receiptCsv(receipt: Receipt): string {
  const lines = [['study_instance_uid', 'node', 'aet', ...COLUMNS].join(',')]
  for (const place of receipt.destinations) {
    for (const one of place.instances) {
      lines.push([receipt.study_instance_uid, place.node, place.aet, ...COLUMNS.map((name) => one[name])].map(cell).join(','))
    }
  }
  return lines.join('\r\n') + '\r\n'
}

/** Have the browser keep a text as a file. */
export function download(name: string, type: string, text: string): void {
  const url = URL.createObjectURL(new Blob([text], { type }))
  const link = document.createElement('a')
  link.href = url
  link.download = name
  link.click()
  setTimeout(() => URL.revokeObjectURL(url), 10_000)
}
