"""kill -9 and torn tails: what was acknowledged is there, whole; nothing half is given for whole."""

from __future__ import annotations

import hashlib
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gantry.storage import RunEnded, SpoolReader, SpoolWriter
from gantry.storage.errors import StorageFailed
from gantry.storage.records import SegmentName

from .conftest import OpenWriter
from .spool_maker import advance, as_stored, data, drain, events, objects, store, whole

_SENDER = """
import os, sys, threading
sys.path[:0] = {paths!r}
from pathlib import Path
from storage.spool_maker import data, store
from gantry.storage import SpoolWriter
writer = SpoolWriter(Path({home!r}), "r0", durability="disk", reserve_bytes=0)
writer.open()
def work(number):
    index = 0
    while True:
        index += 1
        seed = {round} * 10**9 + number * 10**6 + index
        size = (5_000, 90_000, 250_000, 1_300_000)[(index + number) % 4]
        store(writer, data(size, seed))
        os.write(1, b"%d %d\\n" % (size, seed))
for number in range(4):
    threading.Thread(target=work, args=(number,)).start()
"""


def _kill_a_sender(home: Path, number: int, seconds: float) -> list[tuple[int, int]]:
    """Run a writer with four threads, kill it after its first answers; gives what it acknowledged."""
    here = Path(__file__).parent
    paths = [str(here.parents[2] / "src"), str(here.parent)]
    code = _SENDER.format(paths=paths, home=str(home), round=number)
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE) as child:
        assert child.stdout is not None
        first = child.stdout.readline()
        time.sleep(seconds)
        child.send_signal(signal.SIGKILL)
        lines = (first + child.stdout.read()).split(b"\n")[:-1]
    return [(int(size), int(seed)) for size, seed in (line.split() for line in lines)]


@pytest.mark.parametrize("indexer_between", [True, False])
def test_killed_writers_lose_nothing_they_acknowledged(home: Path, indexer_between: bool) -> None:
    acknowledged: list[tuple[int, int]] = []
    placed: set[bytes] = set()
    chance = random.Random(7)
    for number in range(4):
        acknowledged += _kill_a_sender(home, number, chance.uniform(0.0, 0.15))
        if indexer_between:
            placed.update(hashlib.sha256(content).digest() for content in drain(home))
    placed.update(hashlib.sha256(content).digest() for content in drain(home))
    assert len(acknowledged) >= 4
    missing = [pair for pair in acknowledged if hashlib.sha256(as_stored(data(*pair))).digest() not in placed]
    assert missing == []


def _journal(home: Path) -> Path:
    (path,) = [path for path in (home / "spool/r0/journal").iterdir() if path.name.startswith(("active-", "sealed-"))]
    return path


@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(cut=st.integers(0, 3 * 5200), noise=st.binary(min_size=0, max_size=200))
def test_a_torn_tail_ends_the_journal(tmp_path_factory: pytest.TempPathFactory, cut: int, noise: bytes) -> None:
    home = tmp_path_factory.mktemp("torn")
    writer = SpoolWriter(home, "r0", durability="os", reserve_bytes=0)
    writer.open()
    contents = [data(5_000, seed) for seed in range(3)]
    for content in contents:
        store(writer, content)
    with SpoolReader(home) as reader:
        ends = [obj.position[1] for obj in objects(events(reader)) if obj.position]
        path = _journal(home)
        writer._lock.release()
        with open(path, "r+b") as file:  # zeros and noise from `cut` on, as unwritten blocks would be
            file.seek(cut)
            file.write((noise + bytes(4 * 5200))[: 4 * 5200])
    with SpoolReader(home) as reader:
        found = [whole(obj) for obj in objects(events(reader))]
    whole_before_cut = sum(end <= cut for end in ends)
    expected = [as_stored(content) for content in contents]
    assert found[:whole_before_cut] == expected[:whole_before_cut]
    assert all(content in expected for content in found), "nothing that was never written"
    writer.close()


def test_a_hole_does_not_hide_what_comes_behind_it(open_writer: OpenWriter, home: Path) -> None:
    writer = open_writer()
    digests = [store(writer, data(5_000, seed)) for seed in range(5)]
    with SpoolReader(home) as reader:
        second = objects(events(reader))[1].position
    assert second is not None
    writer.close()
    with open(_journal(home), "r+b") as file:  # rot in the second record, in its header and in its bytes
        file.seek(second[1] - 5_200)
        file.write(b"\xff" * 5_100)
    positions: dict[str, int] = {}
    with SpoolReader(home) as reader:
        found = events(reader)
        assert [obj.sha256 for obj in objects(found)] == [digests[0], *digests[2:]]
        advance(positions, found)
        assert reader.release(objects(found), positions) == list(positions)
        assert events(reader, positions) == [RunEnded("r0")]
    names = [path.name for path in (home / "spool/r0/journal").iterdir()]
    assert any(name.startswith("damaged-") for name in names), "a damaged segment is kept for people"


def test_damage_at_the_end_of_a_sealed_segment_is_passed(open_writer: OpenWriter, home: Path) -> None:
    writer = open_writer()
    digests = [store(writer, data(5_000, seed)) for seed in range(2)]
    writer.close()
    path = _journal(home)
    segment = SegmentName.parse(path.name)
    assert segment is not None
    assert segment.end is not None
    with open(path, "r+b") as file:
        file.seek(segment.end - 100)
        file.write(b"\xff" * 50)
    positions: dict[str, int] = {}
    with SpoolReader(home) as reader:
        found = events(reader)
        assert [obj.sha256 for obj in objects(found)] == digests[:1]
        advance(positions, found)
        reader.release(objects(found), positions)
        assert objects(events(reader, positions)) == []
    assert any(path.name.startswith("damaged-") for path in (home / "spool/r0/journal").iterdir())


def test_a_file_torn_by_power_loss_is_never_given(open_writer: OpenWriter, home: Path) -> None:
    writer = open_writer()
    store(writer, data(400_000, 1))
    good = store(writer, data(400_000, 2))
    torn = min((home / "spool/r0/incoming").iterdir())
    with SpoolReader(home) as reader:
        assert len(objects(events(reader))) == 2, "the writer lives: its files are whole by construction"
    writer.close()
    with open(torn, "r+b") as file:
        file.seek(200_000)
        file.write(bytes(4096))
    with SpoolReader(home) as reader:
        assert [obj.sha256 for obj in objects(events(reader))] == [good]
    assert torn.with_name(torn.name + ".damaged").exists()


def test_a_failed_sync_is_not_tried_again(open_writer: OpenWriter, home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    writer = open_writer()
    kept = [store(writer, data(3_000, 1))]
    real, failures = os.fdatasync, [True]

    def broken(descriptor: int) -> None:
        if failures:
            failures.pop()
            raise OSError(5, "Input/output error")
        real(descriptor)

    monkeypatch.setattr(os, "fdatasync", broken)
    with pytest.raises(StorageFailed):
        store(writer, data(3_000, 2))
    kept.append(store(writer, data(3_000, 3)))
    failures.append(True)
    with pytest.raises(StorageFailed):
        store(writer, data(500_000, 4))
    kept.append(store(writer, data(500_000, 5)))
    with SpoolReader(home) as reader:
        assert [obj.sha256 for obj in objects(events(reader))] == kept
    assert len([path for path in (home / "spool/r0/journal").iterdir() if path.name.startswith("sealed-")]) == 1
