"""Many instances of a series as DICOM JSON (PS3.18 annex F), with the work of one: what a slice has as the one before it
had, byte for byte, is not read and written again.

The text is that of `json_model.to_json`. Elements are compared as they are stored, head and value: equal bytes in the same
encoding, character set and state of the reader are equal JSON. What leads to a large value names its instance and is
always made anew.
"""

from __future__ import annotations

import json
from json.encoder import encode_basestring
from typing import NamedTuple

from gantry.dataset.attributes import Element, Read, Reader, begin_reading
from gantry.dataset.attributes_shown import SHOWN
from gantry.dataset.attributes_values import CHARACTER_SET, TEXT, texts
from gantry.dataset.charset import CharacterSet, character_set
from gantry.dataset.encodings import Encoding
from gantry.dataset.json_model import JsonWriter

#: Stored bytes and text that are remembered, together.
_MAX_REMEMBERED = 16 << 20
_BULK = '"BulkDataURI"'
#: Text that is JSON as it is, when it is one.
_PLAIN = TEXT - {"PN", "IS", "DS"}
_encode = json.JSONEncoder(separators=(",", ":"), ensure_ascii=False, allow_nan=False).encode
Context = tuple[Encoding | None, bytes]
#: JSON text of each element, by tag, as it stands in an object: `"00100010":{...}`.
Texts = dict[int, str]


class _Remembered(NamedTuple):
    """One element: its bytes, its text, what the reader knew of the pixels before and after, what it took of the limits."""

    raw: bytes
    tag: int
    text: str
    before: tuple[int, bool]
    after: tuple[int, bool]
    elements: int
    kept: int


class SeriesWriter:
    """Writes one instance after the other. Not for several threads."""

    def __init__(self, *, shown_only: bool = False) -> None:
        self._shown_only = shown_only
        self._context: Context = (None, b"")
        self._remembered: dict[bytes, _Remembered] = {}
        self._size = 0

    def write(self, read: Read, size: int, transfer_syntax_uid: str, bulk: str) -> Texts:
        """The elements of the data set of `size` bytes that `read(offset, length)` gives. Raises OSError of `read`.

        `bulk` is the URL below which large values are fetched.
        """
        found, context = self._walked(begin_reading(read, size, transfer_syntax_uid)[0], bulk)
        if context != self._context:
            # What is remembered was of another context, and so is what was found: once more.
            self._forget()
            self._context = context
            found, _ = self._walked(begin_reading(read, size, transfer_syntax_uid)[0], bulk)
        return found

    def _walked(self, reader: Reader, bulk: str) -> tuple[Texts, Context]:
        found: Texts = {}
        size, encoding = reader.size, reader.encoding
        remembered = self._remembered if encoding is self._context[0] else {}
        charset = character_set(self._context[1])
        declared, last, position = b"", 0, 0
        state = (reader.bits, reader.signed)
        while position + 8 <= size and not reader.stopped:
            data, offset = reader.data, position - reader.base
            head = data[offset : offset + 4] if offset >= 0 else b""
            entry = remembered.get(head)
            if entry is not None and data.startswith(entry[0], offset):
                raw, tag, text, before, after, elements, kept = entry
                if before == state and reader.budget >= elements and reader.kept >= kept:
                    state = after
                    reader.budget -= elements
                    reader.kept -= kept
                    if tag == CHARACTER_SET and last <= CHARACTER_SET and not declared:
                        declared = self._context[1]
                    if text:
                        found.setdefault(tag, text)
                    position += len(raw)
                    last = tag
                    continue
            reader.bits, reader.signed = state
            budget, kept = reader.budget, reader.kept
            read, behind = reader.elements(position, size, encoding, 0, item=False, most=1)
            if not read:
                position = behind
                continue
            element, before, state = read[0], state, (reader.bits, reader.signed)
            before_last, last, tag = last, element.tag, element.tag
            if tag == CHARACTER_SET and before_last <= CHARACTER_SET and not declared:
                declared = element.raw or b""
            text = self._text(element, encoding, charset, bulk)
            if text:
                found.setdefault(tag, text)
            if reader.data is data and not reader.stopped and _BULK not in text:
                raw = data[offset : offset + behind - position]
                self._remember(head, _Remembered(raw, tag, text, before, state, budget - reader.budget, kept - reader.kept))
            position = behind
        return found, (encoding, declared)

    def _text(self, element: Element, encoding: Encoding, charset: CharacterSet, bulk: str) -> str:
        raw, vr, tag = element.raw, element.vr, element.tag
        if raw and vr in _PLAIN and tag & 0xFFFF and not (self._shown_only and tag not in SHOWN):
            values = texts(raw, vr, charset)
            if len(values) == 1 and values[0]:  # most of what differs between slices: UIDs, times
                return f'"{tag:08X}":{{"vr":"{vr}","Value":[{encode_basestring(values[0])}]}}'
        made = JsonWriter(encoding, shown_only=self._shown_only).dataset([element], charset, bulk)
        return _encode(made)[1:-1]

    def _remember(self, head: bytes, entry: _Remembered) -> None:
        old = self._remembered.get(head)
        self._size += len(entry.raw) + len(entry.text) - (len(old.raw) + len(old.text) if old is not None else 0)
        self._remembered[head] = entry
        if self._size > _MAX_REMEMBERED:
            self._forget()

    def _forget(self) -> None:
        self._remembered.clear()
        self._size = 0
