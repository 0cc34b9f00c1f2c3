"""All elements of a stored data set but its pixels, read piece by piece (PS3.5 chapter 7).

Made for showing: damage ends the reading with a warning, and what came before it is given. Memory and time are bounded
by numbers of elements, depth and kept bytes; large values are noted by their place, never read. Pixels end the walk.
"""

from __future__ import annotations

import os
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from functools import cache

from gantry.dataset.elements import tag_name
from gantry.dataset.encodings import (
    EXPLICIT_LITTLE,
    IMPLICIT_LITTLE,
    UNDEFINED_LENGTH,
    Encoding,
    declared_encoding,
    detect_encoding,
    is_deflated,
    is_known_vr,
    looks_right,
)
from gantry.dataset.transcode_vrs import dictionary_vr, settled_vr

MAX_ELEMENTS = 50_000
MAX_DEPTH = 100
#: Values up to here are kept when they are met, bytes; of one data set at most MAX_KEPT.
MAX_VALUE = 64 << 10
MAX_KEPT = 16 << 20
#: A deflated data set is opened up to here, bytes.
MAX_INFLATED = 128 << 20
_CHUNK = 64 << 10
_PIXELS = frozenset({0x7FE00008, 0x7FE00009, 0x7FE00010})
_ITEM, _ITEM_END, _SEQUENCE_END = 0xFFFEE000, 0xFFFEE00D, 0xFFFEE0DD
_BITS_ALLOCATED, _PIXEL_REPRESENTATION = 0x00280100, 0x00280103
Read = Callable[[int, int], bytes]


class Element:
    """One element: where its value lies (from the beginning of the data set), its bytes when they are few, its items."""

    __slots__ = ("items", "length", "raw", "tag", "value", "vr")

    def __init__(self, tag: int, vr: str, value: int, length: int) -> None:
        self.tag = tag
        self.vr = vr
        self.value = value
        self.length = length
        self.raw: bytes | None = None
        self.items: list[list[Element]] | None = None

    @property
    def undefined(self) -> bool:
        """Of undefined length: a sequence, or encapsulated pixels."""
        return self.length == UNDEFINED_LENGTH


class Attributes:
    """What was read. `read(offset, length)` gives more bytes of the data set (fewer at its end) while its file is open."""

    __slots__ = ("_by_tag", "direct", "elements", "encoding", "read", "size", "warnings")

    def __init__(self, elements: list[Element], encoding: Encoding, warnings: list[str], read: Read, size: int) -> None:
        #: Places of values are places in the file, too: it is not deflated.
        self.direct = True
        self.elements = elements
        self.encoding = encoding
        self.warnings = warnings
        self.read = read
        self.size = size
        self._by_tag: dict[int, Element] | None = None

    def get(self, tag: int) -> Element | None:
        """The first element of this tag in the data set itself."""
        if self._by_tag is None:
            self._by_tag = {}
            for element in self.elements:
                self._by_tag.setdefault(element.tag, element)
        return self._by_tag.get(tag)

    def bytes_of(self, element: Element, limit: int) -> bytes:
        """The value, at most `limit` bytes of it; empty where the length is undefined."""
        if element.raw is not None:
            return element.raw[:limit]
        return b"" if element.undefined else self.read(element.value, min(element.length, limit))


@cache
def _vr_names(encoding: Encoding) -> dict[int, str]:
    return {vr: encoding.vr_name(vr).decode() for vr in (*encoding.short_vrs, *encoding.long_vrs)}


