"""Placing on another volume: whole or not at all, whatever happens between a copy and its name."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from uuid import uuid4

import pytest

from gantry.storage import SpooledObject, SpoolReader, resolve, volume_of
from gantry.storage.errors import PathRefused, PlaceTaken, StorageFailed, StorageFull, VolumeMissing
from gantry.storage.load import Load
from gantry.storage.volumes import MARK, VolumeMark, is_away, link_volume, prepare_volume

from .conftest import OpenWriter
from .spool_maker import as_stored, data, events, objects, store

PLACE = "volumes/7/objects/00/1/2/3.dcm"
MARKS = {7: uuid4()}


@pytest.fixture
def away(home: Path, small_volume: Path) -> Path:
    """Volume 7 of the home: 12 MB of another file system."""
    home.mkdir()
    prepare_volume(small_volume, VolumeMark(7, MARKS[7], uuid4()), home)
    link_volume(home, 7, str(small_volume))
    return small_volume


@pytest.fixture
def reader(home: Path, away: Path) -> Iterator[SpoolReader]:
    with SpoolReader(home) as made:
        made.use_volumes(MARKS)
        yield made


def parts(away: Path) -> list[Path]:
    return [path for path in away.rglob("*") if path.name.endswith(".part")]


@pytest.mark.parametrize("size", [10_000, 700_000])
def test_it_is_there_after_sync(home: Path, open_writer: OpenWriter, reader: SpoolReader, away: Path, size: int) -> None:
    writer = open_writer()
    store(writer, data(size))
    store(writer, data(size, 2))
    first, second = objects(events(reader))
    for obj in (first, first):  # once more is fine
        reader.place(obj, PLACE)
    with pytest.raises(PlaceTaken):
        reader.place(second, PLACE)
    assert size < 100_000 or not os.path.exists(home / PLACE), "a file has no name there before its bytes are durable"
    reader.sync()
    assert (home / PLACE).read_bytes() == as_stored(data(size))
    assert resolve(home, PLACE) == f"{home}/{PLACE}"
    assert volume_of(PLACE) == 7
    assert parts(away) == []
    reader.place(first, PLACE)
    reader.sync()
    with pytest.raises(PlaceTaken):
        reader.place(second, PLACE)


def test_a_batch_that_is_given_up_leaves_nothing(home: Path, open_writer: OpenWriter, reader: SpoolReader, away: Path) -> None:
    store(open_writer(), data(700_000))
    (obj,) = objects(events(reader))
    reader.place(obj, PLACE)
    assert len(parts(away)) == 1
    assert len(objects(events(reader))) == 1, "it is given again"
    assert parts(away) == []
    reader.sync()
    assert not (home / PLACE).exists()


def test_a_full_volume_is_told_and_left_clean(home: Path, open_writer: OpenWriter, reader: SpoolReader, away: Path) -> None:
    writer = open_writer()
    for number in range(2):
        store(writer, data(700_000, number))
    first, second = objects(events(reader))
    reader.place(first, PLACE)
    ballast = away / "ballast"
    state = os.statvfs(away)
    ballast.write_bytes(bytes(state.f_bavail * state.f_frsize - 100_000))
    with pytest.raises(StorageFull):
        reader.place(second, "volumes/7/objects/00/1/2/4.dcm")
    assert len(parts(away)) == 1
    reader.sync()
    assert (home / PLACE).exists()
    assert [path.name for path in away.rglob("*.dcm")] == ["3.dcm"]


def test_a_volume_without_its_mark_is_not_written_to(
    home: Path, open_writer: OpenWriter, reader: SpoolReader, away: Path
) -> None:
    store(open_writer(), data(700_000))
    (obj,) = objects(events(reader))
    mark = (away / MARK).read_bytes()
    (away / MARK).unlink()
    with pytest.raises(VolumeMissing):
        reader.place(obj, PLACE)
    assert is_away(home, PLACE)
    (away / MARK).write_bytes(mark.replace(str(MARKS[7]).encode(), str(uuid4()).encode()))
    with pytest.raises(VolumeMissing):
        reader.place(obj, PLACE)
    assert sorted(path.name for path in away.iterdir()) == [MARK, "objects"]
    with pytest.raises(VolumeMissing):
        reader.place(obj, "volumes/8/objects/00/1/2/3.dcm")
    (away / MARK).write_bytes(mark)
    reader.place(obj, PLACE)
    reader.sync()


def test_a_held_volume_cannot_be_unmounted_and_one_that_went_is_noticed(
    home: Path, open_writer: OpenWriter, reader: SpoolReader, away: Path
) -> None:
    store(open_writer(), data(700_000))
    (obj,) = objects(events(reader))
    reader.place(obj, PLACE)
    assert subprocess.run(["umount", away], capture_output=True, check=False).returncode != 0
    link_volume(home, 7, str(home.parent))  # as after a lazy umount: another folder is in its place
    with pytest.raises((VolumeMissing, StorageFailed)):
        reader.sync()


def test_bytes_that_the_spool_does_not_give_are_not_placed(open_writer: OpenWriter, reader: SpoolReader, away: Path) -> None:
    store(open_writer(), data(700_000))
    (obj,) = objects(events(reader))
    with open(obj.path, "r+b") as file:
        file.seek(-5, os.SEEK_END)
        file.write(b"wrong")
    with pytest.raises(StorageFailed, match="received"):
        reader.place(obj, PLACE)
    assert parts(away) == []


def test_an_orphan_of_another_volume_moves_into_the_spool(
    home: Path, open_writer: OpenWriter, reader: SpoolReader, away: Path
) -> None:
    writer = open_writer()
    store(writer, data(700_000))
    (obj,) = objects(events(reader))
    reader.place(obj, PLACE)
    reader.sync()
    reader.release([obj], {})
    writer.adopt_stored(str(home / PLACE), sha256=obj.sha256, dataset_offset=obj.dataset_offset)
    assert not (home / PLACE).exists()
    found: list[SpooledObject] = objects(events(reader))
    assert [one.digest() for one in found] == [obj.sha256]


_CRASH = """
import os, signal, sys
sys.path[:0] = {paths!r}
from pathlib import Path
from uuid import UUID
from gantry.storage import SpoolReader, placing
from gantry.storage.spooled import SpooledObject
step = {step!r}
real = placing._give_name
def die(part, path):
    if step == "before the name":
        os.kill(os.getpid(), signal.SIGKILL)
    real(part, path)
    os.kill(os.getpid(), signal.SIGKILL)
