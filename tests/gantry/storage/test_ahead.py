"""Writes in flight: what reaches the file, and what is told when the kernel or the volume says no."""

from __future__ import annotations

import errno
import mmap
import os
import random
from pathlib import Path

import pytest

from gantry.storage import ahead as module
from gantry.storage.ahead import DEPTH, Ahead, Piece
from gantry.storage.spool_file import Folder, SpoolFile

_SIZE = 1 << 20


def _memory() -> memoryview:
    memory = memoryview(mmap.mmap(-1, _SIZE))
    memory[:] = random.Random(5).randbytes(_SIZE)
    return memory


@pytest.fixture
def folder(tmp_path: Path) -> Folder:
    return Folder(os.open(tmp_path, os.O_RDONLY | os.O_DIRECTORY), durable=True)


def test_pieces_reach_their_place(folder: Folder, tmp_path: Path) -> None:
    memory = _memory()
    ahead = Ahead(memory)
    file = SpoolFile(folder, "a.part", large=True)
    for start in range(0, _SIZE, _SIZE // 4):
        piece = Piece(start, start + _SIZE // 4, start)
        if not file.start(ahead, piece):
            file.write(memory, piece.start, piece.end, piece.offset)
    file.finish(ahead, memory)
    file.publish("a", _SIZE - 3)
    assert (tmp_path / "a").read_bytes() == bytes(memory[: _SIZE - 3])
    assert ahead.finish() == []


def test_no_more_than_its_depth_is_in_flight(folder: Folder) -> None:
    memory = _memory()
    ahead = Ahead(memory)
    file = SpoolFile(folder, "a.part", large=True)
    if not file.start(ahead, Piece(0, 4096, 0)):
        pytest.skip("no asynchronous I/O on this volume")
    started = sum(file.start(ahead, Piece(at * 4096, (at + 1) * 4096, at * 4096)) for at in range(1, 3 * DEPTH))
    assert started == DEPTH - 1
    file.finish(ahead, memory)
    assert file.start(ahead, Piece(0, 4096, 0))
    file.finish(ahead, memory)
    file.discard()


def test_what_failed_is_given_back() -> None:
    """A descriptor that cannot be written: the write itself fails, not the asking."""
    memory = _memory()
    ahead = Ahead(memory)
    reading = os.open("/proc/self/exe", os.O_RDONLY)
    try:
        piece = Piece(0, 4096, 0)
        # Refused at once or failed later: in both cases the caller knows that he has to write.
        assert not ahead.start(reading, piece) or ahead.finish() == [piece]
    finally:
        os.close(reading)


def test_a_failed_piece_is_written_again_and_says_why(folder: Folder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    memory = _memory()
    ahead = Ahead(memory)
    file = SpoolFile(folder, "a.part", large=True)
    monkeypatch.setattr(Ahead, "finish", lambda _: [Piece(4096, 12288, 4096)])
    file.finish(ahead, memory)
    assert (tmp_path / "a.part").read_bytes()[4096:12288] == bytes(memory[4096:12288])

    def full(*_: object) -> int:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "pwrite", full)
    with pytest.raises(OSError, match="No space left"):
        file.finish(ahead, memory)


def test_without_asynchronous_io_everything_is_written_by_the_caller(folder: Folder, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_AVAILABLE", False)
    ahead = Ahead(_memory())
    file = SpoolFile(folder, "a.part", large=True)
    assert not file.start(ahead, Piece(0, 4096, 0))
    assert ahead.finish() == []
    file.discard()
