"""What arrived or settled becomes ledger rows; doing it again adds nothing."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest
from tests.gantry.transfers.seed import seed_study

from gantry.nodes import registry
from gantry.nodes.models import Node
from gantry.routing import route, rules, work
from gantry.routing.models import RuleSet
from gantry.transfers.models import Delivery

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def connection() -> Iterator[psycopg.Connection]:
    with psycopg.connect(os.environ["GANTRY_DATABASE_URL"]) as opened:
        opened.execute("TRUNCATE procrastinate_jobs CASCADE")
        opened.commit()
        yield opened


@pytest.fixture(autouse=True)
def nodes() -> None:
    registry.add("one", "A@h:104")
    registry.add("two", "B@h:104")


def ordered() -> set[tuple[str, str, int]]:
    rows = Delivery.objects.values_list("node__name", "rule_name", "version_id")
    return set(rows)


def test_a_batch_is_routed_once(tmp_path: Path, connection: psycopg.Connection) -> None:
    study = seed_study(tmp_path, 1100)
    other = seed_study(tmp_path, 2)
    rules.add("ct", to=["one", "two"], when=["Modality=CT", "CallingAET=MODALITY"])
    rules.add("later", to=["one"], on="settled")
    rules.add("mr", to=["one"], when=["Modality=MR"])
    outcome = route.route_batch(connection, study.batch_id)
    assert (outcome.instances, outcome.ordered) == (1100, 2200)
    assert ordered() == {(node, "ct", version) for node in ("one", "two") for version in study.version_ids}
    assert route.route_batch(connection, study.batch_id).ordered == 0
    jobs = connection.execute("SELECT args ->> 'node_id' FROM procrastinate_jobs").fetchall()
    assert len(jobs) == 2
    assert not Delivery.objects.filter(study_id=other.id).exists()


def test_only_matching_instances(tmp_path: Path, connection: psycopg.Connection) -> None:
    study = seed_study(tmp_path, 10)
    rules.add("some", to=["one"], when=["InstanceNumber=3-5"])
    assert route.route_batch(connection, study.batch_id).ordered == 3
    assert {row[2] for row in ordered()} == set(study.version_ids[2:5])


def test_a_study_that_settles_again_orders_what_is_missing(tmp_path: Path, connection: psycopg.Connection) -> None:
    study = seed_study(tmp_path, 5)
    rules.add("all", to=["one"], on="settled")
    assert route.route_study(connection, study.id).ordered == 5
    Delivery.objects.filter(version_id=study.version_ids[2]).delete()
    Delivery.objects.update(status="confirmed")
    assert route.route_study(connection, study.id).ordered == 1
    assert Delivery.objects.filter(status="confirmed").count() == 4


def test_two_rules_to_one_node_order_once(tmp_path: Path, connection: psycopg.Connection) -> None:
    study = seed_study(tmp_path, 3)
    rules.add("a", to=["one"])
    rules.add("b", to=["one", "two"])
    assert route.route_batch(connection, study.batch_id).ordered == 6
    assert {(node, rule) for node, rule, _ in ordered()} == {("one", "a"), ("two", "b")}


def test_rules_that_are_off_broken_or_lead_nowhere_send_nothing(
    tmp_path: Path, connection: psycopg.Connection, caplog: pytest.LogCaptureFixture
) -> None:
    study = seed_study(tmp_path, 2)
    rules.add("off", to=["one"], enabled=False)
    rules.add("broken", to=["one"])
    rules.add("nowhere", to=["two"])
    active = RuleSet.objects.get(state="active")
    active.rules[1]["conditions"] = [{"keyword": "Nonsense", "operator": "equals", "value": "1"}]
    active.save()
    Node.objects.filter(name="two").update(removed_at="2024-01-01T00:00:00Z", enabled=False)
    assert route.route_batch(connection, study.batch_id).ordered == 0
    assert "rule broken is left out" in caplog.text


def test_a_catastrophic_expression_does_not_block(tmp_path: Path, connection: psycopg.Connection) -> None:
    study = seed_study(tmp_path, 50, header={"PatientID": "a" * 60 + "!"})
    rules.add("slow", to=["one"], when=["PatientID~^(a|a)*$"])
    rules.add("all", to=["two"])
    outcome = route.route_batch(connection, study.batch_id)
    assert outcome.ordered == 50
    assert list(outcome.problems) == ["slow"]


def test_the_queue_functions_route(tmp_path: Path, connection: psycopg.Connection) -> None:
    study = seed_study(tmp_path, 2)
    rules.add("first", to=["one"])
    rules.add("then", to=["two"], on="settled")
    work.route_arrived.func(str(study.batch_id))
    assert Delivery.objects.count() == 2
    work.route_settled.func(study.id)
    assert Delivery.objects.count() == 4
