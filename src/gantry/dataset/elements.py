"""Walks over the elements of a data set and notes where the wanted ones lie (PS3.5 chapter 7).

No object is made per element and no value is looked at. Sequences are passed by: those of defined
length with one step, the others by the loop in sequences.py. Any bytes give a result.
"""

from __future__ import annotations

from collections.abc import Iterable
from itertools import repeat

from gantry.dataset.encodings import UNDEFINED_LENGTH, Buffer, Encoding, is_known_vr
from gantry.dataset.sequences import SequenceWalk

MAX_ELEMENTS = 50_000
MAX_WARNINGS = 20
MAX_DAMAGED_SEQUENCES = 100

SOP_INSTANCE_UID = 0x00080018
STUDY_INSTANCE_UID = 0x0020000D
SERIES_INSTANCE_UID = 0x0020000E
_IDENTITY = frozenset({SOP_INSTANCE_UID, STUDY_INSTANCE_UID, SERIES_INSTANCE_UID})
_PIXEL_GROUP = 0x7FE0
_PADDING = 0xFFFCFFFC
_DELIMITER_GROUP = 0xFFFE
_ITEM = 0xFFFEE000


class Wanted:
    """Which elements a walk looks for. Numbers are compared as they are read, so in either byte order."""

    __slots__ = ("big", "last", "little")

    def __init__(self, tags: Iterable[int]) -> None:
        tags = tuple(tags)
        self.last = max(tags)
        self.big = {tag: tag for tag in tags}
        self.little = {(tag & 0xFFFF) << 16 | tag >> 16: tag for tag in tags}


