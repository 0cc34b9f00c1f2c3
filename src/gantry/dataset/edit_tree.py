"""A data set as slices of its bytes, so that single elements can be exchanged and all others stay as they are.

Nothing is copied but headers that change: an element is (tag, VR, where it lies); a sequence is opened only when an
edit works inside of it, and written anew with the right lengths (PS3.5 7.5). What cannot be read to the end is refused:
an edit that must take something away may not overlook it.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

from gantry.dataset.edit_errors import CannotEdit
from gantry.dataset.edit_paths import name_of, vr_of
from gantry.dataset.encodings import UNDEFINED_LENGTH, Buffer, Encoding
from gantry.dataset.sequences import SequenceWalk

MAX_ELEMENTS = 50_000
_MAX_FRAGMENTS = 10_000_000
PIXEL_GROUP = 0x7FE0
CHARACTER_SET = 0x00080005
_ITEM, _ITEM_END, _SEQUENCE_END = 0xFFFEE000, 0xFFFEE00D, 0xFFFEE0DD
_MAX_LENGTH = 0xFFFFFFFE
_MAX_READ = 1 << 20
Piece = bytes | tuple[int, int]


@dataclass(slots=True)
class Entry:
    """An element as it lies in the bytes from `start` to `end`, or with a new raw value, or an opened sequence."""

    tag: int
    vr: str
    start: int = 0
    value: int = 0
    length: int = 0
    end: int = 0
    raw: bytes | None = None
    items: list[Level] | None = None
    changed: bool = False
    explicit_vr: str = ""  # what the header says; '' in implicit VR


@dataclass(slots=True)
class Level:
    """The data set itself or one item of a sequence. `length` is that of the item's header, as read."""

    entries: list[Entry]
    charset: bytes
    length: int = UNDEFINED_LENGTH
    touched: set[int] = field(default_factory=set)  # groups whose elements changed


