"""find: filters, pages without gap or overlap, sums."""

from __future__ import annotations

from pathlib import Path

import psycopg
import pytest
from tests.gantry.transfers.seed import SeededStudy, add_node, order_all, seed_study

from gantry.nodes.models import Node
from gantry.transfers.errors import BadFilter
from gantry.transfers.find import LedgerFilter, count_open, find, summary_of_nodes, summary_of_studies
from gantry.transfers.models import Delivery

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def ledger(tmp_path: Path, connection: psycopg.Connection) -> tuple[SeededStudy, Node, Node]:
    study = seed_study(tmp_path, 7)
    one, two = add_node("one", 104), add_node("two", 105)
    order_all(study, one)
    order_all(study, two)
    Delivery.objects.filter(node=two).update(status="confirmed")
    return study, one, two


def test_pages_have_no_gap_and_no_overlap(ledger: tuple[SeededStudy, Node, Node], connection: psycopg.Connection) -> None:
    seen: list[int] = []
    after = None
    while True:
        page = find(connection, after=after, limit=3)
        seen += [row.id for row in page.items]
        if page.next_after is None:
            break
        after = page.next_after
    assert seen == sorted(set(seen))
    assert len(seen) == 14


def test_filters(ledger: tuple[SeededStudy, Node, Node], connection: psycopg.Connection) -> None:
    study, _, two = ledger
    for wanted, number in [
        (LedgerFilter(study_uid=study.uid), 14),
        (LedgerFilter(study_uid="1.2.3"), 0),
        (LedgerFilter(node="one"), 7),
        (LedgerFilter(status="confirmed"), 7),
        (LedgerFilter(status="confirmed", node="one"), 0),
        (LedgerFilter(sop_instance_uid=study.instances[0].uid), 2),
        (LedgerFilter(rule_name="test-rule"), 14),
        (LedgerFilter(rule_name="' OR 1=1 --"), 0),
    ]:
        assert len(find(connection, wanted).items) == number, wanted
    row = find(connection, LedgerFilter(node=two.name)).items[0]
    assert row.stored_sha256 == study.instances[0].digest.hex()
    assert row.sent_sha256 is None
    assert row.next_attempt_at is None


def test_a_waiting_row_says_why_its_node_is_paused(
    ledger: tuple[SeededStudy, Node, Node], connection: psycopg.Connection
) -> None:
    Node.objects.filter(name="one").update(retry_at="2999-01-01T00:00:00Z", last_error="nothing listens")
    row = find(connection, LedgerFilter(node="one")).items[0]
    assert row.error == "nothing listens"
    assert row.next_attempt_at is not None
    assert row.next_attempt_at.year == 2999


def test_impossible_filters_are_refused(connection: psycopg.Connection) -> None:
    with pytest.raises(BadFilter, match="no status"):
        find(connection, LedgerFilter(status="gone"))
    for limit in (0, -1, 1001):
        with pytest.raises(BadFilter, match="limit"):
            find(connection, limit=limit)


def test_sums(ledger: tuple[SeededStudy, Node, Node], connection: psycopg.Connection) -> None:
    study, one, two = ledger
    size = sum(len(stored.dataset) for stored in study.instances)
    rows = summary_of_studies(connection, [study.uid, "1.2.3"])
    assert [(row.node, row.status, row.count, row.bytes) for row in rows] == [
        ("one", "waiting", 7, size),
        ("two", "confirmed", 7, size),
    ]
    assert [(row.node, row.status, row.count) for row in summary_of_nodes(connection)] == [
        ("one", "waiting", 7),
        ("two", "confirmed", 7),
    ]
    assert (count_open(connection, one.pk), count_open(connection, two.pk)) == (7, 0)
