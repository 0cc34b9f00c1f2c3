"""The journal on disk: segment names and the form of a record.

A segment is a file that was once written full of zeros, so that appending to it changes no metadata. Its
content is that of its earlier lives until overwritten; a record therefore carries the mark (8 random bytes)
of the life it belongs to, and a reader takes nothing that has another mark.

    active-<run>-<number>-<mark>.seg          one writer appends
    sealed-<run>-<number>-<mark>-<end>.seg    nothing comes after byte <end>
    damaged-<run>-<number>-<mark>-<end>.seg   sealed, and a part of it could not be read; kept for people
    free-<mark>.seg                           to be used again
    new-<mark>.part                           being made
"""

from __future__ import annotations

import hashlib
import re
import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass

#: magic, mark, kind, order, length of the prefix, length of the payload, SHA-256 of what follows the
#: prefix, CRC-32 of the prefix, CRC-32 of the fields before.
HEADER = struct.Struct("<4s8sB3xQII32sII")
_CHECKED = HEADER.size - 4
MAGIC = b"GJR1"
ALIGNMENT = 8

KIND_OBJECT = 1
KIND_ASSOCIATION_ENDED = 2
KIND_RUN_STARTED = 3

_NAME = re.compile(r"(active|sealed|damaged)-(\d{8})-(\d{6})-([0-9a-f]{16})(?:-(\d+))?\.seg", re.ASCII)


@dataclass(frozen=True, slots=True)
class SegmentName:
    """What the name of a segment says. `end` is None while it is active."""

    state: str
    run: int
    number: int
    mark: bytes
    end: int | None = None

    @classmethod
    def parse(cls, name: str) -> SegmentName | None:
        match = _NAME.fullmatch(name)
        if not match or (match[1] == "active") is not (match[5] is None):
            return None
        return cls(
            match[1],
            int(match[2]),
            int(match[3]),
            bytes.fromhex(match[4]),
            int(match[5]) if match[5] else None,
        )

    @property
    def identity(self) -> str:
        return f"{self.run:08d}-{self.number:06d}-{self.mark.hex()}"

    @property
    def file_name(self) -> str:
        tail = "" if self.end is None else f"-{self.end}"
        return f"{self.state}-{self.identity}{tail}.seg"


@dataclass(frozen=True, slots=True)
class Record:
    """One record: `payload` is prefix and data set, or the data of an event. `end` is the offset after it."""

    kind: int
    order: int
    prefix_length: int
    sha256: bytes
    payload: memoryview
    end: int


def aligned(offset: int, to: int = ALIGNMENT) -> int:
    return -(-offset // to) * to


def pack_header(mark: bytes, kind: int, order: int, prefix: bytes | memoryview, length: int, sha256: bytes) -> bytes:
    head = HEADER.pack(MAGIC, mark, kind, order, len(prefix), length, sha256, zlib.crc32(prefix), 0)
    return head[:_CHECKED] + zlib.crc32(head[:_CHECKED]).to_bytes(4, "little")


def read_header(chunk: memoryview, mark: bytes) -> tuple[int, int, int, int, bytes, int] | None:
    """(kind, order, prefix length, payload length, digest, prefix CRC); None when it is no header of ours."""
    if len(chunk) < HEADER.size or chunk[:4] != MAGIC or chunk[4:12] != mark:
        return None
    _, _, kind, order, prefix, length, sha256, prefix_crc, crc = HEADER.unpack_from(chunk)
    if zlib.crc32(chunk[:_CHECKED]) != crc or prefix > length:
        return None
    return kind, order, prefix, length, sha256, prefix_crc


def is_whole(payload: memoryview, prefix_length: int, sha256: bytes, prefix_crc: int) -> bool:
    """Whether the payload is what the header promised: a torn or rotten record is not."""
    if zlib.crc32(payload[:prefix_length]) != prefix_crc:
        return False
    return hashlib.sha256(payload[prefix_length:]).digest() == sha256


def candidates(window: bytes, mark: bytes) -> Iterator[int]:
    """Offsets in `window` at which a record of this life could begin (used behind a damaged place)."""
    needle = MAGIC + mark
    at = window.find(needle)
    while at >= 0:
        if at % ALIGNMENT == 0:
            yield at
        at = window.find(needle, at + 1)
