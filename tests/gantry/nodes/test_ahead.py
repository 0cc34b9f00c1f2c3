"""Reading ahead: the order, the digests, what is damaged, what is dropped, and that the second thread ends."""

from __future__ import annotations

import hashlib
import os
import threading
import time
from contextlib import closing
from pathlib import Path

import pytest

from gantry.nodes import ahead
from gantry.nodes.ahead import AHEAD_FROM, Prepared, ReadAhead
from gantry.nodes.items import SendItem
from gantry.nodes.stored import READ_UP_TO, Damaged

SIZES = (10, AHEAD_FROM, AHEAD_FROM - 1, READ_UP_TO, 3, READ_UP_TO + 5, 2 * READ_UP_TO, AHEAD_FROM + 1, 1, AHEAD_FROM + 7)


def items(folder: Path, sizes: tuple[int, ...] = SIZES) -> tuple[list[SendItem], list[bytes]]:
    made, contents = [], []
    for number, size in enumerate(sizes):
        content = os.urandom(size)
        path = folder / f"{number}.dcm"
        path.write_bytes(b"head" + content)
        made.append(SendItem(number, str(path), 4, size, hashlib.sha256(content).digest(), "1.2", f"1.2.{number}", "1.2.840"))
        contents.append(content)
    return made, contents


def gone() -> bool:
    """True once no second thread is left."""
    until = time.monotonic() + 20
    while time.monotonic() < until:
        if not any(thread.name == "read-ahead" for thread in threading.enumerate()):
            return True
        time.sleep(0.01)
    return False


def test_all_come_in_order_whatever_their_size(tmp_path: Path) -> None:
    made, contents = items(tmp_path)
    with closing(ReadAhead(made)) as reading:
        for number, prepared in enumerate(reading):
            with prepared.open() as data:
                assert bytes(data.view) == contents[number]
                assert data.sha256 == made[number].sha256
    assert number == len(made) - 1
    assert gone()


@pytest.mark.parametrize("size", [100, AHEAD_FROM, 2 * READ_UP_TO])
def test_damaged_ones_raise_in_their_turn_and_the_others_come(tmp_path: Path, size: int) -> None:
    made, contents = items(tmp_path, (size,) * 5)
    Path(made[1].path).write_bytes(b"head" + bytes(size))
    Path(made[2].path).write_bytes(b"head" + contents[2][:-1])
    Path(made[4].path).unlink()
    reasons: dict[int, str] = {}
    with closing(ReadAhead(made)) as reading:
        for prepared in reading:
            try:
                with prepared.open() as data:
                    assert bytes(data.view) == contents[prepared.item.key]
            except Damaged as error:
                reasons[prepared.item.key] = str(error)
    assert sorted(reasons) == [1, 2, 4]
    assert "SHA-256 differs" in reasons[1]
    assert "too short" in reasons[2]
    assert "cannot be read" in reasons[4]


def test_without_verify_no_digest_is_made(tmp_path: Path) -> None:
    made, _ = items(tmp_path, (AHEAD_FROM, 10, 2 * READ_UP_TO))
    for item in made:
        Path(item.path).write_bytes(b"head" + bytes(item.dataset_bytes))
    with closing(ReadAhead(made, verify=False)) as reading:
        for prepared in reading:
            with prepared.open() as data:
                assert not any(data.view)
                assert data.sha256 == b""


def test_those_left_alone_do_not_spoil_the_next(tmp_path: Path) -> None:
    made, contents = items(tmp_path, (AHEAD_FROM, 50, AHEAD_FROM, 60) * 20)
    opened = 0
    with closing(ReadAhead(made)) as reading:
        for prepared in reading:
            if prepared.item.key % 3:
                continue
            with prepared.open() as data:
                opened += 1
                assert bytes(data.view) == contents[prepared.item.key]
    assert opened == 27
    assert gone()


def test_closed_in_the_middle_nothing_is_left(tmp_path: Path) -> None:
    made, _ = items(tmp_path, (2 * READ_UP_TO,) * 6)
    before = len(os.listdir("/proc/self/fd"))
    with closing(ReadAhead(made)) as reading:
        for prepared in reading:
            with prepared.open():
                break
    assert gone()
    with open("/proc/self/maps") as maps:
        assert str(tmp_path) not in maps.read()
    assert len(os.listdir("/proc/self/fd")) == before


def test_no_more_is_ahead_than_is_allowed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ahead, "AHEAD_BYTES", 5 * AHEAD_FROM)
    original = Prepared.promise
    for size, most in ((AHEAD_FROM, ahead.AHEAD_ITEMS + 1), (2 * AHEAD_FROM, 2), (8 * AHEAD_FROM, 2)):
        asked: list[int] = []
        made, _ = items(tmp_path, (size,) * 8)

        def promise(self: Prepared, asked: list[int] = asked) -> None:
            asked.append(self.item.key)
            original(self)

        with monkeypatch.context() as patch, closing(ReadAhead(made)) as reading:
            patch.setattr(Prepared, "promise", promise)
            for turn, prepared in enumerate(reading):
                with prepared.open():
                    assert len(asked) <= turn + most
        assert asked == list(range(8))
    assert gone()


def test_one_alone_needs_no_thread(tmp_path: Path) -> None:
    made, contents = items(tmp_path, (READ_UP_TO,))
    with closing(ReadAhead(made)) as reading:
        for prepared in reading:
            with prepared.open() as data:
                assert bytes(data.view) == contents[0]
                assert not any(thread.name == "read-ahead" for thread in threading.enumerate())
    assert list(ReadAhead([])) == []
