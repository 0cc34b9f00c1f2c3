"""Two homes on one database: what lies on a volume of the other one is passed on to it; what lies on one of ours that is
not mounted waits here.
"""

from __future__ import annotations

from pathlib import Path

import psycopg
import pytest
from tests.gantry.nodes.destination import Destination
from tests.gantry.transfers.seed import add_node, order_all, seed_study
from tests.gantry.transfers.test_deliver import run

from gantry.catalogue.models import Version
from gantry.storage.volumes import link_volume
from gantry.transfers.models import Delivery

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("empty_queue")]


def test_a_volume_of_another_home_is_no_volume_that_is_not_mounted(tmp_path: Path, connection: psycopg.Connection) -> None:
    with Destination() as destination:
        passed_on_or_kept(tmp_path, connection, destination.port)
    assert destination.attempts == []


def passed_on_or_kept(tmp_path: Path, connection: psycopg.Connection, port: int) -> None:
    study, node = seed_study(tmp_path, 2), add_node("archive", port)
    ours, theirs = study.version_ids
    for version, volume in ((ours, 7), (theirs, 9)):
        Version.objects.filter(pk=version).update(file_path=f"volumes/{volume}/objects/{version}.dcm")
    link_volume(tmp_path, 7, str(tmp_path / "nothing is mounted here"))
    connection.execute("INSERT INTO transfers_workerhome (id, host, first_seen_at, seen_at) VALUES ('other', 'b', now(), now())")
    order_all(study, node)
    run(node, tmp_path)
    rows = {row.version_id: row for row in Delivery.objects.all()}
    assert (rows[theirs].status, rows[theirs].home.split()[0], rows[theirs].attempts) == ("away", "other", 0)
    assert rows[ours].status == "failed"
    assert "not mounted" in rows[ours].error
    connection.execute("DELETE FROM transfers_workerhome WHERE id = 'other'")
    Delivery.objects.filter(pk=rows[theirs].pk).update(status="waiting", home="", next_attempt_at=node.created_at)
    run(node, tmp_path)
    assert "not mounted" in Delivery.objects.get(pk=rows[theirs].pk).error, "with no other home nothing is taken for lost"
