"""SpoolReader.place, sync and move_to_quarantine: idempotent, never over another file or out of home."""

from __future__ import annotations

import os
from pathlib import Path
from uuid import uuid4

import pytest

from gantry.storage import SpooledObject, SpoolReader, open_object
from gantry.storage import placing as placing_module
from gantry.storage.errors import ObjectMissing, PathRefused, PlaceTaken, StorageFailed

from .conftest import OpenWriter
from .spool_maker import PREFIX, advance, as_stored, data, events, objects, store

PLACE = "objects/ab/1.2/3.4/5.6.dcm"
SIZES = [1000, 400_000]


def _one(open_writer: OpenWriter, reader: SpoolReader, size: int) -> SpooledObject:
    store(open_writer(), data(size))
    return objects(events(reader))[-1]


@pytest.mark.parametrize("size", SIZES)
def test_placed_bytes_are_the_stored_bytes(open_writer: OpenWriter, reader: SpoolReader, home: Path, size: int) -> None:
    obj = _one(open_writer, reader, size)
    for _ in range(3):
        reader.place(obj, PLACE)
    reader.sync()
    assert (home / PLACE).read_bytes() == as_stored(data(size))
    positions: dict[str, int] = {}
    advance(positions, events(reader))
    reader.release([obj], positions)
    reader.release([obj], positions)
    assert (home / PLACE).read_bytes() == as_stored(data(size))
    assert events(reader, positions) == []
    assert (home / PLACE).stat().st_nlink == 1


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("other", [b"", b"other", None])
def test_another_file_is_never_replaced(
    open_writer: OpenWriter, reader: SpoolReader, home: Path, size: int, other: bytes | None
) -> None:
    obj = _one(open_writer, reader, size)
    content = other if other is not None else as_stored(data(size, seed=5))
    (home / PLACE).parent.mkdir(parents=True)
    (home / PLACE).write_bytes(content)
    if content or size > 300_000:
        with pytest.raises(PlaceTaken):
            reader.place(obj, PLACE)
        assert (home / PLACE).read_bytes() == content


@pytest.mark.parametrize("left", [0, 100, len(PREFIX), len(PREFIX) + 400])
@pytest.mark.parametrize("zeros", [0, 600])
def test_a_torn_copy_of_the_same_is_replaced(
    open_writer: OpenWriter, reader: SpoolReader, home: Path, left: int, zeros: int
) -> None:
    obj = _one(open_writer, reader, 1000)
    right = as_stored(data(1000))
    torn = right[:left] if left != 100 else bytes(100)
    (home / PLACE).parent.mkdir(parents=True)
    (home / PLACE).write_bytes(torn + (bytes(zeros) if left in {0, len(PREFIX) + 400} else b""))
    if left == 100:
        (home / PLACE).write_bytes(torn)
    reader.place(obj, PLACE)
    reader.sync()
    assert (home / PLACE).read_bytes() == right
    assert os.listdir((home / PLACE).parent) == ["5.6.dcm"]


@pytest.mark.parametrize(
    "relative",
    [
        "", "objects", "/etc/passwd", "objects/../x", "../objects/x", "objects/./x", "objects//x",
        "objects/a/", "secrets/x", "objects/a\0b", "objects/a\nb", "objects/.x", "objects/" + "a" * 129, "objects/\u0661",
        "spool/r0/lock", "objects/a\\b/c d",
    ],
)  # fmt: skip
def test_no_path_leaves_the_objects(open_writer: OpenWriter, reader: SpoolReader, home: Path, relative: str) -> None:
    obj = _one(open_writer, reader, 100)
    before = sorted(str(path) for path in home.rglob("*"))
    with pytest.raises(PathRefused):
        reader.place(obj, relative)
    with pytest.raises(PathRefused):
        open_object(home, relative, dataset_offset=0)
    assert sorted(str(path) for path in home.rglob("*")) == before


@pytest.mark.parametrize("size", SIZES)
def test_quarantine(open_writer: OpenWriter, reader: SpoolReader, home: Path, size: int) -> None:
    obj, identifier = _one(open_writer, reader, size), uuid4()
    relative = reader.move_to_quarantine(obj, identifier)
    assert relative == f"quarantine/{identifier}.dcm"
    reader.sync()
    assert (home / relative).read_bytes() == as_stored(data(size))
    assert (home / relative).stat().st_mode & 0o177 == 0


def test_an_object_that_left_the_spool_is_missing(open_writer: OpenWriter, reader: SpoolReader) -> None:
    obj = _one(open_writer, reader, 400_000)
    reader.release([obj], {})
    with pytest.raises(ObjectMissing):
        reader.place(obj, PLACE)
    with pytest.raises(ObjectMissing):
        obj.head(10)
    with pytest.raises(ObjectMissing):
        obj.digest()


@pytest.mark.parametrize("count", [1, 12])
def test_after_a_failed_sync_copies_are_written_anew(
    open_writer: OpenWriter, reader: SpoolReader, home: Path, monkeypatch: pytest.MonkeyPatch, count: int
) -> None:
    writer = open_writer()
    for index in range(count):
        store(writer, data(1000, index))
    found = objects(events(reader))

    def fails(*_: object, **__: object) -> bool:
        raise OSError(5, "Input/output error")

    with monkeypatch.context() as patch:
        patch.setattr(placing_module, "sync_volume", fails)
        patch.setattr(placing_module, "sync_path", fails)
        for index, obj in enumerate(found):
            reader.place(obj, f"objects/00/1/2/{index}.dcm")
        with pytest.raises(StorageFailed):
            reader.sync()
    assert list((home / "objects").rglob("*.dcm")) == []
    for index, obj in enumerate(found):
        reader.place(obj, f"objects/00/1/2/{index}.dcm")
    reader.sync()
    for index in range(count):
        assert (home / f"objects/00/1/2/{index}.dcm").read_bytes() == as_stored(data(1000, index))


def test_a_file_that_was_there_is_rewritten_after_a_failed_sync(
    open_writer: OpenWriter, reader: SpoolReader, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    obj = _one(open_writer, reader, 1000)
    reader.place(obj, PLACE)
    reader.sync()
    before = (home / PLACE).stat().st_ino
    reader.place(obj, PLACE)
    with monkeypatch.context() as patch:

        def fails(*_: object, **__: object) -> bool:
            raise OSError(5, "Input/output error")

        patch.setattr(placing_module, "sync_path", fails)
        with pytest.raises(StorageFailed):
            reader.sync()
    assert (home / PLACE).exists(), "rows may name it already"
    reader.place(obj, PLACE)
    reader.sync()
    assert (home / PLACE).stat().st_ino != before
    assert (home / PLACE).read_bytes() == as_stored(data(1000))