class Reader:
    """One pass."""

    def __init__(self, read: Read, size: int, encoding: Encoding, first: bytes) -> None:
        self.read = read
        self.size = size
        self.encoding = encoding
        self.warnings: list[str] = []
        self.data, self.base = first, 0
        self.budget, self.kept = MAX_ELEMENTS, MAX_KEPT
        self.stopped = False
        self.signed, self.bits = False, 16

    def stop(self, why: str) -> None:
        """End the reading, at all levels."""
        if not self.stopped:
            self.warnings.append(why)
        self.stopped = True

    def load(self, position: int) -> None:
        """Have the bytes at `position`."""
        self.base, self.data = position, self.read(position, _CHUNK)

    def elements(
        self, position: int, end: int, encoding: Encoding, depth: int, *, item: bool, most: int = MAX_ELEMENTS
    ) -> tuple[list[Element], int]:
        """The elements from `position` to `end` or to the end of the item, `most` of them; and the position behind."""
        found: list[Element] = []
        tag_of, pair = encoding.tag, encoding.implicit_pair.unpack_from
        head = self._implicit_head if encoding.implicit else self._explicit_head
        while position + 8 <= end and not self.stopped and len(found) < most:
            offset = position - self.base
            if offset < 0 or offset + 12 > len(self.data):
                self.load(position)
                offset = 0
                if len(self.data) < 8:
                    self.stop("the file is shorter than its data set")
                    break
            raw_tag, length = pair(self.data, offset)
            tag = tag_of(raw_tag)
            self.budget -= 1
            if self.budget < 0:
                self.stop(f"it has more than {MAX_ELEMENTS} elements; the rest was not read")
                break
            if tag >> 16 == 0xFFFE:
                if item and tag in {_ITEM_END, _SEQUENCE_END}:
                    return found, position + 8 if tag == _ITEM_END else position
                self.warnings.append("a delimitation item lies outside of any item")
                position += 8
                continue
            element = head(position, offset, tag, length, encoding)
            if element is None:
                break
            position = self._value(element, end, encoding, depth)
            if tag in _PIXELS and depth == 0:
                found.append(element)
                self.stopped = True
            elif element.undefined or element.value + element.length <= end:
                found.append(element)
        return found, position

    def _implicit_head(self, position: int, offset: int, tag: int, length: int, encoding: Encoding) -> Element:
        return Element(tag, self._implicit_vr(tag, length), position + 8, length)

    def _explicit_head(self, position: int, offset: int, tag: int, length: int, encoding: Encoding) -> Element | None:
        """The head of an element in explicit VR; None, and the end, where that cannot be."""
        _, code, short = encoding.explicit_header.unpack_from(self.data, offset)
        vr = _vr_names(encoding).get(code, "")
        value = position + 8
        if code in encoding.short_vrs:
            length = short
        elif vr and len(self.data) >= offset + 12:
            (length,) = encoding.long_length.unpack_from(self.data, offset + 8)
            value += 4
        elif not vr and encoding.vr_name(code).isupper():  # of another edition: the short form
            vr, length = "UN", short
        else:
            self.stop(f"{tag_name(tag)} has no VR; the rest was not read")
            return None
        if vr == "UN" and not tag & 0x10000 and length != UNDEFINED_LENGTH:
            vr = self._known_vr(tag, length)
        return Element(tag, vr, value, length)

    def _known_vr(self, tag: int, length: int) -> str:
        """Of a standard element that came as UN: in implicit VR little endian (PS3.5 6.2.2), so its VR is the dictionary's."""
        vr = dictionary_vr(tag)
        if self.encoding.big_endian or vr == "SQ":
            return "UN"
        return settled_vr(vr, tag, length=length, signed=self.signed, bits_allocated=self.bits)

    def _implicit_vr(self, tag: int, length: int) -> str:
        vr = dictionary_vr(tag)
        if vr in {"xs", "ox", "lx"}:
            return settled_vr(vr, tag, length=length, signed=self.signed, bits_allocated=self.bits)
        return "SQ" if length == UNDEFINED_LENGTH and vr == "UN" else vr

    def _value(self, element: Element, end: int, encoding: Encoding, depth: int) -> int:
        """Keep or open the value; gives the position behind it."""
        tag, length, value = element.tag, element.length, element.value
        if tag in _PIXELS and (depth == 0 or length == UNDEFINED_LENGTH):
            if depth:
                self.stop("encapsulated pixels inside of a sequence; the rest was not read")
            return value if length == UNDEFINED_LENGTH else value + length
        if element.vr == "SQ" or length == UNDEFINED_LENGTH:
            return self._sequence(element, end, encoding, depth)
        if value + length > end:
            self.stop(f"the value of {tag_name(tag)} is longer than what it lies in")
            return end
        if length <= MAX_VALUE and length <= self.kept:
            offset = value - self.base
            if offset < 0 or offset + length > len(self.data):
                self.load(value)
                offset = 0
            element.raw = self.data[offset : offset + length]
            self.kept -= length
            if len(element.raw) != length:
                element.raw = None
                self.stop(f"the data set ends inside of {tag_name(tag)}")
                return end
            if length == 2 and tag in {_BITS_ALLOCATED, _PIXEL_REPRESENTATION}:
                (number,) = encoding.number.unpack(element.raw)
                if tag == _BITS_ALLOCATED:
                    self.bits = number
                else:
                    self.signed = number == 1
        return value + length

    def _sequence(self, element: Element, end: int, encoding: Encoding, depth: int) -> int:
        """The items of a sequence; gives the position behind it."""
        position, length = element.value, element.length
        last = end if length == UNDEFINED_LENGTH else position + length
        if last > end or depth >= MAX_DEPTH:
            self.stop("a sequence is longer than what it lies in" if last > end else f"nested more than {MAX_DEPTH} deep")
            return end
        if element.vr == "UN":  # PS3.5 6.2.2: implicit VR inside, though some write explicit there
            probe = self.read(position + 12, 2)
            encoding = EXPLICIT_LITTLE if is_known_vr(probe) else IMPLICIT_LITTLE
            element.vr = "SQ"
        element.items = items = []
        while position + 8 <= last and not self.stopped:
            offset = position - self.base
            if offset < 0 or offset + 8 > len(self.data):
                self.load(position)
                offset = 0
                if len(self.data) < 8:
                    break
            raw_tag, size = encoding.implicit_pair.unpack_from(self.data, offset)
            tag = encoding.tag(raw_tag)
            position += 8
            self.budget -= 1
            if tag == _SEQUENCE_END:
                return position
            if tag != _ITEM or self.budget < 0:
                if length == UNDEFINED_LENGTH:
                    self.stop(f"the items of {tag_name(element.tag)} do not end as they should; the rest was not read")
                return last
            stop_at = last if size == UNDEFINED_LENGTH else min(position + size, last)
            found, behind = self.elements(position, stop_at, encoding, depth + 1, item=True)
            items.append(found)
            position = behind if size == UNDEFINED_LENGTH else stop_at
        if length == UNDEFINED_LENGTH:
            self.stop(f"the sequence {tag_name(element.tag)} has no end")
        return max(position, last) if length != UNDEFINED_LENGTH else position


