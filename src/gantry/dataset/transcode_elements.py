"""Rewrites a data set in explicit or implicit VR, either byte order, as one in little endian (PS3.5 chapter 7, annex A).

One pass without recursion. Sequences keep their shape: of defined or of undefined length. Group lengths are left out,
because they would be wrong (PS3.5 7.2). Whatever does not read as the source says is an error: never a guess.
"""

from __future__ import annotations

from dataclasses import dataclass
from struct import Struct

from gantry.dataset.elements import Walk, Wanted, tag_name
from gantry.dataset.encodings import EXPLICIT_LITTLE, UNDEFINED_LENGTH, Encoding, is_known_vr
from gantry.dataset.sequences import SequenceWalk
from gantry.dataset.transcode_errors import DamagedDataSet, TooMuch
from gantry.dataset.transcode_pieces import Pieces, Scratch, swapped
from gantry.dataset.transcode_vrs import dictionary_vr, settled_vr

#: Elements, items and delimiters in one data set.
MAX_ELEMENTS = 5_000_000
MAX_DEPTH = 8_192

PIXEL_DATA = 0x7FE00010
_BITS_ALLOCATED, _PIXEL_REPRESENTATION = 0x00280100, 0x00280103
_LENGTH_TO_END = 0x00080001
_ITEM, _ITEM_END, _SEQUENCE_END = 0xFFFEE000, 0xFFFEE00D, 0xFFFEE0DD
_DELIMITERS = 0xFFFE
_LONGEST_SHORT = 0xFFFF
#: Bytes of a word by VR; what is not named is text or bytes, and is not swapped. UN is little endian already (6.2.2).
_WORDS = {
    b"AT": 2, b"OW": 2, b"SS": 2, b"US": 2, b"FL": 4, b"OF": 4, b"OL": 4, b"SL": 4, b"UL": 4,
    b"FD": 8, b"OD": 8, b"OV": 8, b"SV": 8, b"UV": 8,
}  # fmt: skip
_SHORT = frozenset(b"AE AS AT CS DA DS DT FD FL IS LO LT PN SH SL SS ST TM UI UL US".split())
_TAG_LENGTH = Struct("<HHI")
_TAG_SHORT = Struct("<HH2sH")
_TAG_LONG = Struct("<HH2sHI")
_TAG_LONG_HEAD = Struct("<HH2sH")
_TAG = Struct("<HH")
_PIXELS_MATTER = Wanted((_BITS_ALLOCATED, _PIXEL_REPRESENTATION))


@dataclass(slots=True)
class _Container:
    """An open sequence, item or the data set itself. `end` is where it ends in the source, None for a delimiter; `limit`
    is where it must have ended; `place` is where its length must be written, `begun` how much there was before its value."""

    is_sequence: bool
    end: int | None
    limit: int
    encoding: Encoding
    signed: bool
    bits_allocated: int
    place: int = -1
    begun: int = 0


