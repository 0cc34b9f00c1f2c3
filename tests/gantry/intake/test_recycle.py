"""Quota and retention: the oldest goes first, and only what was delivered and nothing keeps."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from uuid import uuid4

import psycopg
import pytest
from tests.gantry.intake.conftest import Spool, stored_files
from tests.gantry.intake.test_trash import confirm
from tests.gantry.transfers.seed import add_node
from tests.support import part10_files as files

from gantry import audit
from gantry.catalogue import locate, protect, retention, trash
from gantry.catalogue.errors import BadRetention
from gantry.catalogue.models import Study
from gantry.intake import volumes
from gantry.intake.indexer import Indexer
from gantry.nodes.models import Node
from gantry.transfers import order
from gantry.transfers.recycle import run_life

BY = audit.By("test", "cli")
ROOT = files.ROOT
SIZE = 500 * 500 * 2


@pytest.fixture
def home(tmp_path: Path) -> Path:
    path = tmp_path / "home"
    path.mkdir(mode=0o700)
    (path / "home.json").write_text(json.dumps({"id": str(uuid4()), "layout": 1}))
    return path


def uid(number: int) -> str:
    return f"{ROOT}.9{number}"


@pytest.fixture
def archive(spool: Spool, make_indexer: Callable[..., Indexer], connection: psycopg.Connection) -> None:
    """Studies 1 to 6 of half a megabyte each, received 60, 50, ... 10 days ago; 5 by CT2."""
    for number in range(1, 7):
        data = files.ct_dataset(number=1, study=uid(number), series=f"{uid(number)}.1", side=500, patient_id=f"P{number}")
        spool.send(data, calling_aet="CT2" if number == 5 else "CT1")
    indexer = make_indexer()
    indexer.drain()
    spool.close()
    for number in range(1, 7):
        at = datetime.now(UTC) - timedelta(days=70 - 10 * number)
        Study.objects.filter(study_instance_uid=uid(number)).update(last_received_at=at, settled_at=at)


def deliver(connection: psycopg.Connection, node: Node, *numbers: int, days_ago: int = 1) -> None:
    for number in numbers:
        study = Study.objects.get(study_instance_uid=uid(number))
        versions = [place.version_id for place in locate(connection, study_id=study.pk)]
        order(connection, versions, [node.pk], "rule")
        confirm(connection, versions, datetime.now(UTC) - timedelta(days=days_ago))


def left() -> list[int]:
    uids = Study.objects.filter(trashed_at=None).values_list("study_instance_uid", flat=True)
    return sorted(int(one[-1]) for one in uids)


@pytest.mark.usefixtures("archive")
def test_the_oldest_that_was_delivered_and_is_not_kept_goes(
    home: Path, connection: psycopg.Connection, free_port: Callable[[], int]
) -> None:
    deliver(connection, add_node("archive", free_port()), 1, 2, 3, 5, 6)
    protect.protect(connection, uid(1), by=BY)
    protect.hold(connection, uid(2), label="case", reason="court", by=BY)
    volumes.set_volume(connection, home, "home", volumes.Changes(quota_bytes=5 * SIZE), by=BY)
    run = run_life(connection, home)
    assert (run.recycled, run.unlinked, run.notes) == (2, 2, [])
    assert left() == [1, 2, 4, 6], "1 is protected, 2 is held, 4 was never delivered; 3 and 5 are the oldest of the rest"
    assert len(stored_files(home, "objects")) == 4
    used = volumes.levels(connection, home)[0]
    assert (used.state, used.volume.used_bytes // SIZE) == ("writing", 4)
    assert run_life(connection, home).recycled == 0, "below the quota nothing goes"
    # Nothing more may go: that is said, and nothing else is done.
    volumes.set_volume(connection, home, "home", volumes.Changes(quota_bytes=SIZE), by=BY)
    run = run_life(connection, home)
    assert (run.recycled, left()) == (1, [1, 2, 4])
    assert "may be recycled" in run.notes[0]
    receipt = trash.receipt_of_removed(connection, uid(3))
    assert receipt["destinations"][0]["node"] == "archive", "the proof outlives the bytes"


@pytest.mark.usefixtures("archive")
def test_only_what_lies_on_the_full_volume_is_recycled(
    home: Path, connection: psycopg.Connection, free_port: Callable[[], int], tmp_path: Path, make_indexer: Callable[..., Indexer]
) -> None:
    (tmp_path / "extra").mkdir()
    volumes.add_volume(connection, home, "extra", tmp_path / "extra", quota_bytes=SIZE // 2, by=BY)
    volumes.set_volume(connection, home, "home", volumes.Changes(wanted="readonly"), by=BY)
    spool = Spool(home, "r1")
    spool.send(files.ct_dataset(number=1, study=uid(7), series=f"{uid(7)}.1", side=500))
    make_indexer().drain()
    spool.close()
    at = datetime.now(UTC) - timedelta(hours=1)
    Study.objects.filter(study_instance_uid=uid(7)).update(last_received_at=at, settled_at=at)
    deliver(connection, add_node("archive", free_port()), 1, 7)
    assert run_life(connection, home).recycled == 1
    assert left() == [1, 2, 3, 4, 5, 6]
    assert not list((tmp_path / "extra").rglob("*.dcm"))


@pytest.mark.usefixtures("archive")
def test_retention_rules_send_to_the_trash(home: Path, connection: psycopg.Connection, free_port: Callable[[], int]) -> None:
    node = add_node("archive", free_port())
    deliver(connection, node, 1, 5, days_ago=20)
    deliver(connection, node, 2, days_ago=2)
    retention.put_rule(connection, "ct2-done", days=7, calling_aet="CT2", by=BY)
    assert (run_life(connection, home).trashed, left()) == (1, [1, 2, 3, 4, 6])
    retention.put_rule(connection, "done", days=7, modality="CT", by=BY)
    assert (run_life(connection, home).trashed, left()) == (1, [2, 3, 4, 6]), "2 was delivered two days ago only"
    retention.put_rule(connection, "old", days=25, after="received", modality="MR", by=BY)
    assert run_life(connection, home).trashed == 0
    protect.hold(connection, uid(3), label="case", reason="court", by=BY)
    retention.put_rule(connection, "old", days=25, after="received", by=BY)
    assert (run_life(connection, home).trashed, left()) == (2, [3, 6])
    assert {one.reason for one in trash.list_trash(connection)} == {
        "retention rule ct2-done: 7 days after it was delivered",
        "retention rule done: 7 days after it was delivered",
        "retention rule old: 25 days after it was received",
    }
    assert trash.restore(connection, uid(1), by=BY) == 1
    retention.put_rule(connection, "done", days=7, modality="CT", enabled=False, by=BY)
    assert run_life(connection, home).trashed == 0, "1 was taken back by a person: the rule `old` leaves it alone"
    with pytest.raises(BadRetention):
        retention.put_rule(connection, "../x", days=7, by=BY)
    retention.drop_rule(connection, "old", by=BY)
    assert [rule.name for rule in retention.list_rules(connection)] == ["ct2-done", "done"]
