"""SpoolWriter.open: one writer per slot, tidying up after a dead one, names that need no clock."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest

from gantry.storage import SpoolReader, SpoolWriter
from gantry.storage import spool_writer as spool_writer_module
from gantry.storage.errors import PathRefused, SlotBusy, StorageFailed
from gantry.storage.layout import slot_paths
from gantry.storage.sealing import remove_slot
from gantry.storage.slots import SlotLock

from .conftest import OpenWriter
from .spool_maker import DIGEST_AT, PREFIX, data, events, objects, store


def test_two_writers_never_share_a_slot(open_writer: OpenWriter, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(spool_writer_module, "_PATIENCE_SECONDS", 0.1)
    first = open_writer()
    with pytest.raises(SlotBusy):
        open_writer()
    with pytest.raises(SlotBusy):
        first.open()
    with pytest.raises(SlotBusy):
        open_writer()
    store(first, b"still fine")
    first.close()
    store(open_writer(), b"free again")


def test_a_lock_on_a_removed_slot_guards_nothing(home: Path) -> None:
    paths = slot_paths(home, "import-1")
    old = SlotLock(paths)
    assert old.take()
    assert remove_slot(paths)
    new = SlotLock(paths)
    assert new.take()
    assert not SlotLock(paths).take()
    old.release()
    assert not SlotLock(paths).take()
    new.release()


def test_two_homes_are_independent(open_writer: OpenWriter, tmp_path: Path) -> None:
    one, two = open_writer(at=tmp_path / "a"), open_writer(at=tmp_path / "b")
    store(one, b"1")
    store(two, b"22")
    for name, size in (("a", 1), ("b", 2)):
        with SpoolReader(tmp_path / name) as reader:
            assert [obj.size - obj.dataset_offset for obj in objects(events(reader))] == [size]


@pytest.mark.parametrize("slot", ["", "..", "../x", "a/b", "A", "r0\0", "-r", "r" * 65, "r\n"])
def test_slot_names_are_checked(home: Path, slot: str) -> None:
    with pytest.raises(PathRefused):
        SpoolWriter(home, slot, durability="disk", reserve_bytes=0)


def test_modes_are_private(open_writer: OpenWriter, home: Path) -> None:
    writer = open_writer()
    store(writer, data(400_000))
    for folder, _, files in os.walk(home):
        assert os.stat(folder).st_mode & 0o077 == 0, folder
        for name in files:
            assert os.stat(f"{folder}/{name}").st_mode & 0o177 == 0, name


def test_order_holds_when_the_clock_runs_backwards(
    open_writer: OpenWriter, reader: SpoolReader, monkeypatch: pytest.MonkeyPatch
) -> None:
    expected = []
    for seconds in (2e9, 0.0, -5.0, 1e9):
        monkeypatch.setattr(time, "time", lambda seconds=seconds: seconds)
        writer = open_writer()
        for size in (5, 200_000, 7):
            expected.append(store(writer, data(size, seed=len(expected))))
        writer.close()
    assert [obj.sha256 for obj in objects(events(reader))] == expected


def test_half_written_files_of_a_dead_run_go(open_writer: OpenWriter, home: Path, reader: SpoolReader) -> None:
    writer = open_writer()
    kept = store(writer, data(400_000))
    incoming = writer.begin(PREFIX, DIGEST_AT)
    incoming.write(memoryview(data(1_500_000)))
    assert writer._slot is not None
    writer._lock.release()  # as the death of the process would
    (home / "spool/r0/journal/new-0123.part").write_bytes(b"x")
    (home / "spool/r0/incoming/00000001-000000000009-1-00.json").write_bytes(b"{}")
    open_writer()
    assert [name for _, _, files in os.walk(home / "spool") for name in files if name.endswith((".part", ".json"))] == []
    assert [obj.sha256 for obj in objects(events(reader))] == [kept]


def test_a_closed_writer_says_so(open_writer: OpenWriter) -> None:
    writer = open_writer()
    incoming = writer.begin(PREFIX, DIGEST_AT)
    incoming.write(memoryview(b"late"))
    writer.close()
    writer.close()
    with pytest.raises(StorageFailed):
        incoming.commit()
    with pytest.raises(StorageFailed):
        writer.begin(PREFIX, DIGEST_AT)


def test_the_first_start_writes_little(open_writer: OpenWriter, home: Path) -> None:
    open_writer()
    assert sum(path.stat().st_size for path in (home / "spool/r0/journal").iterdir()) <= 16 << 20