class Tree:
    """The opened data set; `root` is edited by edit.py."""

    def __init__(self, data: Buffer, encoding: Encoding) -> None:
        self.data = data
        self.encoding = encoding
        self._budget = MAX_ELEMENTS
        entries, position = self._entries(0, len(data), in_item=False)
        if position != len(data):
            raise CannotEdit("the data set cannot be read to its end")
        self.root = Level(entries, b"")
        self.root.charset = self.charset_of(self.root, b"")
        self._check_order()

    def _check_order(self) -> None:
        pixels = False
        for entry in self.root.entries:
            pixels = pixels or entry.tag >> 16 >= PIXEL_GROUP
            if pixels and entry.tag >> 16 < PIXEL_GROUP:
                raise CannotEdit(f"{name_of(entry.tag)} stands behind the pixel data: the order of elements is damaged")

    def charset_of(self, level: Level, outer: bytes) -> bytes:
        """Its own Specific Character Set, or that of what it lies in."""
        for entry in level.entries:
            if entry.tag == CHARACTER_SET:
                return self.raw_of(entry)
        return outer

    def raw_of(self, entry: Entry) -> bytes:
        """The present raw value. Raises CannotEdit for one of undefined length or beyond a megabyte."""
        if entry.raw is not None:
            return entry.raw
        if entry.length == UNDEFINED_LENGTH or entry.length > _MAX_READ:
            raise CannotEdit(f"{name_of(entry.tag)}: its value is too long to be read")
        return bytes(self.data[entry.value : entry.value + entry.length])

    # Reading

    def _entries(self, position: int, end: int, *, in_item: bool) -> tuple[list[Entry], int]:
        """The elements from `position` to `end`, or to the end of the item; and the position behind."""
        entries: list[Entry] = []
        while position < end:
            if position + 8 > end:
                raise CannotEdit("the data set ends inside of an element")
            raw_tag, length = self.encoding.implicit_pair.unpack_from(self.data, position)
            tag = self.encoding.tag(raw_tag)
            if tag == _ITEM_END and in_item:
                return entries, position + 8
            if tag >> 16 == 0xFFFE:
                raise CannotEdit("a delimitation item lies where an element should begin")
            self._budget -= 1
            if self._budget < 0:
                raise CannotEdit(f"it has more than {MAX_ELEMENTS} elements")
            entry = self._entry(position, tag, length, end)
            entries.append(entry)
            position = entry.end
        if in_item:
            raise CannotEdit("an item has no end")
        return entries, position

    def _entry(self, start: int, tag: int, length: int, end: int) -> Entry:
        encoding, value, explicit = self.encoding, start + 8, ""
        if not encoding.implicit:
            _, number, length = encoding.explicit_header.unpack_from(self.data, start)
            explicit = encoding.vr_name(number).decode("latin-1")
            if number in encoding.long_vrs:
                if start + 12 > end:
                    raise CannotEdit("the data set ends inside of an element")
                (length,) = encoding.long_length.unpack_from(self.data, start + 8)
                value = start + 12
            elif number not in encoding.short_vrs:
                raise CannotEdit(f"{name_of(tag)} has an unknown VR")
        entry = Entry(tag, explicit or vr_of(tag), start, value, length, explicit_vr=explicit)
        entry.end = value + length if length != UNDEFINED_LENGTH else self._behind(entry)
        if entry.end > end:
            raise CannotEdit(f"{name_of(tag)} is longer than what it lies in")
        return entry

    def _behind(self, entry: Entry) -> int:
        pixels = entry.tag >> 16 >= PIXEL_GROUP  # fragments are no elements; their headers alone are read
        budget = _MAX_FRAGMENTS if pixels else self._budget
        walk = SequenceWalk(self.data, entry.value, self.encoding, entry.explicit_vr.encode("latin-1"), budget)
        self._budget -= 0 if pixels else walk.elements
        if not walk.closed or walk.warnings:
            raise CannotEdit(f"{name_of(entry.tag)}: the sequence is damaged")
        return walk.position

    def open(self, entry: Entry, outer: bytes) -> list[Level]:
        """The items of a sequence. Raises CannotEdit where the element is none."""
        if entry.items is not None:
            return entry.items
        if (entry.explicit_vr or entry.vr or "SQ") != "SQ":
            raise CannotEdit(f"{name_of(entry.tag)} is written as {entry.explicit_vr or entry.vr}, not as a sequence")
        items: list[Level] = []
        undefined = entry.length == UNDEFINED_LENGTH
        position, end = entry.value, entry.end
        while position < end:
            if position + 8 > end:
                raise CannotEdit(f"{name_of(entry.tag)}: the sequence is damaged")
            raw_tag, length = self.encoding.implicit_pair.unpack_from(self.data, position)
            tag = self.encoding.tag(raw_tag)
            position += 8
            if tag == _SEQUENCE_END and undefined and position == end:
                break
            if tag != _ITEM:
                raise CannotEdit(f"{name_of(entry.tag)} is no sequence of items")
            inner_end = end if length == UNDEFINED_LENGTH else position + length
            if inner_end > end:
                raise CannotEdit(f"{name_of(entry.tag)}: an item is longer than its sequence")
            entries, position = self._entries(position, inner_end, in_item=length == UNDEFINED_LENGTH)
            level = Level(entries, b"", length)
            level.charset = self.charset_of(level, outer)
            items.append(level)
        entry.items = items
        return items

    # Writing

    def pieces(self) -> Iterator[Piece]:
        """The whole data set: bytes, or (start, end) of the original, in order; neighbours joined."""
        start = end = 0
        for piece in self._level(self.root):
            if isinstance(piece, tuple) and piece[0] == end and start != end:
                end = piece[1]
                continue
            if start != end:
                yield (start, end)
            start = end = 0
            if isinstance(piece, tuple):
                start, end = piece
            else:
                yield piece
        if start != end:
            yield (start, end)

    def _level(self, level: Level) -> list[Piece]:
        written = [(entry.tag, self._element(entry)) for entry in level.entries]
        sizes: dict[int, int] = {}
        for tag, pieces in written:
            if tag & 0xFFFF and tag >> 16 in level.touched:
                sizes[tag >> 16] = sizes.get(tag >> 16, 0) + size_of(pieces)
        result: list[Piece] = []
        for tag, pieces in written:
            if not tag & 0xFFFF and tag >> 16 in level.touched:  # a group length tells the truth again (PS3.5 7.2)
                if sizes.get(tag >> 16):
                    length = self.encoding.long_length.pack(sizes[tag >> 16])
                    result += self._header(tag, "UL", len(length)), length
                continue
            result += pieces
        return result

    def _element(self, entry: Entry) -> list[Piece]:
        if entry.raw is not None:
            return [self._header(entry.tag, entry.vr, len(entry.raw)) + entry.raw]
        if entry.items is None or not entry.changed:
            return [(entry.start, entry.end)]
        undefined = entry.length == UNDEFINED_LENGTH
        inside: list[Piece] = []
        for level in entry.items:
            content = self._level(level)
            if level.length == UNDEFINED_LENGTH:
                inside += [self._tag(_ITEM, UNDEFINED_LENGTH), *content, self._tag(_ITEM_END, 0)]
            else:
                inside += [self._tag(_ITEM, _checked(size_of(content), entry.tag)), *content]
        if undefined:
            return [self._header(entry.tag, "SQ", UNDEFINED_LENGTH), *inside, self._tag(_SEQUENCE_END, 0)]
        return [self._header(entry.tag, "SQ", _checked(size_of(inside), entry.tag)), *inside]

    def _tag(self, tag: int, length: int) -> bytes:
        return self.encoding.implicit_header.pack(tag >> 16, tag & 0xFFFF, length)

    def _header(self, tag: int, vr: str, length: int) -> bytes:
        encoding = self.encoding
        if encoding.implicit:
            return self._tag(tag, length)
        order = "big" if encoding.big_endian else "little"
        number = int.from_bytes(vr.encode("ascii"), order)  # type: ignore[arg-type]  # one of the two literals
        raw_tag = tag if encoding.big_endian else (tag & 0xFFFF) << 16 | tag >> 16
        if number in encoding.short_vrs:
            if length > 0xFFFF:
                raise CannotEdit(f"{name_of(tag)}: a value of VR {vr} has at most 65534 bytes")
            return encoding.explicit_header.pack(raw_tag, number, length)
        return encoding.explicit_header.pack(raw_tag, number, 0) + encoding.long_length.pack(length)


def size_of(pieces: list[Piece]) -> int:
    """How many bytes they are."""
    return sum(len(piece) if isinstance(piece, bytes) else piece[1] - piece[0] for piece in pieces)


def _checked(size: int, tag: int) -> int:
    if size > _MAX_LENGTH:
        raise CannotEdit(f"{name_of(tag)} becomes too long")
    return size
