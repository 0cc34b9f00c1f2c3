"""The scrubber finds what is damaged, missing or unknown, and has lost bytes fetched from a node that has them."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable
from pathlib import Path
from uuid import uuid4

import psycopg
import pytest
from tests.gantry.intake.conftest import Spool, stored_files
from tests.gantry.intake.qrscp import dcmqrscp
from tests.gantry.transfers.seed import add_node
from tests.support import part10_files as files

from gantry import audit
from gantry.catalogue.models import Conflict, Version
from gantry.intake import scrub, volumes
from gantry.intake.indexer import Indexer
from gantry.intake.scrub import Healed
from gantry.nodes.models import Node
from gantry.storage import resolve
from gantry.storage.walk import walk_after
from gantry.transfers.heal import heal, scrub_home
from gantry.transfers.recycle import unlink_all

STUDY = f"{files.ROOT}.1"


@pytest.fixture
def home(tmp_path: Path) -> Path:
    path = tmp_path / "home"
    path.mkdir(mode=0o700)
    (path / "home.json").write_text(json.dumps({"id": str(uuid4()), "layout": 1}))
    return path


@pytest.fixture
def archive(spool: Spool, home: Path, make_indexer: Callable[..., Indexer]) -> list[str]:
    """Six instances of a study, five small and one large; gives their paths."""
    for number in range(1, 7):
        spool.send(files.ct_dataset(number=number, side=500 if number == 6 else 16))
    make_indexer().drain()
    spool.close()
    return stored_files(home, "objects")


def part10(dataset: bytes, *, instance: str) -> bytes:
    return files.part10(dataset, sop_class=files.CT_IMAGE_STORAGE, instance=instance)


def node(target_port: int) -> Node:
    made = add_node("archive", target_port)
    Node.objects.filter(pk=made.pk).update(aet="SOURCE")
    return made


def damage(path: Path) -> None:
    with open(path, "r+b") as file:
        file.seek(-3, os.SEEK_END)
        file.write(b"xyz")


def pass_(connection: psycopg.Connection, home: Path, **options: object) -> scrub.ScrubState:
    state = scrub_home(connection, home, begin=True, grace_seconds=0, unbridled=True, **options)  # type: ignore[arg-type]
    assert state is not None
    assert state.state == "idle"
    return state


def test_damaged_and_missing_files_are_fetched_again(
    home: Path, connection: psycopg.Connection, archive: list[str], tmp_path: Path
) -> None:
    sources = [tmp_path / f"{number}.dcm" for number in range(1, 7)]
    for number, path in enumerate(sources, 1):
        data = files.ct_dataset(number=number, side=500 if number == 6 else 16)
        path.write_bytes(part10(data, instance=f"{STUDY}.1.{number}"))
    damage(home / archive[0])
    damage(home / archive[5])
    os.unlink(home / archive[2])
    with dcmqrscp(tmp_path / "peer", sources) as target:
        node(target.address.port)
        state = pass_(connection, home)
    assert (state.problems, state.mended, state.open_findings) == (3, 3, 0)
    assert state.checked_files >= 6, "a file that was put in place may be met again"
    found = scrub.list_findings(connection, home, ended=True)
    assert {one.action for one in found} == {"healed"}
    assert {one.kind for one in found} == {"damaged", "missing"}
    assert all("node archive" in one.action_note for one in found)
    again = pass_(connection, home)
    assert (again.problems, again.checked_files) == (0, 6)
    assert Version.objects.filter(current=True).count() == 6
    assert not Conflict.objects.exists(), "the same bytes are no disagreement"
    unlink_all(connection, volumes.of_home(connection, home))
    assert len(stored_files(home, "objects")) == 6, "the damaged files are gone"
    acts = connection.execute("SELECT count(*) FROM audit_entry WHERE act = 'instance.heal' AND study_uid = %s", [STUDY])
    assert acts.fetchone() is not None


def test_other_bytes_are_a_new_version_and_a_conflict(
    home: Path, connection: psycopg.Connection, archive: list[str], tmp_path: Path
) -> None:
    other = tmp_path / "other.dcm"
    other.write_bytes(part10(files.ct_dataset(number=1, patient_name="DOE^OTHER"), instance=f"{STUDY}.1.1"))
    damage(home / archive[0])
    with dcmqrscp(tmp_path / "peer", [other]) as target:
        node(target.address.port)
        state = pass_(connection, home)
    assert (state.problems, state.mended) == (1, 1)
    (found,) = scrub.list_findings(connection, home, ended=True)
    assert (found.action, "other bytes" in found.action_note) == ("superseded", True)
    versions = Version.objects.filter(instance__sop_instance_uid=f"{STUDY}.1.1").order_by("pk")
    assert [version.current for version in versions] == [False, True]
    assert Conflict.objects.filter(kind="bytes").count() == 1


def test_what_nobody_has_stays_a_finding_until_it_is_sound_again(
    home: Path, connection: psycopg.Connection, archive: list[str], tmp_path: Path
) -> None:
    whole = (home / archive[1]).read_bytes()
    damage(home / archive[1])
    version = Version.objects.get(file_path=archive[1])
    with dcmqrscp(tmp_path / "peer", []) as target:
        node(target.address.port)
        healed = heal(connection, home, version.pk)
    assert healed.action == "left"
    assert "archive" in healed.note
    state = pass_(connection, home)  # now the node does not even answer
    assert (state.open_findings, state.mended) == (1, 0)
    pass_(connection, home)
    (found,) = scrub.list_findings(connection, home)
    assert found.path == archive[1], "one finding, however often it is seen"
    (home / archive[1]).write_bytes(whole)
    assert pass_(connection, home).open_findings == 0
    (found,) = scrub.list_findings(connection, home, ended=True)
    assert found.ended_at is not None


@pytest.mark.usefixtures("archive")
def test_the_pace_is_kept_inside_of_a_file_and_the_end_is_prompt(home: Path, connection: psycopg.Connection) -> None:
    """The large file alone takes seconds at this pace; stopped in the middle of it, it is not counted."""
    began = time.monotonic()
    state = scrub.scrub(
        connection, home, heal=lambda _: Healed("left", ""), begin=True, grace_seconds=0, bytes_per_second=50_000,
        stop=lambda: time.monotonic() > began + 1.5,
    )  # fmt: skip
    assert state is not None
    assert (state.state, state.checked_files) == ("running", 5)
    assert state.cursor.endswith(".5.dcm"), state.cursor
    again = scrub.scrub(connection, home, heal=lambda _: Healed("left", ""), grace_seconds=0)
    assert again is not None
    assert (again.state, again.checked_files) == ("idle", 6)


@pytest.mark.usefixtures("archive")
def test_a_pass_goes_on_where_it_stopped(home: Path, connection: psycopg.Connection) -> None:
    """Stopped after each file, begun anew by another process each time: every file is compared once."""
    calls = 0

    def stop() -> bool:
        nonlocal calls
        calls += 1
        return calls % 5 == 0

    rounds = 0
    state = scrub.scrub(connection, home, heal=lambda _: Healed("left", ""), stop=stop, begin=True, grace_seconds=0)
    while state is not None and state.state != "idle":
        rounds += 1
        assert rounds < 60
        state = scrub.scrub(connection, home, heal=lambda _: Healed("left", ""), stop=stop, grace_seconds=0)
    assert state is not None
    assert rounds >= 2
    assert (state.checked_files, state.problems, state.passes) == (6, 0, 1)
    idle = scrub.scrub(connection, home, heal=lambda _: Healed("left", ""))
    assert idle is not None
    assert idle.passes == 1, "the next one is not due yet"
    scrub.ask(connection, home)
    asked = scrub.scrub(connection, home, heal=lambda _: Healed("left", ""), grace_seconds=0)
    assert asked is not None
    assert asked.passes == 2
    levels = volumes.levels(connection, home)
    assert levels[0].volume.used_bytes == sum((home / path).stat().st_size for path in stored_files(home, "objects"))


def test_orphans_on_any_volume_come_back_or_are_held(
    home: Path, connection: psycopg.Connection, archive: list[str], tmp_path: Path
) -> None:
    (tmp_path / "extra").mkdir()
    extra = volumes.add_volume(connection, home, "extra", tmp_path / "extra", by=audit.By("test"))
    place = Path(resolve(home, f"volumes/{extra.id}/objects/00/1.2/1.2.3/1.2.3.4.dcm"))
    place.parent.mkdir(parents=True)
    place.write_bytes(part10(files.ct_dataset(number=77), instance=f"{STUDY}.1.77"))
    (home / "objects/00/9.9").mkdir(parents=True)
    (home / "objects/00/9.9/junk.dcm").write_bytes(b"hello")
    state = pass_(connection, home)
    assert (state.problems, state.mended) == (2, 2)
    assert Version.objects.filter(instance__sop_instance_uid=f"{STUDY}.1.77").exists()
    assert not place.exists()
    assert connection.execute("SELECT count(*) FROM intake_quarantinedobject WHERE state = 'held'").fetchone() == (1,)
    assert pass_(connection, home).problems == 0
    assert len(archive) == 6


def test_the_walk_goes_on_from_any_file(tmp_path: Path) -> None:
    names = ["a/1/x", "a/10/x", "a/2", "b", "b.c/d", "c/a/a", "c/b"]
    for name in names:
        path = tmp_path / "objects" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"")
    everything = [path for path, _ in walk_after(tmp_path, "objects")]
    assert sorted(everything) == sorted(f"objects/{name}" for name in names)
    for number, path in enumerate(everything):
        assert [found for found, _ in walk_after(tmp_path, "objects", path)] == everything[number + 1 :]
    os.unlink(tmp_path / "objects" / "b")
    assert [found for found, _ in walk_after(tmp_path, "objects", "objects/b")] == everything[everything.index("objects/b") + 1 :]
