"""open_object: the data set region of a stored file."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

import pytest

from gantry.storage import open_object
from gantry.storage.errors import ObjectMissing, StorageFailed

PLACE = "objects/00/1/2/3.dcm"


@pytest.fixture
def stored(home: Path) -> bytes:
    content = os.urandom(700_001)
    (home / PLACE).parent.mkdir(parents=True)
    (home / PLACE).write_bytes(content)
    return content


@pytest.mark.parametrize(("offset", "length"), [(0, None), (333, None), (333, 5000), (700_001, None), (700_001, 0), (5, 0)])
def test_region(home: Path, stored: bytes, offset: int, length: int | None) -> None:
    region = stored[offset:] if length is None else stored[offset : offset + length]
    with open_object(home, PLACE, dataset_offset=offset, dataset_bytes=length) as obj:
        assert obj.dataset == region
        assert obj.head == stored
        assert (obj.size, obj.file_bytes) == (len(region), len(stored))
        assert obj.digest() == hashlib.sha256(region).digest()


def test_an_empty_file(home: Path) -> None:
    (home / PLACE).parent.mkdir(parents=True)
    (home / PLACE).write_bytes(b"")
    with open_object(home, PLACE, dataset_offset=0) as obj:
        assert obj.dataset == b""


def test_missing_and_short(home: Path, stored: bytes) -> None:
    with pytest.raises(ObjectMissing):
        open_object(home, "objects/00/1/2/4.dcm", dataset_offset=0)
    for offset, length in ((700_002, None), (700_000, 2), (-1, None), (5, -1)):
        with pytest.raises(StorageFailed):
            open_object(home, PLACE, dataset_offset=offset, dataset_bytes=length)


def test_no_descriptor_is_left_open(home: Path, stored: bytes) -> None:
    before = len(os.listdir("/proc/self/fd"))
    for _ in range(10):
        with open_object(home, PLACE, dataset_offset=1) as obj:
            obj.digest()
        with pytest.raises(StorageFailed):
            open_object(home, PLACE, dataset_offset=700_002)
    assert len(os.listdir("/proc/self/fd")) == before
