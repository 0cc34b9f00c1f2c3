"""Files: `read_part10` names what is wrong, or says where the data set begins; that is then scanned."""

from __future__ import annotations

import struct

from fuzz.targets.recorded import payloads
from gantry.dataset import DatasetError, read_part10, scan


def seeds() -> list[bytes]:
    """Part 10 files of recorded data sets, with and without preamble, and other formats."""
    data = max(payloads(command=False), key=len)[:1000]
    syntax = b"1.2.840.10008.1.2.1\0"
    meta = struct.pack("<HH2sH", 2, 0x10, b"UI", len(syntax)) + syntax
    group = struct.pack("<HH2sHL", 2, 0, b"UL", 4, len(meta))
    return [
        bytes(128) + b"DICM" + group + meta + data,
        bytes(128) + b"DICM" + meta + data,
        b"DICM" + group + meta + data,
        group + meta + data,
        bytes(128) + b"DICM" + data,
        data,
        b"\x89PNG\r\n\x1a\n" + data,
        b"PK\3\4" + data,
    ]


def one(data: bytes) -> None:
    """Read the beginning, then the header behind it."""
    view = memoryview(data)
    for head, total in ((view, len(data)), (view[: len(data) // 2], len(data))):
        try:
            found = read_part10(head, total=total)
        except DatasetError:
            continue
        assert found.dataset_offset >= 0
        assert found.transfer_syntax_uid
        scan(view[min(found.dataset_offset, len(data)) :], found.transfer_syntax_uid, whole=True)
