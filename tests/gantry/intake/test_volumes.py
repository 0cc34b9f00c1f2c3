"""Several volumes: the next one when one is full, named when missing, never written into an empty mount point."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from uuid import uuid4

import psycopg
import pytest
from tests.gantry.intake.conftest import Spool, spooled_files
from tests.support import part10_files as files

from gantry import audit
from gantry.catalogue.locate import every_location
from gantry.intake import volumes
from gantry.intake.errors import BadVolume
from gantry.intake.indexer import Indexer
from gantry.intake.reconcile import expected_files, known_paths
from gantry.storage import Finding, is_away, open_object, resolve, verify
from gantry.storage.errors import StorageFull, VolumeRefused

BY = audit.By("test", "cli")
MB = 1 << 20


@pytest.fixture
def home(tmp_path: Path) -> Path:
    path = tmp_path / "home"
    path.mkdir(mode=0o700)
    (path / "home.json").write_text(json.dumps({"id": str(uuid4()), "layout": 1}))
    return path


@pytest.fixture
def mounted(tmp_path: Path) -> Iterator[Callable[[str, str], Path]]:
    """mounted(name, size) gives a tmpfs of its own."""
    places: list[Path] = []
    if os.geteuid() != 0:
        pytest.skip("mounting a volume needs root")

    def mount(name: str, size: str = "4m") -> Path:
        place = tmp_path / name
        place.mkdir(exist_ok=True)
        done = subprocess.run(
            ["mount", "-t", "tmpfs", "-o", f"size={size}", "gantry-test", place], capture_output=True, check=False
        )
        if done.returncode != 0:
            pytest.skip(f"this machine mounts nothing: {done.stderr.decode().strip()}")
        places.append(place)
        return place

    yield mount
    for place in places:
        subprocess.run(["umount", "-l", place], check=False, capture_output=True)


def findings(home: Path, connection: psycopg.Connection) -> list[Finding]:
    known = volumes.of_home(connection, home)
    found = verify(
        home, expected_files(connection, known), lambda paths: known_paths(connection, paths), grace_seconds=0,
        roots=known.roots, absent=[one.id for one in known.absent],
    )  # fmt: skip
    return [one for one in found if one.kind != "ok"]


def whole(home: Path, connection: psycopg.Connection) -> int:
    """Every version, read through the one way there is, has its digest; gives their number."""
    places = list(every_location(connection))
    for place in places:
        with open_object(home, place.file_path, dataset_offset=place.dataset_offset, dataset_bytes=place.dataset_bytes) as there:
            assert there.digest() == bytes(place.sha256)
        data = Path(f"{home}/{place.file_path}").read_bytes()[place.dataset_offset :]
        assert hashlib.sha256(data).digest() == bytes(place.sha256), "the plain path below the home works, too"
    return len(places)


def send(spool: Spool, numbers: range, side: int = 16) -> None:
    for number in numbers:
        spool.send(files.ct_dataset(number=number, side=side))


def where(connection: psycopg.Connection) -> dict[int | None, int]:
    rows = connection.execute("SELECT volume_id, count(*) FROM catalogue_version GROUP BY volume_id").fetchall()
    return dict(rows)


def test_full_volumes_are_left_for_the_next(
    home: Path, connection: psycopg.Connection, make_indexer: Callable[..., Indexer], mounted: Callable[..., Path]
) -> None:
    """Home readonly, two small volumes: objects of both kinds go to the first, then to the second; at last nothing is lost."""
    one = volumes.add_volume(connection, home, "one", mounted("one", "3m"), by=BY)
    two = volumes.add_volume(connection, home, "two", mounted("two", "12m"), by=BY)
    volumes.set_volume(connection, home, "home", volumes.Changes(wanted="readonly"), by=BY)
    spool = Spool(home)
    send(spool, range(1, 31))  # journal records
    send(spool, range(31, 37), side=500)  # half a megabyte each: files of the spool
    send(spool, range(37, 40), side=800)
    make_indexer(batch=5).drain()
    assert spooled_files(home) == []
    assert set(where(connection)) == {one.id, two.id}
    assert sum(where(connection).values()) == 39
    assert whole(home, connection) == 39
    assert findings(home, connection) == []
    assert not list((home / "objects").rglob("*.dcm"))
    levels = {level.volume.name: level for level in volumes.levels(connection, home)}
    assert levels["two"].state == "writing"
    sizes = dict(connection.execute("SELECT volume_id, sum(file_bytes) FROM catalogue_version GROUP BY 1").fetchall())
    assert {level.volume.id: level.volume.used_bytes for level in levels.values() if not level.volume.is_home} == sizes
    # Now the second is full as well: what was acknowledged waits in the spool, and goes on when there is space.
    ballast = tmp_full(Path(two.path))
    tmp_full(Path(one.path))
    send(spool, range(40, 43), side=800)
    with pytest.raises(StorageFull, match="no volume"):
        make_indexer().drain()
    assert len(spooled_files(home)) == 3
    ballast.unlink()
    make_indexer().drain()
    assert whole(home, connection) == 42
    assert not [name for name in map(str, Path(two.path).rglob("*")) if name.endswith(".part")]
    spool.close()


def tmp_full(place: Path) -> Path:
    ballast = place / "ballast"
    state = os.statvfs(place)
    ballast.write_bytes(bytes(state.f_bavail * state.f_frsize))
    return ballast


def test_a_quota_sends_to_the_next_and_the_home_yields(
    home: Path, connection: psycopg.Connection, make_indexer: Callable[..., Indexer], tmp_path: Path
) -> None:
    (tmp_path / "next").mkdir()
    volumes.set_volume(connection, home, "home", volumes.Changes(quota_bytes=2 * MB), by=BY)
    extra = volumes.add_volume(connection, home, "next", tmp_path / "next", quota_bytes=2 * MB, by=BY)
    spool = Spool(home)
    send(spool, range(1, 13), side=500)
    make_indexer(batch=4).drain()
    spool.close()
    counts = where(connection)
    assert counts[None] >= 4
    assert counts[extra.id] >= 4, "the second one, until its quota"
    assert whole(home, connection) == 12, "and at last the home again, which has the bytes already"
    assert {one.state for one in volumes.levels(connection, home)} == {"full"}


def test_a_volume_that_is_not_mounted_is_named_and_not_written_to(
    home: Path, connection: psycopg.Connection, make_indexer: Callable[..., Indexer], mounted: Callable[..., Path]
) -> None:
    place = mounted("away", "8m")
    away = volumes.add_volume(connection, home, "away", place, by=BY)
    volumes.set_volume(connection, home, "home", volumes.Changes(position=5), by=BY)
    spool = Spool(home)
    send(spool, range(1, 4), side=500)
    make_indexer().drain()
    assert where(connection) == {away.id: 3}
    subprocess.run(["umount", place], check=True)
    levels = {one.volume.name: one for one in volumes.levels(connection, home)}
    assert levels["away"].state == "missing"
    assert str(place) in levels["away"].note
    send(spool, range(4, 7), side=500)
    spool.send(files.ct_dataset(number=1, side=500))  # known, and its file is away: not lost, so not put back
    make_indexer().drain()
    assert where(connection) == {away.id: 3, None: 3}
    assert os.listdir(place) == [], "nothing is written into the empty mount point"
    (found,) = findings(home, connection)
    assert (found.kind, found.path) == ("missing", f"volumes/{away.id}")
    assert "3 files" in found.explanation
    path = connection.execute("SELECT file_path FROM catalogue_version WHERE volume_id = %s LIMIT 1", [away.id]).fetchone()
    assert path is not None
    assert is_away(home, path[0])
    spool.close()


def test_an_indexer_that_holds_a_volume_finds_it_gone(
    home: Path, connection: psycopg.Connection, make_indexer: Callable[..., Indexer], mounted: Callable[..., Path]
) -> None:
    """The table was read a moment ago and says writing; the volume is unmounted since."""
    place = mounted("away", "8m")
    volumes.add_volume(connection, home, "away", place, by=BY)
    volumes.set_volume(connection, home, "home", volumes.Changes(position=5), by=BY)
    spool = Spool(home)
    indexer = make_indexer()
    send(spool, range(1, 3))
    indexer.drain()
    subprocess.run(["umount", place], check=True)
    send(spool, range(3, 5))
    indexer.drain()
    spool.close()
    assert os.listdir(place) == []
    assert where(connection)[None] == 2


def test_what_cannot_become_a_volume(home: Path, connection: psycopg.Connection, tmp_path: Path) -> None:
    inside = home / "spool"
    inside.mkdir()
    used = tmp_path / "used"
    used.mkdir()
    (used / "holiday.jpg").write_bytes(b"x")
    for path, words in ((inside, "outside"), (tmp_path / "none", "no folder"), (used, "not empty"), (tmp_path, "outside")):
        with pytest.raises(VolumeRefused, match=words):
            volumes.add_volume(connection, home, "extra", path, by=BY)
    with pytest.raises(BadVolume):
        volumes.add_volume(connection, home, "home", used, by=BY)
    assert [one.name for one in volumes.of_home(connection, home).rows] == ["home"]
    good = tmp_path / "good"
    good.mkdir()
    volumes.add_volume(connection, home, "good", good, by=BY)
    other = tmp_path / "other-home"
    other.mkdir()
    (other / "home.json").write_text(json.dumps({"id": str(uuid4())}))
    with pytest.raises(VolumeRefused, match="of another"):
        volumes.add_volume(connection, other, "stolen", good, by=BY)
    with pytest.raises(BadVolume, match="mark"):
        volumes.set_volume(connection, home, "good", volumes.Changes(path=used), by=BY)
    moved = tmp_path / "moved"
    good.rename(moved)
    assert volumes.set_volume(connection, home, "good", volumes.Changes(path=moved), by=BY).path == str(moved)
    volumes.remove_volume(connection, home, "good", by=BY)


def test_two_homes_on_one_database_never_share_a_path(
    home: Path, connection: psycopg.Connection, make_indexer: Callable[..., Indexer], tmp_path: Path
) -> None:
    from gantry.intake.indexer import Settling
    from gantry.storage import SpoolReader

    second = tmp_path / "second"
    second.mkdir()
    (second / "home.json").write_text(json.dumps({"id": str(uuid4())}))
    for where_, number in ((home, 1), (second, 2)):
        spool = Spool(where_)
        spool.send(files.ct_dataset(number=1, patient_name=f"DOE^{number}"))
        spool.close()
    make_indexer().drain()
    with SpoolReader(second) as reader:
        indexer = Indexer(second, reader, settling=Settling(0.0, True))
        assert indexer.drain().versions == 1
        indexer.close()
    paths = [row[0] for row in connection.execute("SELECT file_path FROM catalogue_version ORDER BY id")]
    assert paths[0].startswith("objects/")
    assert paths[1].startswith("volumes/")
    assert os.path.exists(resolve(second, paths[1]))
    assert findings(home, connection) == []
    assert findings(second, connection) == []
