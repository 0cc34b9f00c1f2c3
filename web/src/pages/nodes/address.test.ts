import { describe, expect, it } from 'vitest'
import { kindOf, readAddress } from './address'

describe('an address while somebody types', () => {
  it('knows the kinds', () => {
    expect(['ARCHIVE@10.0.0.5:104', 'HTTPS://pacs/dicom-web', 'folder:/mnt/a', ''].map(kindOf)).toEqual(['dimse', 'dicomweb', 'folder', 'dimse'])
  })
  it('reads the three parts', () => {
    expect(readAddress(' ARCHIVE@[fd00::5]:11112 ')).toMatchObject({ fault: '', aet: 'ARCHIVE', host: 'fd00::5', port: 11112 })
    expect(readAddress('https://pacs.example/dicom-web')).toMatchObject({ fault: '', host: 'pacs.example', port: 443 })
  })
  it.each([
    ['', 'empty'],
    ['ARCHIVE', 'shape'],
    ['@h:104', 'aet'],
    ['SEVENTEEN_LETTERS@h:104', 'aet'],
    ['A@:104', 'host'],
    ['A@h:0', 'port'],
    ['A@h:70000', 'port'],
    ['A@h:x', 'port'],
    ['A@fd00::5:104', 'shape'],
    ['folder:mnt', 'path'],
    ['https://', 'shape'],
  ])('says what is wrong with %s', (text, fault) => {
    expect(readAddress(text).fault).toBe(fault)
  })
})
