"""SpoolReader.wait: a byte wakes it, from a home of any depth, and nothing about it can fail a commit."""

from __future__ import annotations

import os
import threading
import time
from pathlib import Path

import pytest

from gantry.storage import SpoolReader
from gantry.storage.wake import Bell, Ear

from .conftest import OpenWriter
from .spool_maker import data, events, objects, store


def _waited(reader: SpoolReader, timeout: float) -> float:
    begin = time.monotonic()
    reader.wait(timeout)
    return time.monotonic() - begin


@pytest.mark.parametrize("size", [100, 400_000])
def test_a_commit_wakes(open_writer: OpenWriter, reader: SpoolReader, size: int) -> None:
    writer = open_writer()
    reader.wait(0)
    assert _waited(reader, 0.05) >= 0.05, "nothing has happened"
    thread = threading.Timer(0.05, store, (writer, data(size)))
    thread.start()
    assert _waited(reader, 60) < 30
    thread.join()
    assert len(objects(events(reader))) == 1


def test_a_bell_before_the_wait_counts(open_writer: OpenWriter, reader: SpoolReader) -> None:
    store(open_writer(), b"x")
    assert _waited(reader, 60) < 30
    assert _waited(reader, 0.05) >= 0.05


def test_a_deep_home(tmp_path: Path, open_writer: OpenWriter) -> None:
    deep = tmp_path
    while len(str(deep)) < 3500:
        deep = deep / ("d" * 200)
    with SpoolReader(_made(deep)) as reader:
        writer = open_writer(at=deep)
        reader.wait(0)
        store(writer, data(400_000))
        assert _waited(reader, 60) < 30
        (obj,) = objects(events(reader))
        reader.place(obj, "objects/00/1/2/3.dcm")
        reader.sync()


def _made(path: Path) -> Path:
    path.mkdir(parents=True)
    return path


def test_no_reader_an_old_reader_and_a_strange_file_do_not_matter(open_writer: OpenWriter, home: Path) -> None:
    writer = open_writer()
    store(writer, b"nobody listens")
    with SpoolReader(home):
        store(writer, b"heard")
    store(writer, b"gone again")
    (home / "run/spool.fifo").unlink()
    (home / "run/spool.fifo").write_bytes(b"")
    assert writer._slot is not None
    writer._slot.bell._retry_at = 0.0
    store(writer, b"a file is in the way")
    assert (home / "run/spool.fifo").read_bytes() == b""


def test_a_full_fifo_blocks_nobody(home: Path) -> None:
    ear, bell = Ear(home), Bell(home)
    for _ in range(100_000):
        bell.ring()
    assert ear.wait(0)
    assert not ear.wait(0)
    bell.ring()
    assert ear.wait(1)
    ear.close()
    bell.close()


def test_a_new_reader_is_found_again(home: Path) -> None:
    bell = Bell(home)
    for _ in range(3):
        ear = Ear(home)
        bell._retry_at = 0.0
        bell.ring()
        assert ear.wait(1)
        ear.close()
        os.unlink(home / "run/spool.fifo")
        bell.ring()
    bell.close()