placing._give_name = die
with SpoolReader(Path({home!r})) as reader:
    reader.use_volumes({{7: UUID({mark!r})}})
    for event in reader.pending({{}}, 10):
        if isinstance(event, SpooledObject):
            reader.place(event, {place!r})
    reader.sync()
"""


@pytest.mark.parametrize("step", ["before the name", "after the name"])
def test_killed_between_copy_and_name(home: Path, open_writer: OpenWriter, away: Path, step: str) -> None:
    writer = open_writer()
    store(writer, data(700_000))
    source = str(Path(__file__).parents[3] / "src")
    code = _CRASH.format(paths=[source], step=step, home=str(home), mark=str(MARKS[7]), place=PLACE)
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == -9, done.stderr
    assert (home / PLACE).exists() == (step == "after the name")
    with SpoolReader(home) as reader:
        reader.use_volumes(MARKS)
        (obj,) = objects(events(reader))
        reader.place(obj, PLACE)
        reader.sync()
    assert (home / PLACE).read_bytes() == as_stored(data(700_000))


@pytest.mark.parametrize(
    "path",
    ["volumes/7/quarantine/x.dcm", "volumes/../objects/x.dcm", "volumes/07/objects/x", "volumes/7", "volumes/7/objects/../x"],
)
def test_paths_that_lead_elsewhere(home: Path, path: str) -> None:
    with pytest.raises(PathRefused):
        resolve(home, path)


def test_receiving_is_seen_in_the_spool(home: Path, open_writer: OpenWriter) -> None:
    home.mkdir()
    assert not Load(home).is_receiving()
    store(open_writer(), b"x" * 1000)
    assert Load(home).is_receiving()
