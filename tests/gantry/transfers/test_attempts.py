"""The attempts of deliveries: kept when they fail, read with their cause and remedy, never more than a hundred; none for a
success."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import psycopg
import pytest
from django.db.models import F
from tests.gantry.accounts import stored
from tests.gantry.accounts.people import bearer
from tests.gantry.nodes.destination import Destination
from tests.gantry.transfers.seed import SeededStudy, add_node, order_all, seed_study
from tests.gantry.transfers.test_deliver import run as run_with
from tests.gantry.transfers.test_deliver import statuses

from dimse.acceptance import StoreAnswer, StoreRequest
from gantry.nodes.models import Node
from gantry.transfers.attempts import KEPT, Attempt, attempts, forget, silent, split_error
from gantry.transfers.errors import BadFilter, StudyMissing
from gantry.transfers.ledger import Patience
from gantry.transfers.models import Attempt as Kept
from gantry.transfers.models import Delivery
from gantry.transfers.retry import retry

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("empty_queue")]
FULL = 0xA700


def words(found: list[Attempt]) -> list[tuple[int, str, int | None, int, int]]:
    """The oldest first."""
    return [(one.number, one.outcome, one.dimse_status, one.count, one.dead) for one in reversed(found)]


def run(node: Node, home: Path) -> None:
    """One attempt: what fails is not due again for long, however the die falls."""
    run_with(node, home, patience=Patience(1e7, 1e7))


def due_now(node: Node) -> None:
    Delivery.objects.filter(node=node).update(next_attempt_at=F("created_at"))


def study_and_node(home: Path, destination: Destination, count: int = 3, most: int = 3) -> tuple[SeededStudy, Node]:
    study, node = seed_study(home, count), add_node("archive", destination.port, max_attempts=most)
    order_all(study, node)
    return study, node


def test_a_success_writes_nothing_and_is_told_from_the_ledger(tmp_path: Path, connection: psycopg.Connection) -> None:
    with Destination() as destination:
        study, node = study_and_node(tmp_path, destination, 120)
        run(node, tmp_path)
    assert (statuses(node), Kept.objects.count()) == ({"confirmed": 120}, 0)
    (one,) = attempts(connection, study.uid)
    assert words([one]) == [(1, "confirmed", 0, 120, 0)]
    rows = list(Delivery.objects.filter(node=node).order_by("pk"))
    assert one.began_at == min(row.sent_at for row in rows if row.sent_at)
    assert one.ended_at == max(row.confirmed_at for row in rows if row.confirmed_at)
    assert (len(one.delivery_ids), one.cause, one.remedy) == (100, "", "")


def test_refusals_are_kept_with_cause_and_remedy(tmp_path: Path, connection: psycopg.Connection) -> None:
    bad = ""

    def answer(request: StoreRequest) -> StoreAnswer:
        return StoreAnswer(FULL if request.sop_instance_uid == bad else 0)

    with Destination(answer) as destination:
        study, node = study_and_node(tmp_path, destination)
        bad = study.instances[1].uid
        for _ in range(2):
            run(node, tmp_path)
            due_now(node)
        assert words(attempts(connection, study.uid)) == [
            (1, "confirmed", 0, 2, 0), (1, "refused", FULL, 1, 0), (2, "refused", FULL, 1, 0),
        ]  # fmt: skip
        run(node, tmp_path)
        refused = Delivery.objects.get(status="dead")
        bad = ""
        retry(connection, study_uid=study.uid)
        run(node, tmp_path)
    found = attempts(connection, study.uid, delivery_id=refused.pk)
    assert words(found) == [(n, "refused", FULL, 1, int(n == 3)) for n in (1, 2, 3)] + [(1, "confirmed", 0, 1, 0)], (
        "what was forgiven is still told"
    )
    assert all(one.delivery_ids == [refused.pk] and one.node == "archive" for one in found)
    assert found[-1].cause
    assert found[-1].remedy
    assert found[-1].began_at <= found[-1].ended_at < found[0].ended_at


def test_a_node_that_cannot_be_reached(tmp_path: Path, connection: psycopg.Connection) -> None:
    with Destination() as destination:
        study, node = study_and_node(tmp_path, destination)
    run(node, tmp_path)  # nobody listens any more
    assert words(attempts(connection, study.uid)) == [(1, "untried", None, 3, 0)]
    for _ in range(2):
        Node.objects.update(retry_at=None)
        due_now(node)
        run(node, tmp_path)
    first, asked = reversed(attempts(connection, study.uid))
    assert words([first]) == [(1, "untried", None, 3, 0)]
    assert words([asked]) == [(0, "silent", None, 2, 0)], "asked twice, told in one line"
    assert asked.cause
    assert asked.remedy
    other = seed_study(tmp_path, 1)
    assert attempts(connection, other.uid) == [], "nothing of it goes there"


def test_thousands_that_are_refused_are_a_few_rows(tmp_path: Path, connection: psycopg.Connection) -> None:
    with Destination(lambda request: StoreAnswer(FULL)) as destination:
        study, node = study_and_node(tmp_path, destination, 450, 1)
        run(node, tmp_path)
        assert words(attempts(connection, study.uid)) == [(1, "refused", FULL, 450, 450)]
        assert Kept.objects.get().delivery_ids == sorted(Kept.objects.get().delivery_ids)[:100]


def test_no_more_than_a_hundred_are_kept_and_none_for_ever(tmp_path: Path, connection: psycopg.Connection) -> None:
    with Destination() as destination:
        study, node = study_and_node(tmp_path, destination, 1)
    for number in range(KEPT + 5):
        silent(connection, node.pk, f"no answer {number} (look at it)")
    found = attempts(connection, study.uid)
    assert len(found) == KEPT
    assert found[0].cause == f"no answer {KEPT + 4}"
    assert forget(connection) == 0
    Kept.objects.filter(error__startswith="no answer 10").update(ended_at=F("ended_at") - timedelta(days=1000))
    assert (forget(connection), Kept.objects.count()) == (6, KEPT - 6), "of 5 to 104 those that are 10, and 100 to 104"
    with pytest.raises(StudyMissing):
        attempts(connection, "1.2.3.4")
    with pytest.raises(BadFilter):
        attempts(connection, study.uid, limit=1001)


def test_cause_and_remedy_are_told_apart() -> None:
    assert split_error("it failed (0xA700)") == ("it failed (0xA700)", "")
    assert split_error("no (of a) b (do this (or that) now)") == ("no (of a) b", "do this (or that) now")
    assert split_error(") (") == (") (", "")
    assert split_error(")" * 1000)[1] == ""


def test_over_rest_as_far_as_one_may_see(connection: psycopg.Connection) -> None:
    study, node = stored.study("1.2.1", instances=2), stored.node("one")
    stored.deliveries(study, node, "failed")
    row = Delivery.objects.filter(node=node).order_by("pk")[0]
    Kept.objects.create(
        study=study, node=node, key="0" * 32, number=2, outcome="refused", dimse_status=FULL, error="no room (free some space)",
        count=1, dead=0, delivery_ids=[row.pk], began_at=row.created_at, ended_at=row.created_at + timedelta(seconds=2),
    )  # fmt: skip
    client, path = bearer(), "/api/v1/deliveries/attempts"
    for query in ("study_instance_uid=1.2.1", f"delivery={row.pk}", "study_instance_uid=1.2.1&node=one"):
        (one,) = client.get(f"{path}?{query}").json()["items"]
        assert (one["cause"], one["remedy"], one["seconds"], one["number"]) == ("no room", "free some space", 2.0, 2), query
    assert client.get(f"{path}?delivery={row.pk + 1}").json()["items"] == []
    assert client.get(f"{path}?study_instance_uid=1.2.1&node=two").json()["items"] == []
    assert client.get(path).status_code == 422
    assert client.get(f"{path}?delivery=999999").status_code == 404
    assert client.get(f"{path}?study_instance_uid=1.2.9").status_code == 404
    assert bearer(nodes=["two"]).get(f"{path}?delivery={row.pk}").json()["items"] == [], "a token for another node"