class Rewriter:
    """One data set on its way from `source` to little endian, explicit or `implicit`."""

    def __init__(self, data: memoryview, source: Encoding, *, implicit: bool, scratch: Scratch) -> None:
        self._data = data
        self._implicit = implicit
        self._scratch = scratch
        self._position = 0
        self._elements = 0
        self._pieces = Pieces()
        signed, bits = _pixels(data, source)
        self._stack = [_Container(False, len(data), len(data), source, signed, bits)]

    def run(self) -> list[memoryview]:
        """The bytes of the new data set. Raises DamagedDataSet, TooMuch, OSError."""
        stack = self._stack
        while True:
            container = stack[-1]
            if container.end is not None and self._position >= container.end:
                if self._position > container.end:
                    raise DamagedDataSet("an element is longer than what it lies in")
                if len(stack) == 1:
                    return self._pieces.views()
                self._close()
                continue
            self._elements += 1
            if self._elements > MAX_ELEMENTS:
                raise TooMuch(f"the data set has more than {MAX_ELEMENTS} elements")
            if self._position + 8 > container.limit:
                raise DamagedDataSet("it ends inside an element")
            if container.is_sequence:
                self._item(container)
            else:
                self._element(container)

    def _close(self) -> None:
        container = self._stack.pop()
        if container.place >= 0:
            self._pieces.patch(container.place, self._pieces.total - container.begun)

    def _enter(self, container: _Container, *, defined: bool) -> None:
        """Write the length of what begins, or leave room for it."""
        if len(self._stack) > 2 * MAX_DEPTH:
            raise TooMuch(f"sequences are nested more than {MAX_DEPTH} deep")
        if defined:
            if container.end is not None and container.end > self._stack[-1].limit:
                raise DamagedDataSet("a sequence is longer than what it lies in")
            container.place = self._pieces.later()
            container.begun = self._pieces.total
        else:
            self._pieces.add(b"\xff\xff\xff\xff")
        self._stack.append(container)

    def _item(self, sequence: _Container) -> None:
        group, element, length = sequence.encoding.implicit_header.unpack_from(self._data, self._position)
        tag = group << 16 | element
        self._position += 8
        if tag == _ITEM:
            self._pieces.add(_TAG.pack(_DELIMITERS, 0xE000))
            end = None if length == UNDEFINED_LENGTH else self._position + length
            inside = _Container(
                False, end, sequence.limit if end is None else end, sequence.encoding, sequence.signed, sequence.bits_allocated
            )
            self._enter(inside, defined=end is not None)
        elif tag == _SEQUENCE_END and sequence.end is None and length == 0:
            self._pieces.add(_TAG_LENGTH.pack(_DELIMITERS, 0xE0DD, 0))
            self._close()
        else:
            raise DamagedDataSet(f"{tag_name(tag)} stands where an item of a sequence should begin")

    def _element(self, item: _Container) -> None:
        encoding = item.encoding
        group, element, length = encoding.implicit_header.unpack_from(self._data, self._position)
        tag = group << 16 | element
        if group == _DELIMITERS:
            if tag != _ITEM_END or item.end is not None or length:
                raise DamagedDataSet("a delimitation item lies outside of what it ends")
            self._position += 8
            self._pieces.add(_TAG_LENGTH.pack(_DELIMITERS, 0xE00D, 0))
            self._close()
            return
        if group in {0x0000, 0x0002}:  # a command, or a file's meta information; or padding
            raise DamagedDataSet(f"{tag_name(tag)} has no place in a data set")
        value = self._position + 8
        if encoding.implicit:
            vr = dictionary_vr(tag)
        else:
            vr_bytes = bytes(self._data[self._position + 4 : self._position + 6])
            if not is_known_vr(vr_bytes):
                raise DamagedDataSet(f"{tag_name(tag)} has an unknown VR")
            vr = vr_bytes.decode("ascii")
            if vr_bytes in _SHORT:
                length = encoding.number.unpack_from(self._data, self._position + 6)[0]
            else:
                value += 4
                if value > item.limit:
                    raise DamagedDataSet("it ends inside an element")
                (length,) = encoding.long_length.unpack_from(self._data, value - 4)
        self._position = value
        if length == UNDEFINED_LENGTH or vr == "SQ":
            self._sequence(item, tag, vr, length)
        else:
            self._value(item, tag, vr, length)

    def _sequence(self, item: _Container, tag: int, vr: str, length: int) -> None:
        encoding, defined = item.encoding, length != UNDEFINED_LENGTH
        if vr == "UN" and not encoding.implicit:
            # Inside UN it is implicit VR little endian (PS3.5 6.2.2), though some put explicit VR there.
            verbatim = SequenceWalk(self._data, self._position, encoding, b"UN", MAX_ELEMENTS - self._elements)
            little = bytes(self._data[self._position : self._position + 2]) == b"\xfe\xff"
            if not verbatim.closed or verbatim.warnings or verbatim.position > item.limit or not little:
                raise DamagedDataSet(f"the sequence in {tag_name(tag)} cannot be read")
            first_vr = bytes(self._data[self._position + 12 : self._position + 14])
            if not (is_known_vr(first_vr) and bytes(self._data[self._position + 4 : self._position + 8]) != b"\0\0\0\0"):
                self._elements += verbatim.elements
                self._head(tag, "UN", UNDEFINED_LENGTH)
                self._pieces.refer(self._data[self._position : verbatim.position])
                self._position = verbatim.position
                return
            encoding = EXPLICIT_LITTLE
        elif vr not in {"SQ", "UN"}:
            what = "encapsulated pixels" if tag == PIXEL_DATA else f"{tag_name(tag)} without a length"
            raise DamagedDataSet(f"{what} in a transfer syntax without compression")
        if self._implicit:
            self._pieces.add(_TAG.pack(tag >> 16, tag & 0xFFFF))
        else:
            self._pieces.add(_TAG_LONG_HEAD.pack(tag >> 16, tag & 0xFFFF, b"SQ", 0))
        end = self._position + length if defined else None
        limit = item.limit if end is None else end
        inside = _Container(True, end, limit, encoding, item.signed, item.bits_allocated)
        self._enter(inside, defined=defined)

    def _value(self, item: _Container, tag: int, vr: str, length: int) -> None:
        end = self._position + length
        if end > item.limit:
            raise DamagedDataSet(f"the value of {tag_name(tag)} is longer than what it lies in")
        value, self._position = self._data[self._position : end], end
        if tag == _BITS_ALLOCATED and length == 2:
            item.bits_allocated = item.encoding.number.unpack(value)[0]
        elif tag == _PIXEL_REPRESENTATION and length == 2:
            item.signed = item.encoding.number.unpack(value)[0] == 1
        if not tag & 0xFFFF or tag == _LENGTH_TO_END:
            return
        if item.encoding.implicit:
            vr = settled_vr(vr, tag, length=length, signed=item.signed, bits_allocated=item.bits_allocated)
        if item.encoding.big_endian and vr.encode() in _WORDS:
            unit = _WORDS[vr.encode()]
            if tag == PIXEL_DATA and unit == 2 and item.bits_allocated > 16:
                # By words (PS3.5 8.1.1) and by pixels give different images, and there are files of both kinds.
                raise DamagedDataSet(f"pixels of {item.bits_allocated} bits in big endian words can be read in two ways")
            if length % unit:
                raise DamagedDataSet(f"the value of {tag_name(tag)} has half a number")
            value = self._scratch.kept(swapped(value, unit), length)
        self._head(tag, vr, length)
        self._pieces.refer(value)

    def _head(self, tag: int, vr: str, length: int) -> None:
        group, element, name = tag >> 16, tag & 0xFFFF, vr.encode()
        if self._implicit:
            self._pieces.add(_TAG_LENGTH.pack(group, element, length))
        elif name in _SHORT and length <= _LONGEST_SHORT:
            self._pieces.add(_TAG_SHORT.pack(group, element, name, length))
        else:  # a value that is too long for its VR is UN (PS3.5 6.2.2, note 2)
            self._pieces.add(_TAG_LONG.pack(group, element, b"UN" if name in _SHORT else name, 0, length))


def _pixels(data: memoryview, encoding: Encoding) -> tuple[bool, int]:
    """Pixel Representation (1: signed) and Bits Allocated of the data set: elements before them depend on them."""
    walk = Walk(data, encoding, _PIXELS_MATTER)

    def number(tag: int) -> int:
        value, length, _ = walk.found.get(tag, (0, 0, 0))
        return int(encoding.number.unpack_from(data, value)[0]) if length == 2 else 0

    return number(_PIXEL_REPRESENTATION) == 1, number(_BITS_ALLOCATED)


def rewritten(data: memoryview, source: Encoding, *, implicit: bool, scratch: Scratch) -> list[memoryview]:
    """The data set `data` in implicit or explicit VR little endian; large values are views of `data` or of `scratch`.

    Raises DamagedDataSet, TooMuch and OSError.
    """
    return Rewriter(data, source, implicit=implicit, scratch=scratch).run()
