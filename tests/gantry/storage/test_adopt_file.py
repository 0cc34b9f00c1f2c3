"""SpoolWriter.adopt_file and flush: every byte of a file kept, nothing visible before it is durable."""

from __future__ import annotations

import hashlib
import json
import os
from pathlib import Path

import pytest

from gantry.storage import SpoolReader
from gantry.storage import adoption as adoption_module
from gantry.storage.errors import SourceFailed, StorageFailed

from .conftest import OpenWriter
from .spool_maker import advance, data, events, objects, whole


def _sources(tmp_path: Path, count: int, size: int = 1_200_000) -> list[Path]:
    paths = []
    for index in range(count):
        paths.append(tmp_path / f"source{index}.dcm")
        paths[-1].write_bytes(data(size, index))
    return paths


@pytest.mark.parametrize("count", [1, 9])
def test_every_byte_is_kept_and_nothing_is_visible_before_flush(
    open_writer: OpenWriter, reader: SpoolReader, tmp_path: Path, home: Path, count: int
) -> None:
    writer = open_writer("import-1")
    for path in _sources(tmp_path, count):
        digest = writer.adopt_file(path, lambda digest: json.dumps({"sha256": digest.hex()}).encode(), dataset_offset=132)
        assert digest == hashlib.sha256(path.read_bytes()[132:]).digest()
    assert objects(events(reader)) == []
    assert writer.flush() == count
    assert writer.flush() == 0
    found = objects(events(reader))
    assert [whole(obj) for obj in found] == [data(1_200_000, index) for index in range(count)]
    assert all(obj.sidecar == {"sha256": obj.sha256.hex()} and obj.dataset_offset == 132 for obj in found)
    assert all(obj.digest() == obj.sha256 for obj in found)
    positions: dict[str, int] = {}
    advance(positions, events(reader))
    for index, obj in enumerate(found):
        reader.place(obj, f"objects/00/1/2/{index}.dcm")
    reader.sync()
    reader.release(found, positions)
    assert os.listdir(home / "spool/import-1/incoming") == []
    assert (home / "objects/00/1/2/0.dcm").read_bytes() == data(1_200_000)


def test_a_region_with_an_end(open_writer: OpenWriter, tmp_path: Path) -> None:
    (path,) = _sources(tmp_path, 1, 3_000_000)
    writer = open_writer("import-1")
    digest = writer.adopt_file(path, b"{}", dataset_offset=1_048_570, dataset_bytes=1_048_590)
    assert digest == hashlib.sha256(data(3_000_000)[1_048_570 : 1_048_570 + 1_048_590]).digest()


def test_sources_that_cannot_be_read(open_writer: OpenWriter, tmp_path: Path, home: Path) -> None:
    writer = open_writer("import-1")
    (path,) = _sources(tmp_path, 1, 100)
    for source, offset in ((tmp_path / "none", 0), (tmp_path, 0), (path, 101)):
        with pytest.raises(SourceFailed):
            writer.adopt_file(source, b"{}", dataset_offset=offset)
    assert os.listdir(home / "spool/import-1/incoming") == []
    writer.adopt_file(path, b"{}", dataset_offset=100)
    assert writer.flush() == 1


def test_a_killed_import_leaves_nothing_unflushed(open_writer: OpenWriter, tmp_path: Path, home: Path) -> None:
    writer = open_writer("import-1")
    first, second = _sources(tmp_path, 2)
    writer.adopt_file(first, b"{}", dataset_offset=0)
    writer.flush()
    writer.adopt_file(second, b"{}", dataset_offset=0)
    writer._lock.release()
    with SpoolReader(home) as reader:
        assert [whole(obj) for obj in objects(events(reader))] == [first.read_bytes()]
    assert sorted(name.rsplit(".", 1)[1] for name in os.listdir(home / "spool/import-1/incoming")) == [
        "dcm",
        "json",
    ]


def test_a_failed_flush_keeps_nothing(
    open_writer: OpenWriter, tmp_path: Path, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    writer = open_writer("import-1")
    for path in _sources(tmp_path, 6, 1000):
        writer.adopt_file(path, b"{}", dataset_offset=0)

    def fails(_: int) -> bool:
        raise OSError(5, "Input/output error")

    with monkeypatch.context() as patch:
        patch.setattr(adoption_module, "sync_volume", fails)
        with pytest.raises(StorageFailed):
            writer.flush()
    assert os.listdir(home / "spool/import-1/incoming") == []
    assert writer.flush() == 0


def test_a_damaged_sidecar_is_named(open_writer: OpenWriter, reader: SpoolReader, tmp_path: Path) -> None:
    writer = open_writer("import-1")
    for path, sidecar in zip(_sources(tmp_path, 3, 100), (b"{", b"[1]", b" " * (2 << 20)), strict=True):
        writer.adopt_file(path, sidecar, dataset_offset=0)
    writer.flush()
    for obj in objects(events(reader)):
        with pytest.raises(StorageFailed):
            _ = obj.sidecar
