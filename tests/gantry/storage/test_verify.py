"""verify, adopt_orphan and remove_leftover: both ways, bounded memory, nothing removed that matters."""

from __future__ import annotations

import hashlib
import os
import time
from collections.abc import Sequence
from pathlib import Path

import pytest

from gantry.storage import ExpectedFile, Finding, SpoolReader, adopt_orphan, remove_leftover, verify
from gantry.storage.errors import ObjectMissing, PathRefused, SlotBusy

from .conftest import OpenWriter
from .spool_maker import DIGEST_AT, PREFIX, advance, as_stored, data, events, objects, store


def _put(home: Path, relative: str, content: bytes) -> ExpectedFile:
    path = home / relative
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"head" + content)
    return ExpectedFile(relative, hashlib.sha256(content).digest(), 4, len(content))


def _verify(home: Path, expected: Sequence[ExpectedFile], **options: float) -> list[Finding]:
    paths = {item.path for item in expected}
    return list(
        verify(
            home,
            iter(expected),
            lambda asked: paths & set(asked),
            grace_seconds=options.pop("grace", 0.0),
            **options,
        )
    )


def _kinds(found: list[Finding]) -> dict[str, str]:
    return {finding.path: finding.kind for finding in found}


def test_both_ways(home: Path) -> None:
    good, rotten, short, gone = (_put(home, f"objects/0{n}/1/2/{n}.dcm", data(300_000, n)) for n in range(4))
    held = _put(home, "quarantine/6f.dcm", b"held")
    lost = _put(home, "objects/aa/1/2/9.dcm", b"lost")
    with open(home / rotten.path, "r+b") as file:
        file.seek(200_000)
        file.write(b"\xff\x00\xff")
    os.truncate(home / short.path, 300_003)
    (home / gone.path).unlink()
    escape = ExpectedFile("../../etc/passwd", b"", 0, 0)
    found = _verify(home, [good, rotten, short, gone, held, escape])
    assert _kinds(found) == {
        good.path: "ok", rotten.path: "damaged", short.path: "damaged", gone.path: "missing", held.path: "ok",
        escape.path: "missing", lost.path: "orphan",
    }  # fmt: skip
    assert all(finding.explanation for finding in found if finding.kind != "ok")


def test_more_bytes_behind_the_data_set_do_not_matter_to_its_digest(home: Path) -> None:
    item = _put(home, "objects/00/1/2/3.dcm", b"abc")
    with open(home / item.path, "ab") as file:
        file.write(b"trailing")
    assert _kinds(_verify(home, [item])) == {item.path: "ok"}


def test_files_of_a_batch_in_the_making_are_no_orphans(open_writer: OpenWriter, reader: SpoolReader, home: Path) -> None:
    _put(home, "objects/00/1/2/3.dcm", b"copied a moment ago")
    assert _verify(home, [], grace=60.0) == []
    store(open_writer(), data(400_000))
    (obj,) = objects(events(reader))
    reader.place(obj, "objects/00/1/2/4.dcm")
    assert _kinds(_verify(home, [])) == {"objects/00/1/2/3.dcm": "orphan"}


def test_memory_is_bounded_by_batches(home: Path) -> None:
    for index in range(2500):
        _put(home, f"objects/00/1/2/{index}.dcm", b"x")
    batches: list[int] = []

    def known(paths: Sequence[str]) -> set[str]:
        batches.append(len(paths))
        return set(paths)

    assert list(verify(home, iter(()), known, grace_seconds=0.0)) == []
    assert sum(batches) == 2500
    assert max(batches) <= 1000


def test_a_pace_can_be_set(home: Path) -> None:
    items = [_put(home, f"objects/00/1/2/{index}.dcm", data(100_000, index)) for index in range(20)]
    begin = time.monotonic()
    assert len(_verify(home, items, bytes_per_second=4_000_000.0)) == 20
    assert time.monotonic() - begin > 0.3


def test_leftovers_are_named_and_only_those_of_the_dead_removed(open_writer: OpenWriter, home: Path) -> None:
    writer = open_writer()
    incoming = writer.begin(PREFIX, DIGEST_AT)
    incoming.write(memoryview(data(1_500_000)))
    (part,) = (home / "spool/r0/incoming").iterdir()
    relative = str(part.relative_to(home))
    assert _verify(home, []) == []
    with pytest.raises(SlotBusy):
        remove_leftover(home, relative)
    writer._lock.release()
    (home / "spool/r0/incoming/strange").write_bytes(b"?")
    (home / "spool/r0/incoming/x.dcm.damaged").write_bytes(b"?")
    assert set(_kinds(_verify(home, []))) == {
        relative, "spool/r0/incoming/strange", "spool/r0/incoming/x.dcm.damaged"
    }  # fmt: skip
    remove_leftover(home, relative)
    assert not part.exists()
    remove_leftover(home, relative)


@pytest.mark.parametrize(
    "path",
    ["spool/r0/incoming/a.dcm", "spool/r0/lock", "spool/../secrets/x.part", "spool/r0/../../x.part",
     "spool/r0/incoming/.part", "secrets/key.part", "objects/../x.part", "/etc/x.part"],
)  # fmt: skip
def test_nothing_else_is_removed(home: Path, path: str) -> None:
    (home / "spool/r0/incoming").mkdir(parents=True)
    with pytest.raises(PathRefused):
        remove_leftover(home, path)


def test_an_orphan_goes_back_into_the_spool_and_to_its_place(open_writer: OpenWriter, reader: SpoolReader, home: Path) -> None:
    place = "objects/00/1/2/3.dcm"
    content = as_stored(data(300_000))
    (home / place).parent.mkdir(parents=True)
    (home / place).write_bytes(content)
    writer = open_writer("mend-1")
    adopt_orphan(home, place, writer, dataset_offset=len(PREFIX))
    with pytest.raises(ObjectMissing):
        adopt_orphan(home, place, writer, dataset_offset=len(PREFIX))
    with pytest.raises(PathRefused):
        adopt_orphan(home, "../x", writer, dataset_offset=0)
    assert not (home / place).exists()
    found = events(reader)
    (obj,) = objects(found)
    assert obj.sha256 == hashlib.sha256(data(300_000)).digest()
    reader.place(obj, place)
    reader.sync()
    positions: dict[str, int] = {}
    advance(positions, found)
    reader.release([obj], positions)
    assert (home / place).read_bytes() == content
    assert _verify(home, [ExpectedFile(place, obj.sha256, len(PREFIX), 300_000)])[0].kind == "ok"


def test_an_empty_home(tmp_path: Path) -> None:
    assert _verify(tmp_path / "nothing", []) == []
    with SpoolReader(tmp_path) as reader:
        assert events(reader) == []
