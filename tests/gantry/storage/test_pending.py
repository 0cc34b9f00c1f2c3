"""SpoolReader.pending and release: order, batches, many slots, dead slots, recycled segments."""

from __future__ import annotations

import os
from collections import deque
from pathlib import Path
from uuid import uuid4

import pytest

from gantry.storage import AssociationEnded, RunEnded, RunStarted, SpooledObject, SpoolReader
from gantry.storage import journal as journal_module
from gantry.storage import slot_reader as slot_reader_module

from .conftest import OpenWriter
from .spool_maker import advance, as_stored, data, events, objects, store, whole


@pytest.fixture
def small_segments(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(journal_module, "FIRST_BYTES", 1 << 20)
    monkeypatch.setattr(journal_module, "LATER_BYTES", 1 << 20)


@pytest.fixture
def no_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(slot_reader_module, "_LOOK_AT_WRITER_SECONDS", 0.0)


def _finish(reader: SpoolReader, positions: dict[str, int], limit: int) -> list[SpooledObject]:
    done = []
    while found := reader.pending(positions, limit):
        assert len(found) <= limit
        advance(positions, found)
        reader.release(objects(found), positions)
        done += objects(found)
    return done


@pytest.mark.parametrize("limit", [1, 3, 7, 100])
def test_batches_give_everything_once_in_order(open_writer: OpenWriter, reader: SpoolReader, limit: int) -> None:
    writer = open_writer()
    digests = [store(writer, data((900, 300_000)[index % 3 == 0], index)) for index in range(20)]
    done = _finish(reader, {}, limit)
    assert [obj.sha256 for obj in done] == digests
    assert len({obj.key for obj in done}) == 20


@pytest.mark.parametrize("limit", [1, 2, 5])
def test_an_association_ends_after_its_objects_whatever_the_batch(
    open_writer: OpenWriter, reader: SpoolReader, limit: int
) -> None:
    writer = open_writer()
    expected: list[object] = []
    for index in range(6):
        expected.append(store(writer, data(300_000, index)))
        if index % 2:
            expected.append(store(writer, data(100, index)))
        association = uuid4()
        writer.note_association_end(association)
        expected.append(association)
    seen: list[object] = []
    positions: dict[str, int] = {}
    late = [store]
    while found := reader.pending(positions, limit):
        advance(positions, found)
        reader.release(objects(found), positions)
        for event in found:
            if isinstance(event, SpooledObject):
                seen.append(event.sha256)
            elif isinstance(event, AssociationEnded):
                seen.append(event.association_id)
        if late:  # something begun now comes behind everything that was there
            late.pop()
            expected.append(store(writer, data(300_000, 99)))
    assert seen == expected


def test_what_was_not_released_is_given_again(open_writer: OpenWriter, reader: SpoolReader) -> None:
    writer = open_writer()
    store(writer, data(100))
    store(writer, data(300_000))
    first, second = objects(events(reader)), objects(events(reader))
    assert [obj.key for obj in first] == [obj.key for obj in second]
    assert len(first) == 2


@pytest.mark.parametrize("restart", [True, False])
@pytest.mark.parametrize("limit", [1, 2, 100])
def test_an_end_is_told_again_behind_files_that_are_given_again(
    open_writer: OpenWriter, reader: SpoolReader, home: Path, restart: bool, limit: int
) -> None:
    writer, early, late = open_writer(), uuid4(), uuid4()
    writer.note_association_end(early)
    digests = [store(writer, data(300_000, index)) for index in range(2)]
    writer.note_association_end(late)
    positions: dict[str, int] = {}
    advance(positions, reader.pending(positions, 100))  # its rows are committed; then it dies before the release
    with SpoolReader(home) as second:
        again = second if restart else reader
        seen: list[object] = []
        for _ in range(4):
            for event in again.pending(positions, limit):
                assert isinstance(event, SpooledObject | AssociationEnded)
                assert event.position is None
                seen.append(event.sha256 if isinstance(event, SpooledObject) else event.association_id)
                again.release([event] if isinstance(event, SpooledObject) else [], positions)
        assert seen == [*digests, late]
        assert again.pending(positions, 100) == []


def test_recycled_segments_never_resurrect_old_records(
    open_writer: OpenWriter, reader: SpoolReader, home: Path, small_segments: None
) -> None:
    writer = open_writer()
    positions: dict[str, int] = {}
    given: list[bytes] = []
    expected: list[bytes] = []
    sizes: set[int] = set()
    for index in range(150):
        expected.append(store(writer, data(60_000, index)))
        if index % 10 == 9:
            given += [obj.sha256 for obj in _finish(reader, positions, 4)]
            sizes.add(len(os.listdir(home / "spool/r0/journal")))
    assert given == expected
    assert max(sizes) <= 5, "free segments are used again and only a few are kept"
    writer.close()
    third = open_writer()
    assert objects(events(reader, positions)) == []
    expected = [store(third, data(60_000, 1000))]
    with SpoolReader(home) as fresh:  # without any position: a lost database
        found = objects(events(fresh))
        assert [obj.sha256 for obj in found][-1:] == expected
        assert all(whole(obj) for obj in found)


def test_a_segment_is_recycled_only_when_sealed_and_read(
    open_writer: OpenWriter, reader: SpoolReader, home: Path, small_segments: None
) -> None:
    writer = open_writer()
    for index in range(20):
        store(writer, data(60_000, index))
    sealed = [name for name in os.listdir(home / "spool/r0/journal") if name.startswith("sealed-")]
    assert sealed
    positions: dict[str, int] = {}
    found = reader.pending(positions, 5)
    advance(positions, found)
    assert reader.release(objects(found), positions) == []
    assert set(sealed) <= set(os.listdir(home / "spool/r0/journal"))
    _finish(reader, positions, 5)
    assert not set(sealed) & set(os.listdir(home / "spool/r0/journal"))
    assert len(reader.segments()) == 1


def test_a_batch_is_bounded_in_bytes(open_writer: OpenWriter, reader: SpoolReader, monkeypatch: pytest.MonkeyPatch) -> None:
    from gantry.storage import spool_reader as spool_reader_module

    monkeypatch.setattr(spool_reader_module, "_BATCH_BYTES", 200_000)
    writer = open_writer(durability="os")
    for index in range(30):
        store(writer, data(50_000, index))
    first = objects(events(reader))
    assert 4 <= len(first) <= 6
    assert len(_finish(reader, {}, 1000)) == 30


def test_several_slots_take_turns(open_writer: OpenWriter, reader: SpoolReader) -> None:
    for slot in ("r0", "r1", "r2"):
        writer = open_writer(slot)
        for index in range(20):
            store(writer, data(100, index))
    first_of = {reader.pending({}, 5)[1].slot for _ in range(3)}
    assert first_of == {"r0", "r1", "r2"}
    assert len(_finish(reader, {}, 7)) == 60


def test_a_dead_import_is_read_and_removed(open_writer: OpenWriter, reader: SpoolReader, home: Path, no_waiting: None) -> None:
    writer = open_writer("import-0a")
    store(writer, data(100))
    store(writer, data(300_000))
    writer._lock.release()  # as the death of its process would
    positions: dict[str, int] = {}
    assert len(_finish(reader, positions, 10)) == 2
    assert reader.pending(positions, 10) == []
    assert not (home / "spool/import-0a").exists()


def test_the_end_of_a_dead_receiver_is_told_once(
    open_writer: OpenWriter, reader: SpoolReader, home: Path, no_waiting: None
) -> None:
    positions: dict[str, int] = {}
    ended = 0
    for _ in range(2):
        writer = open_writer("r1")
        store(writer, data(100))
        assert not any(isinstance(event, RunEnded) for event in events(reader, positions))
        writer._lock.release()
        for _ in range(5):
            found = events(reader, positions)
            ended += sum(isinstance(event, RunEnded) for event in found)
            advance(positions, found)
            reader.release(objects(found), positions)
    assert ended == 2
    assert (home / "spool/r1").exists(), "the slot of a receiver is kept for its return"


def test_an_active_segment_of_a_dead_writer_is_sealed(open_writer: OpenWriter, home: Path, no_waiting: None) -> None:
    writer = open_writer()
    digest = store(writer, data(100))
    writer._lock.release()
    with SpoolReader(home) as reader:
        assert [obj.sha256 for obj in objects(events(reader))] == [digest]
    assert [name[:6] for name in os.listdir(home / "spool/r0/journal")] == ["sealed"]


def test_a_run_is_told_before_its_objects(open_writer: OpenWriter, reader: SpoolReader) -> None:
    for index in range(3):
        writer = open_writer()
        store(writer, data(300_000, index))
        store(writer, data(100, index))
        writer.close()
    found = deque(events(reader, limit=100))
    kinds = ["run" if isinstance(event, RunStarted) else "object" for event in found if not isinstance(event, RunEnded)]
    assert kinds == ["run", "object", "object"] * 3
    assert len({event.run_id for event in found if isinstance(event, RunStarted)}) == 3


def test_files_that_are_not_ours_are_left_alone(open_writer: OpenWriter, reader: SpoolReader, home: Path) -> None:
    writer = open_writer()
    (home / "spool/.hidden").mkdir()
    (home / "spool/r0/incoming/note.dcm").write_bytes(b"x")
    (home / "spool/r0/journal/active-1.seg").write_bytes(b"x")
    content = data(500)
    store(writer, content)
    assert [whole(obj) for obj in objects(events(reader))] == [as_stored(content)]
