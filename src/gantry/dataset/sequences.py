"""Passes by sequences of undefined length (PS3.5 7.5), however deep, without recursion."""

from __future__ import annotations

from gantry.dataset.encodings import IMPLICIT_LITTLE, UNDEFINED_LENGTH, Buffer, Encoding, is_known_vr

MAX_DEPTH = 8_192
UNUSUAL_DEPTH = 100

_DELIMITER_GROUP = 0xFFFE
_ITEM = 0xE000
_ITEM_END = 0xE00D
_SEQUENCE_END = 0xE0DD

# An open container is one small number: sequence or item, explicit or implicit VR inside.
_IN_ITEM = 1
_IMPLICIT = 2


class SequenceWalk:
    """Reads the items that begin at `position` up to the end of their sequence.

    `vr` is that of the element. Inside UN the content is in implicit VR little endian (PS3.5 6.2.2),
    though some writers put explicit VR there. Afterwards `position` is where the next element begins;
    `closed` is False when the sequence did not end in the bytes at hand, or within `budget` elements.
    """

    __slots__ = (
        "_deepest",
        "_encoding",
        "_open",
        "closed",
        "data",
        "elements",
        "end",
        "position",
        "warnings",
    )

    def __init__(self, data: Buffer, position: int, encoding: Encoding, vr: bytes, budget: int) -> None:
        self.data = data
        self.end = len(data)
        self.position = position
        self.elements = 0
        self.warnings: set[str] = set()
        implicit = encoding.implicit
        if vr == b"UN":
            implicit = self._is_implicit_inside()
            if bytes(data[position : position + 2]) == b"\xfe\xff":
                encoding = IMPLICIT_LITTLE
        self._encoding = encoding
        self._open = bytearray((_IMPLICIT if implicit else 0,))
        self._deepest = 1
        self._run(budget)
        self.closed = not self._open

    def _run(self, budget: int) -> None:
        data, containers, last_header = self.data, self._open, self.end - 8
        header = self._encoding.implicit_header.unpack_from
        while containers and self.position <= last_header:
            if self.elements >= budget:
                self.warnings.add("too many elements in sequences; the rest was not read")
                break
            if len(containers) > 2 * MAX_DEPTH:
                self.warnings.add(f"sequences are nested more than {MAX_DEPTH} deep; the rest was not read")
                break
            self.elements += 1
            group, element, length = header(data, self.position)
            if group == _DELIMITER_GROUP:
                self._delimiter(element, length)
            elif containers[-1] & _IN_ITEM:
                self._element()
            else:  # an element where an item should begin
                self.warnings.add("a sequence has no delimitation item")
                containers.pop()
        if self._deepest > 2 * UNUSUAL_DEPTH:
            self.warnings.add(f"sequences are nested more than {UNUSUAL_DEPTH} deep")

    def _delimiter(self, element: int, length: int) -> None:
        self.position += 8
        in_item = self._open[-1] & _IN_ITEM
        if element == _ITEM:
            if length == UNDEFINED_LENGTH:
                self._enter(self._open[-1] | _IN_ITEM)
            else:
                self.position += length
        elif element == _ITEM_END and in_item:
            self._open.pop()
        elif element == _SEQUENCE_END:
            if in_item:
                self.warnings.add("an item has no delimitation item")
                self._open.pop()
            self._open.pop()
        else:
            self.warnings.add("a delimitation item lies outside of any item")

    def _element(self) -> None:
        """Passes by one element of an item, or enters it when its length is undefined."""
        data, encoding, position = self.data, self._encoding, self.position
        implicit = self._open[-1] & _IMPLICIT
        value = position + 8
        _, vr, length = encoding.explicit_header.unpack_from(data, position)
        if not implicit and vr in encoding.short_vrs:
            self.position = value + length
            return
        if not implicit and vr in encoding.long_vrs:
            if position + 12 > self.end:
                self.position = self.end
                return
            (length,) = encoding.long_length.unpack_from(data, value)
            value = position + 12
        elif not implicit and length and encoding.vr_name(vr).isupper():  # unknown VR, in the short form
            self.position = value + length
            return
        else:
            (length,) = encoding.long_length.unpack_from(data, position + 4)
        if length != UNDEFINED_LENGTH:
            self.position = value + length
            return
        self.position = value
        if not implicit and encoding.vr_name(vr) == b"UN":
            implicit = _IMPLICIT if self._is_implicit_inside() else 0
        self._enter(implicit)

    def _enter(self, container: int) -> None:
        self._open.append(container)
        self._deepest = max(self._deepest, len(self._open))

    def _is_implicit_inside(self) -> bool:
        """Whether the first element of the first item at the present position has no VR."""
        vr = bytes(self.data[self.position + 12 : self.position + 14])
        return not is_known_vr(vr)
