"""The form of a ZIP of stored entries (PKWARE APPNOTE 6.3), so plain that its length is known before a byte is read.

Each entry: header, name, bytes as they are, and after them their CRC-32 (a data descriptor: the CRC is known only then).
ZIP64 fields stand only where a number does not fit, as some programs do not know them.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

#: A number of four bytes from here on, or a count of two, stands in a ZIP64 field (APPNOTE 4.4.1.4).
_FAR = 0xFFFFFFFF
_MANY = 0xFFFF
_OLD, _ZIP64 = 20, 45
#: The CRC and the sizes follow the bytes (4.4.4, bit 3).
_FLAGS = 1 << 3
#: 1980-01-01, the earliest day that a ZIP knows: when bytes were received is in the index, and not of the name's concern.
_DAY = (1 << 5) | 1
_UNIX, _MODE = 3, 0o100600 << 16
_LOCAL = struct.Struct("<4sHHHHHLLLHH")
_DIRECTORY = struct.Struct("<4sBBHHHHHLLLHHHHHLL")
_END64, _LOCATOR, _END = struct.Struct("<4sQHHLLQQQQ"), struct.Struct("<4sLQL"), struct.Struct("<4sHHHHLLH")


class Entry(NamedTuple):
    """A file to come: its name, ASCII, and its length in bytes."""

    name: bytes
    size: int


@dataclass(frozen=True, slots=True)
class Written:
    """A file that is in the ZIP, with its CRC-32 and where its header begins."""

    entry: Entry
    crc: int
    offset: int


def header(entry: Entry) -> bytes:
    """Before the bytes (4.3.7)."""
    big = entry.size >= _FAR
    size, extra = (_FAR, struct.pack("<HHQQ", 1, 16, 0, 0)) if big else (0, b"")
    fixed = _LOCAL.pack(
        b"PK\x03\x04", _ZIP64 if big else _OLD, _FLAGS, 0, 0, _DAY, 0, size, size, len(entry.name), len(extra)
    )  # fmt: skip
    return fixed + entry.name + extra


def descriptor(entry: Entry, crc: int) -> bytes:
    """After the bytes (4.3.9)."""
    return struct.pack("<4sLQQ" if entry.size >= _FAR else "<4sLLL", b"PK\x07\x08", crc, entry.size, entry.size)


def directory_entry(written: Written) -> bytes:
    """Of the directory at the end (4.3.12)."""
    entry = written.entry
    wide = _wide(entry, written.offset)
    extra = struct.pack(f"<HH{len(wide)}Q", 1, 8 * len(wide), *wide) if wide else b""
    size, offset, version = min(entry.size, _FAR), min(written.offset, _FAR), _ZIP64 if wide else _OLD
    fixed = _DIRECTORY.pack(
        b"PK\x01\x02", version, _UNIX, version, _FLAGS, 0, 0, _DAY, written.crc, size, size, len(entry.name), len(extra),
        0, 0, 0, _MODE, offset,
    )  # fmt: skip
    return fixed + entry.name + extra


def end(count: int, offset: int, size: int) -> bytes:
    """The end of a ZIP of `count` files whose directory begins at `offset` and has `size` bytes (4.3.14 to 4.3.16)."""
    plain = _END.pack(
        b"PK\x05\x06", 0, 0, min(count, _MANY), min(count, _MANY), min(size, _FAR), min(offset, _FAR), 0
    )  # fmt: skip
    if count < _MANY and size < _FAR and offset < _FAR:
        return plain
    wide = _END64.pack(b"PK\x06\x06", _END64.size - 12, _ZIP64, _ZIP64, 0, 0, count, count, size, offset)
    return wide + _LOCATOR.pack(b"PK\x06\x07", 0, offset + size, 1) + plain


def length(entries: Sequence[Entry]) -> int:
    """Bytes of the whole ZIP."""
    offset = directory = 0
    for entry in entries:
        big = entry.size >= _FAR
        wide = len(_wide(entry, offset))
        directory += _DIRECTORY.size + len(entry.name) + (4 + 8 * wide if wide else 0)
        offset += _LOCAL.size + len(entry.name) + (20 if big else 0) + entry.size + (24 if big else 16)
    return offset + directory + len(end(len(entries), offset, directory))


def _wide(entry: Entry, offset: int) -> list[int]:
    """The numbers of a directory entry that need a ZIP64 field (4.5.3)."""
    sizes = [entry.size, entry.size] if entry.size >= _FAR else []
    return [*sizes, offset] if offset >= _FAR else sizes