class Inflated:
    """A deflated data set (PS3.5 A.5), opened as far as somebody reads, and never beyond MAX_INFLATED."""

    def __init__(self, read: Read, size: int) -> None:
        self._source, self._size, self._at = read, size, 0
        head = read(0, 2)
        zlib_header = head[:1] == b"\x78" and int.from_bytes(head, "big") % 31 == 0  # some writers add that of RFC 1950
        self._opener = zlib.decompressobj(zlib.MAX_WBITS if zlib_header else -zlib.MAX_WBITS)
        self._opened = bytearray()
        self._ended = False

    def read(self, offset: int, length: int) -> bytes:
        """The opened bytes; fewer where the stream ends, is damaged, or is longer than we open."""
        wanted = min(offset + length, MAX_INFLATED)
        try:
            while len(self._opened) < wanted and not self._ended:
                piece = self._opener.unconsumed_tail or self._source(self._at, _CHUNK)
                if not self._opener.unconsumed_tail:
                    self._at += len(piece)
                opened = self._opener.decompress(piece, 1 << 20)
                self._opened += opened
                self._ended = self._opener.eof or (not piece and not opened)
        except zlib.error:
            self._ended = True
        return bytes(self._opened[offset : offset + length])


def begin_reading(read: Read, size: int, transfer_syntax_uid: str) -> tuple[Reader, list[str]]:
    """A reader at the beginning of the data set of `size` bytes that `read(offset, length)` gives, and warnings."""
    warnings: list[str] = []
    first = read(0, _CHUNK)
    if is_deflated(transfer_syntax_uid):
        read = Inflated(read, size).read
        first, size = read(0, _CHUNK), MAX_INFLATED
    encoding = declared_encoding(transfer_syntax_uid)
    if not looks_right(first, encoding):
        other = detect_encoding(first, start=0, total=size)
        if other is not None and other is not encoding:
            warnings.append(f"the data set is in {other.name}, the transfer syntax says {encoding.name}")
            encoding = other
    return Reader(read, size, encoding, first), warnings


def read_attributes(read: Read, size: int, transfer_syntax_uid: str) -> Attributes:
    """The elements of the data set of `size` bytes that `read(offset, length)` gives. Raises OSError of `read`."""
    reader, warnings = begin_reading(read, size, transfer_syntax_uid)
    elements, _ = reader.elements(0, reader.size, reader.encoding, 0, item=False)
    warnings = [*warnings, *dict.fromkeys(reader.warnings)][:20]
    found = Attributes(elements, reader.encoding, warnings, reader.read, reader.size)
    found.direct = not is_deflated(transfer_syntax_uid)
    return found


@contextmanager
def open_dataset(path: str, offset: int, length: int) -> Iterator[Read]:
    """Read from the data set of `length` bytes at `offset` of a file. Raises OSError."""
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW)

    def read(at: int, count: int) -> bytes:
        return os.pread(descriptor, max(0, min(count, length - at)), offset + at) if at < length else b""

    try:
        yield read
    finally:
        with suppress(OSError):
            os.close(descriptor)


@contextmanager
def open_attributes(path: str, offset: int, length: int, transfer_syntax_uid: str) -> Iterator[Attributes]:
    """The elements of the data set at `offset` of a file; more can be read inside the `with`. Raises OSError."""
    with open_dataset(path, offset, length) as read:
        yield read_attributes(read, length, transfer_syntax_uid)
