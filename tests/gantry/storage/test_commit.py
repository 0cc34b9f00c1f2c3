"""SpoolWriter.begin -> IncomingObject: what commit() returned for is there, byte for byte."""

from __future__ import annotations

import hashlib
import os
import threading
from pathlib import Path
from uuid import uuid4

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gantry.storage import AssociationEnded, RunStarted, SpooledObject, SpoolReader
from gantry.storage import incoming as incoming_module
from gantry.storage.buffers import LARGE_BYTES, BufferPool
from gantry.storage.errors import StorageFailed

from .conftest import OpenWriter
from .spool_maker import DIGEST_AT, PREFIX, as_stored, data, events, objects, store, whole

LIMIT = incoming_module.JOURNAL_LIMIT
SIZES = [
    0, 1, 4096, LIMIT - len(PREFIX), LIMIT - len(PREFIX) + 1, 300_001,
    LARGE_BYTES - len(PREFIX), LARGE_BYTES - len(PREFIX) + 1,
    2 * LARGE_BYTES - len(PREFIX), 2 * LARGE_BYTES - len(PREFIX) + 4097, 5_000_003,
]  # fmt: skip


@pytest.mark.parametrize("durability", ["disk", "os"])
@pytest.mark.parametrize("size", SIZES)
def test_every_size_comes_back(open_writer: OpenWriter, reader: SpoolReader, size: int, durability: str) -> None:
    content = data(size, seed=size)
    digest = store(open_writer(durability=durability), content)
    (obj,) = objects(events(reader))
    assert whole(obj) == as_stored(content)
    assert (obj.sha256, obj.size, obj.dataset_offset) == (digest, len(PREFIX) + size, len(PREFIX))
    assert obj.digest() == digest
    assert obj.kind == ("journal" if size + len(PREFIX) <= LIMIT else "file")
    assert obj.head(200) == as_stored(content)[:200]


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(fragments=st.lists(st.integers(0, 700_000), max_size=6), small_pool=st.booleans())
def test_any_fragments(open_writer: OpenWriter, home: Path, fragments: list[int], small_pool: bool) -> None:
    slot = f"h-{uuid4().hex[:12]}"
    writer = open_writer(slot, "os")
    if small_pool:  # as when hundreds of associations send at once
        assert writer._slot is not None
        object.__setattr__(writer._slot, "pool", BufferPool(large=0))
    pieces = [data(size, seed=index) for index, size in enumerate(fragments)]
    incoming = writer.begin(PREFIX, DIGEST_AT)
    for piece in pieces:
        incoming.write(memoryview(piece))
    content = b"".join(pieces)
    assert bytes(incoming.head[:65_536]) == content[:65_536]
    assert incoming.size == len(content)
    assert incoming.commit() == hashlib.sha256(content).digest()
    with SpoolReader(home) as reader:
        mine = [obj for obj in objects(events(reader)) if obj.slot == slot]
        assert [whole(obj) for obj in mine] == [as_stored(content)]
    writer.close()


def test_head_is_all_until_flushed_then_the_beginning(open_writer: OpenWriter) -> None:
    content = data(3_000_000)
    with open_writer().begin(PREFIX, DIGEST_AT) as incoming:
        incoming.write(memoryview(content)[:900_000])
        assert not incoming.flushed
        assert incoming.head == content[:900_000]
        incoming.write(memoryview(content)[900_000:])
        assert incoming.flushed
        assert incoming.head == content[: incoming_module.HEAD_KEPT]


@pytest.mark.parametrize("size", [10, 400_000, 2_500_000])
def test_abort_leaves_nothing(open_writer: OpenWriter, reader: SpoolReader, home: Path, size: int) -> None:
    writer = open_writer()
    incoming = writer.begin(PREFIX, DIGEST_AT)
    incoming.write(memoryview(data(size)))
    incoming.abort()
    incoming.abort()
    assert objects(events(reader)) == []
    assert os.listdir(home / "spool/r0/incoming") == []
    with pytest.raises(StorageFailed):
        incoming.commit()
    store(writer, b"next")
    assert len(objects(events(reader))) == 1


def test_a_context_that_is_left_aborts(open_writer: OpenWriter, home: Path) -> None:
    with open_writer().begin(PREFIX, DIGEST_AT) as incoming:
        incoming.write(memoryview(data(2_500_000)))
        assert len(os.listdir(home / "spool/r0/incoming")) == 1
    assert os.listdir(home / "spool/r0/incoming") == []


