"""Reads group 0002 of a Part 10 file (PS3.10 7.1), also when its length or its encoding is wrong."""

from __future__ import annotations

from dataclasses import dataclass, field

from gantry.dataset.encodings import (
    EXPLICIT_LITTLE,
    IMPLICIT_LITTLE,
    UNDEFINED_LENGTH,
    is_deflated,
    is_known_vr,
)
from gantry.dataset.errors import DamagedHeader
from gantry.dataset.uids import normalise_uid

GROUP = 0x0002
_MAX_ELEMENTS = 1024


@dataclass(slots=True)
class FileMeta:
    """The elements of group 0002 by element number, and where the data set begins."""

    values: dict[int, bytes] = field(default_factory=dict)
    dataset_offset: int = 0
    warnings: list[str] = field(default_factory=list)

    def text(self, element: int) -> str:
        """A UID or an AE title, without padding; empty where absent."""
        return normalise_uid(self.values.get(element, b"").decode("latin-1")).strip(" ")


def read_file_meta(head: memoryview, start: int, *, total: int) -> FileMeta:
    """The file meta information that begins at `start`; ends where group 0002 ends, whatever its length says.

    Raises DamagedHeader when the file, or `head`, ends inside.
    """
    meta = FileMeta()
    position = start
    declared_end = -1
    for _ in range(_MAX_ELEMENTS):
        if position + 8 > len(head):
            if position not in {total, declared_end}:
                raise _cut(position + 8, total)
            break
        (group,) = EXPLICIT_LITTLE.number.unpack_from(head, position)
        if group != GROUP or (position == declared_end and _is_deflated(meta)):
            break
        element, value, length = _read_element(head, position, total, meta)
        if value + length > len(head):
            raise _cut(value + length, total)
        meta.values.setdefault(element, bytes(head[value : value + length]))
        position = value + length
        if element == 0 and length == 4:
            declared_end = position + EXPLICIT_LITTLE.long_length.unpack_from(head, value)[0]
    else:
        raise DamagedHeader(f"the file meta information has more than {_MAX_ELEMENTS} elements")
    if position >= total and declared_end > total:
        raise _cut(declared_end, total)
    if declared_end == -1 and meta.values:
        meta.warnings.append("the length of the file meta information is missing")
    elif declared_end != position and meta.values:
        meta.warnings.append("the length of the file meta information is wrong")
    meta.dataset_offset = position
    return meta


def _is_deflated(meta: FileMeta) -> bool:
    """In a deflated data set any bytes may follow, so there the length of the group decides."""
    return is_deflated(meta.text(0x0010))


def _read_element(head: memoryview, position: int, total: int, meta: FileMeta) -> tuple[int, int, int]:
    """Element number, where the value begins, and its length."""
    raw_tag, vr, length = EXPLICIT_LITTLE.explicit_header.unpack_from(head, position)
    element = raw_tag >> 16
    value = position + 8
    if vr in EXPLICIT_LITTLE.long_vrs:
        if position + 12 > len(head):
            raise _cut(position + 12, total)
        (length,) = EXPLICIT_LITTLE.long_length.unpack_from(head, value)
        value = position + 12
    elif vr not in EXPLICIT_LITTLE.short_vrs:
        _, _, length = IMPLICIT_LITTLE.implicit_header.unpack_from(head, position)
        warning = "the file meta information is in implicit VR"
        if warning not in meta.warnings:
            meta.warnings.append(warning)
    if length == UNDEFINED_LENGTH:
        raise DamagedHeader("an element of the file meta information has no length")
    return element, value, length


def _cut(needed: int, total: int) -> DamagedHeader:
    if needed > total:
        return DamagedHeader("the file ends inside its file meta information")
    return DamagedHeader("the file meta information is too long")


def begins_file_meta(head: memoryview, position: int) -> bool:
    """Whether an element of group 0002 begins at `position`, in explicit or implicit VR."""
    if position + 8 > len(head):
        return False
    group, element, length = IMPLICIT_LITTLE.implicit_header.unpack_from(head, position)
    if group != GROUP:
        return False
    return is_known_vr(bytes(head[position + 4 : position + 6])) or (element <= 0x0102 and length < 1024)