class Walk:
    """One pass over a data set: what was found, what was odd, and whether it got far enough.

    `found` maps group << 16 | element to (offset, length, VR as read) of the first complete value; the
    VR is 0 in implicit VR. `passed` is True when the walk came beyond the last wanted element.
    """

    __slots__ = ("_damaged", "_last", "_previous", "_wanted", "budget", "data", "done", "encoding", "end",
                 "found", "passed", "position", "warnings")  # fmt: skip

    def __init__(self, data: Buffer, encoding: Encoding, wanted: Wanted) -> None:
        self.data = data
        self.end = len(data)
        self.encoding = encoding
        self._wanted = wanted.big if encoding.big_endian else wanted.little
        self._last = wanted.last
        self._previous = 0
        self._damaged = 0
        self.found: dict[int, tuple[int, int, int]] = {}
        self.warnings: list[str] = []
        self.position = 0
        self.budget = MAX_ELEMENTS
        self.passed = False
        self.done = False
        if encoding.implicit:
            self._implicit()
        else:
            self._explicit()

    @property
    def ended_cleanly(self) -> bool:
        """The bytes ended where an element ended."""
        return not self.done and self.position == self.end

    def warn(self, warning: str) -> None:
        """Notes what was odd, once."""
        if warning not in self.warnings and len(self.warnings) < MAX_WARNINGS:
            self.warnings.append(warning)

    def _explicit(self) -> None:
        # The hot loop: 100 to 200 times per instance. It ends at the last wanted element; where that is
        # absent, at the next long VR behind it (the pixel data is one), so that no step need compare tags.
        data, wanted = self.data, self._wanted
        unpack, short_vrs = self.encoding.explicit_header.unpack_from, self.encoding.short_vrs
        last_header = self.end - 8
        position = raw_tag = 0
        for _ in repeat(None, self.budget):
            if position > last_header:
                break
            raw_tag, vr, length = unpack(data, position)
            if vr in short_vrs:
                value = position + 8
            else:
                value, length = self._long(position, raw_tag, vr)
                if self.done:
                    break
            if raw_tag in wanted and self._note(wanted[raw_tag], value, length, vr):
                break
            position = value + length
        else:
            self._exhausted()
        self.position = position
        if not self.done and self.encoding.tag(raw_tag) > self._last:
            self._pass(self.encoding.tag(raw_tag))

    def _implicit(self) -> None:
        data, wanted, last = self.data, self._wanted, self._last
        unpack, tag_of = self.encoding.implicit_pair.unpack_from, self.encoding.tag
        last_header = self.end - 8
        last_group = last >> 16
        position = 0
        for _ in repeat(None, self.budget):
            if position > last_header:
                break
            raw_tag, length = unpack(data, position)
            value = position + 8
            if length == UNDEFINED_LENGTH or (raw_tag & 0xFFFF) > last_group:
                value, length = self._implicit_aside(value, tag_of(raw_tag), length)
                if self.done:
                    break
            if raw_tag in wanted and self._note(wanted[raw_tag], value, length, 0):
                break
            position = value + length
        else:
            self._exhausted()
        self.position = position

    def _note(self, tag: int, value: int, length: int, vr: int) -> bool:
        """Keeps where a wanted value lies; True when nothing more is needed."""
        found = self.found
        if value + length > self.end:
            return False
        if tag in found:
            self.warn(f"{tag_name(tag)} appears more than once; the first one counts")
            return False
        found[tag] = (value, length, vr)
        if tag < self._previous:
            self.warn("elements are not in ascending order")
        self._previous = tag
        if tag == self._last:
            self._pass(tag)
        return self.done

    def _pass(self, tag: int) -> None:
        """Ends the walk at `tag`, the last wanted one or one beyond.

        Where a UID is still missing the elements may be out of order: it goes on to the pixel data.
        """
        if tag >> 16 == _PIXEL_GROUP or tag == _PADDING or self.found.keys() >= _IDENTITY:
            self.passed = self.done = True

    def _long(self, position: int, raw_tag: int, vr: int) -> tuple[int, int]:
        """Where the value begins, and its length, of an element in explicit VR without a short VR."""
        tag = self.encoding.tag(raw_tag)
        if tag >> 16 == _DELIMITER_GROUP:
            return self._stray_delimiter(position + 8, tag)
        if tag > self._last:
            self._pass(tag)
        if vr not in self.encoding.long_vrs:
            return (position, 0) if self.done else self._unknown_vr(position, tag, vr)
        if self.done or position + 12 > self.end:
            self.done = True
            return position, 0
        (length,) = self.encoding.long_length.unpack_from(self.data, position + 8)
        if length == UNDEFINED_LENGTH:
            return self._skip(position + 12, self.encoding.vr_name(vr)), 0
        return position + 12, length

    def _implicit_aside(self, value: int, tag: int, length: int) -> tuple[int, int]:
        """The same in implicit VR, for elements of undefined length or beyond the last wanted group."""
        if tag >> 16 == _DELIMITER_GROUP:
            return self._stray_delimiter(value, tag)
        if tag > self._last:
            self._pass(tag)
        if length == UNDEFINED_LENGTH and not self.done:
            return self._skip(value, b""), 0
        return value, length

    def _skip(self, position: int, vr: bytes) -> int:
        """Passes by a sequence of undefined length; gives where the next element begins."""
        sequence = SequenceWalk(self.data, position, self.encoding, vr, self.budget)
        self.budget -= sequence.elements
        for warning in sorted(sequence.warnings):
            self.warn(warning)
        self.done = not sequence.closed
        if sequence.warnings:
            self._damaged += 1
        if self._damaged > MAX_DAMAGED_SEQUENCES:
            self.warn(f"more than {MAX_DAMAGED_SEQUENCES} sequences are damaged; the rest was not read")
            self.done = True
        return sequence.position

    def _stray_delimiter(self, value: int, tag: int) -> tuple[int, int]:
        """A delimitation item outside of any sequence has no VR and no value: step over its head."""
        self.warn("a delimitation item lies outside of any sequence")
        (length,) = self.encoding.long_length.unpack_from(self.data, value - 4)
        return value, length if tag == _ITEM and length != UNDEFINED_LENGTH else 0

    def _unknown_vr(self, position: int, tag: int, vr: int) -> tuple[int, int]:
        """Tries the ways to read the head of an element whose VR is unknown, the likeliest first."""
        (long_form,) = self.encoding.long_length.unpack_from(self.data, position + 4)
        _, _, short_form = self.encoding.explicit_header.unpack_from(self.data, position)
        readings = [(position + 8, long_form)]  # as in implicit VR
        name = self.encoding.vr_name(vr)
        if name.isalpha() and name.isupper():
            readings.insert(0, (position + 8, short_form))
            if not short_form and position + 12 <= self.end:  # PS3.5 7.1.2: new VRs have the long form
                (length,) = self.encoding.long_length.unpack_from(self.data, position + 8)
                readings.insert(0, (position + 12, length))
        for value, length in readings:
            if self._begins_element(value + length, tag):
                self.warn(f"{tag_name(tag)} has an unknown VR")
                return value, length
        self.warn(f"{tag_name(tag)} has no readable VR and length; what follows was not read")
        self.done = True
        return position, 0

    def _begins_element(self, position: int, after: int) -> bool:
        """Whether the bytes at `position` look like the element that follows the tag `after`."""
        if position + 8 > self.end:
            return position == self.end
        raw_tag, _, _ = self.encoding.explicit_header.unpack_from(self.data, position)
        return self.encoding.tag(raw_tag) > after and is_known_vr(bytes(self.data[position + 4 : position + 6]))

    def _exhausted(self) -> None:
        self.warn(f"more than {MAX_ELEMENTS} elements; the rest was not read")
        self.done = True


def tag_name(tag: int) -> str:
    """A tag as the standard writes it: (0010,0020)."""
    return f"({tag >> 16:04X},{tag & 0xFFFF:04X})"
