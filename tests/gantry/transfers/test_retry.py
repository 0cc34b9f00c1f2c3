"""retry: dead and failed deliveries go again, by filter; what is confirmed stays."""

from __future__ import annotations

from pathlib import Path

import psycopg
import pytest
from tests.gantry.transfers.seed import SeededStudy, add_node, order_all, seed_study

from gantry.nodes.models import Node
from gantry.transfers.errors import BadFilter
from gantry.transfers.models import Delivery
from gantry.transfers.retry import retry

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def ledger(tmp_path: Path, connection: psycopg.Connection) -> tuple[SeededStudy, SeededStudy, Node, Node]:
    """Two studies of five to two nodes; of each five one is waiting, sent, confirmed, failed, dead."""
    first, second = seed_study(tmp_path, 5), seed_study(tmp_path, 5)
    one, two = add_node("one", 104), add_node("two", 105)
    for study in (first, second):
        for node in (one, two):
            order_all(study, node)
    for number, status in enumerate(["waiting", "sent", "confirmed", "failed", "dead"]):
        chosen = [study.instances[number].version_id for study in (first, second)]
        Delivery.objects.filter(version_id__in=chosen).update(status=status, attempts=7)
    Node.objects.update(retry_at="2999-01-01T00:00:00Z")
    connection.execute("DELETE FROM procrastinate_jobs")
    return first, second, one, two


Ledger = tuple[SeededStudy, SeededStudy, Node, Node]


def count(status: str) -> int:
    return Delivery.objects.filter(status=status).count()


def test_everything(ledger: Ledger, connection: psycopg.Connection) -> None:
    assert retry(connection) == 8
    assert (count("waiting"), count("sent"), count("confirmed"), count("failed"), count("dead")) == (12, 4, 4, 0, 0)
    assert Delivery.objects.filter(status="waiting", attempts=0).count() == 8
    assert not Node.objects.filter(retry_at__isnull=False).exists()
    assert connection.execute("SELECT count(*) FROM procrastinate_jobs").fetchone() == (2,)


def test_filters_are_combined(ledger: Ledger, connection: psycopg.Connection) -> None:
    first, _, one, _ = ledger
    assert retry(connection, study_uid=first.uid, node=one.name, statuses=["dead"]) == 1
    assert (count("failed"), count("dead")) == (4, 3)
    assert Node.objects.filter(retry_at=None).get() == one


def test_by_id_and_nothing(ledger: Ledger, connection: psycopg.Connection) -> None:
    dead = Delivery.objects.filter(status="dead")[0]
    confirmed = Delivery.objects.filter(status="confirmed")[0]
    assert retry(connection, ids=[dead.pk, confirmed.pk]) == 1
    assert retry(connection, ids=[]) == 0
    assert retry(connection, study_uid="1.2.3") == 0
    assert retry(connection, node="one'; DROP TABLE nodes_node; --") == 0
    assert count("confirmed") == 4


@pytest.mark.parametrize("status", ["confirmed", "sent", "waiting", "x"])
def test_only_what_failed_can_be_retried(connection: psycopg.Connection, status: str) -> None:
    with pytest.raises(BadFilter, match="cannot be retried"):
        retry(connection, statuses=[status])