def test_digest_outside_the_prefix_is_refused(open_writer: OpenWriter) -> None:
    with pytest.raises(ValueError, match="inside a prefix"):
        open_writer().begin(b"x" * 70, 7)


@pytest.mark.parametrize("size", [9_000, 260_000])
def test_eight_threads_share_syncs_and_lose_nothing(
    open_writer: OpenWriter, reader: SpoolReader, monkeypatch: pytest.MonkeyPatch, size: int
) -> None:
    syncs = 0
    real = os.fdatasync

    def counted(descriptor: int) -> None:
        nonlocal syncs
        syncs += 1
        real(descriptor)

    monkeypatch.setattr(os, "fdatasync", counted)
    writer = open_writer()
    syncs = 0
    each, done, lock = 40, [], threading.Lock()

    def work(number: int) -> None:
        for index in range(each):
            digest = store(writer, data(size, seed=number * each + index))
            with lock:
                done.append(digest)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(done) == 8 * each
    found = objects(events(reader))
    assert sorted(obj.sha256 for obj in found) == sorted(done)
    assert all(obj.digest() == obj.sha256 for obj in found)
    if size < LIMIT:
        assert 0 < syncs < 8 * each, "some commits must have shared a sync"


def test_nothing_is_synced_with_durability_os(open_writer: OpenWriter, monkeypatch: pytest.MonkeyPatch) -> None:
    writer = open_writer(durability="os")
    calls: list[int] = []
    monkeypatch.setattr(os, "fdatasync", calls.append)
    monkeypatch.setattr(os, "fsync", calls.append)
    store(writer, data(1000))
    store(writer, data(2_000_000))
    assert calls == []


def test_commit_syncs_before_it_returns(open_writer: OpenWriter, monkeypatch: pytest.MonkeyPatch) -> None:
    writer = open_writer()
    calls: list[str] = []
    for name in ("fdatasync", "fsync"):
        real = getattr(os, name)
        monkeypatch.setattr(os, name, lambda fd, name=name, real=real: (calls.append(name), real(fd)))
    store(writer, data(1000))
    assert calls == ["fdatasync"]
    calls.clear()
    store(writer, data(2_000_000))
    assert calls == ["fdatasync", "fsync"], "the file, then its folder"


def test_events_come_after_the_objects_before_them(open_writer: OpenWriter, reader: SpoolReader) -> None:
    writer, first, second = open_writer(), uuid4(), uuid4()
    big = data(400_000)
    store(writer, b"a")
    store(writer, big)
    writer.note_association_end(first)
    store(writer, b"b")
    writer.note_association_end(second)
    found = events(reader)
    kinds = [event.sha256 if isinstance(event, SpooledObject) else type(event).__name__ for event in found]
    sha = [hashlib.sha256(text).digest() for text in (b"a", big, b"b")]
    assert kinds == ["RunStarted", sha[0], sha[1], "AssociationEnded", sha[2], "AssociationEnded"]
    assert isinstance(found[0], RunStarted)
    assert [event.association_id for event in found if isinstance(event, AssociationEnded)] == [first, second]


def test_no_descriptor_is_left_open(home: Path, open_writer: OpenWriter) -> None:
    def run(slot: str) -> None:
        writer = open_writer(slot)
        for size in (10, 400_000, 2_500_000):
            store(writer, data(size))
            writer.begin(PREFIX, DIGEST_AT).abort()
        with SpoolReader(home) as reader:
            for obj in objects(events(reader)):
                obj.digest()
        writer.close()

    run("first")
    before = len(os.listdir("/proc/self/fd"))
    for number in range(5):
        run(f"n{number}")
    assert len(os.listdir("/proc/self/fd")) == before


def test_memory_of_two_hundred_senders_is_bounded(open_writer: OpenWriter) -> None:
    pool = BufferPool()
    taken = [pool.take() for _ in range(200)]
    assert sum(len(buffer.view) for buffer in taken) < 80 << 20
    for buffer in taken:
        pool.give_back(buffer)
    again = [pool.take() for _ in range(200)]
    assert sum(len(buffer.view) for buffer in again) < 80 << 20
