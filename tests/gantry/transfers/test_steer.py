"""Hold, release, recall, send again; failover; what goes first; what a closed calendar lets through."""

from __future__ import annotations

import os
import threading
from datetime import UTC, datetime, timedelta
from pathlib import Path

import psycopg
import pytest
from tests.gantry.nodes.destination import Destination
from tests.gantry.transfers.seed import SeededStudy, add_node, order_all, seed_study
from tests.gantry.transfers.test_deliver import run, statuses

from dimse.acceptance import StoreAnswer, StoreRequest
from gantry.audit.record import By
from gantry.nodes import registry
from gantry.nodes.models import Node
from gantry.transfers.by_study import GroupFilter, by_study
from gantry.transfers.errors import BadFilter, StudyMissing
from gantry.transfers.failover import pass_on
from gantry.transfers.models import Delivery
from gantry.transfers.order import URGENT, order
from gantry.transfers.receipt import receipt
from gantry.transfers.steer import steer

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("empty_queue")]
ANNA = By("anna", "session")


def ordered(connection: psycopg.Connection, study: SeededStudy, node: Node, **how: object) -> int:
    return order(connection, study.version_ids, [node.pk], "rule", **how)  # type: ignore[arg-type]


def test_a_held_study_stays_until_it_is_released(tmp_path: Path, connection: psycopg.Connection) -> None:
    with Destination() as destination:
        held, free = seed_study(tmp_path, 3), seed_study(tmp_path, 2)
        node, other = add_node("archive", destination.port), add_node("other", destination.port)
        for study in (held, free):
            order_all(study, node)
            order_all(study, other)
        done = steer(connection, "hold", held.uid, by=ANNA, reason="wrong patient", node="archive")
        assert (done.changed, done.under_way) == (3, 0)
        run(node, tmp_path)
        assert statuses(node) == {"held": 3, "confirmed": 2}
        assert statuses(other) == {"waiting": 5}, "only the queue of one node was named"
        with pytest.raises(registry.NodeInUse):
            registry.remove("archive", open_deliveries=lambda node_id: 3)
        steer(connection, "release", held.uid, by=ANNA)
        run(node, tmp_path)
        assert statuses(node) == {"confirmed": 5}
    acts = connection.execute("SELECT act, who, reason FROM audit_entry WHERE key = %s ORDER BY id", (held.uid,)).fetchall()
    assert acts == [("delivery.hold", "anna", "wrong patient"), ("delivery.release", "anna", "")]


def test_a_rule_may_hold(tmp_path: Path, connection: psycopg.Connection) -> None:
    study, node = seed_study(tmp_path, 2), add_node("archive", 104)
    assert ordered(connection, study, node, held=True, decision_id=7) == 2
    assert statuses(node) == {"held": 2}
    assert connection.execute("SELECT count(*) FROM procrastinate_jobs").fetchone() == (0,)
    row = Delivery.objects.all()[0]
    assert (row.decision_id, row.hold_reason) == (7, "held by the rule rule")


def test_recall_and_send_again(tmp_path: Path, connection: psycopg.Connection) -> None:
    with Destination() as destination:
        study, node = seed_study(tmp_path, 2), add_node("archive", destination.port)
        order_all(study, node)
        assert steer(connection, "recall", study.uid, by=ANNA, reason="not wanted").changed == 2
        run(node, tmp_path)
        assert destination.attempts == []
        assert order_all(study, node) == 0, "a rule does not order again what a person recalled"
        assert steer(connection, "resend", study.uid, by=ANNA, reason="wanted after all").changed == 2
        run(node, tmp_path)
        first = receipt(connection, study.uid)
        assert first.complete
        assert steer(connection, "resend", study.uid, by=ANNA, reason="they lost it", priority=URGENT).changed == 2
        assert steer(connection, "resend", study.uid, by=ANNA, reason="twice").changed == 2, "the same two, not four"
        assert receipt(connection, study.uid).complete, "what was proven once stays proven"
        (under_way,) = by_study(connection, GroupFilter(study_uid=study.uid)).items
        assert [(group.confirmed, group.waiting, group.total) for group in under_way.destinations] == [(0, 2, 2)]
        assert by_study(connection, GroupFilter(study_uid=study.uid, statuses=("confirmed",))).items == []
        run(node, tmp_path)
        assert all(len(copies) == 2 for copies in destination.received.values())
    assert statuses(node) == {"confirmed": 4}
    proof = receipt(connection, study.uid).destinations[0].instances
    assert {(one.origin, one.ordered_by) for one in first.destinations[0].instances} == {("", "")}, "a rule"
    assert {(one.origin, one.ordered_by) for one in proof} == {("again", "anna")}
    (shown,) = by_study(connection, GroupFilter(study_uid=study.uid)).items
    assert [(group.confirmed, group.total) for group in shown.destinations] == [(2, 2)], "instances, however often they went"
    assert [(group.last_origin, group.last_ordered_by) for group in shown.destinations] == [("again", "anna")]
    assert shown.destinations[0].last_ordered_at > shown.destinations[0].ordered_at
    with pytest.raises(BadFilter):
        steer(connection, "recall", study.uid, by=ANNA)
    with pytest.raises(StudyMissing):
        steer(connection, "hold", "1.2.3", by=ANNA, reason="x")


def test_urgent_goes_first(tmp_path: Path, connection: psycopg.Connection) -> None:
    with Destination() as destination:
        node = add_node("archive", destination.port, max_associations=1)
        routine, soon, urgent = (seed_study(tmp_path, 3) for _ in range(3))
        ordered(connection, routine, node)
        ordered(connection, soon, node, priority=10)
        ordered(connection, urgent, node, priority=URGENT)
        run(node, tmp_path)
        order_of = [uid.rsplit(".", 2)[0] for uid in destination.attempts]
        assert order_of == [urgent.uid] * 3 + [soon.uid] * 3 + [routine.uid] * 3


def test_a_closed_calendar_lets_only_urgent_work_through(tmp_path: Path, connection: psycopg.Connection) -> None:
    with Destination() as destination:
        node = add_node("archive", destination.port)
        registry.change("archive", {"bandwidth": "00:00-24:00 off"})
        routine, urgent = seed_study(tmp_path, 2), seed_study(tmp_path, 2)
        ordered(connection, routine, node)
        ordered(connection, urgent, node, priority=URGENT)
        run(node, tmp_path)
        assert {uid.rsplit(".", 2)[0] for uid in destination.attempts} == {urgent.uid}
    assert statuses(node) == {"confirmed": 2, "waiting": 2}


def test_a_refusal_for_good_is_dead_at_once(tmp_path: Path) -> None:
    def behave(_command: StoreRequest) -> StoreAnswer:
        return StoreAnswer(0xA900, "no")

    with Destination(behave) as destination:
        study, node = seed_study(tmp_path, 2), add_node("archive", destination.port)
        order_all(study, node)
        run(node, tmp_path)
        assert len(destination.attempts) == 2
    assert statuses(node) == {"dead": 2}
    assert "A900" in Delivery.objects.all()[0].error or "does not match" in Delivery.objects.all()[0].error
    with psycopg.connect(os.environ["GANTRY_DATABASE_URL"]) as fresh:
        facts = fresh.execute("SELECT DISTINCT payload FROM facts_fact WHERE kind = 'DeliveryFailed'").fetchall()
    assert ({"node_id": node.pk},) in facts


def test_the_next_node_takes_over_from_a_dead_one(tmp_path: Path, connection: psycopg.Connection) -> None:
    def behave(_command: StoreRequest) -> StoreAnswer:
        return StoreAnswer(0xC000, "never")

    with Destination(behave) as broken, Destination() as good:
        first, removed, second = add_node("first", broken.port), add_node("gone", 104), add_node("second", good.port)
        registry.remove("gone", open_deliveries=lambda _: 0)
        study = seed_study(tmp_path, 3)
        ordered(connection, study, first, failover=[removed.pk, second.pk], priority=5)
        run(first, tmp_path)
        assert statuses(first) == {"dead": 3}
        assert pass_on(connection) == 3
        assert statuses(first) == {"cancelled": 3}
        run(second, tmp_path)
        assert len(good.received) == 3
    assert statuses(second) == {"confirmed": 3}
    row = Delivery.objects.filter(node=first)[0]
    assert "passed on to node second" in row.error
    assert Delivery.objects.get(pk=row.passed_to).priority == 5
    assert receipt(connection, study.uid).complete
    assert pass_on(connection) == 0


def test_the_next_node_takes_over_when_the_breaker_stays_open(tmp_path: Path, connection: psycopg.Connection) -> None:
    with Destination() as gone:
        port = gone.port
    first, second = add_node("first", port), add_node("second", 104)
    ordered(connection, seed_study(tmp_path, 2), first, failover=[second.pk])
    run(first, tmp_path)
    first.refresh_from_db()
    assert first.breaker == "open"
    assert first.breaker_since is not None
    assert pass_on(connection) == 0, "not yet"
    Node.objects.filter(pk=first.pk).update(breaker_since=datetime.now(UTC) - timedelta(seconds=301))
    assert pass_on(connection) == 2
    assert statuses(second) == {"waiting": 2}


def test_two_nodes_do_not_pass_a_delivery_to_and_fro(tmp_path: Path, connection: psycopg.Connection) -> None:
    one, other = add_node("one", 104), add_node("other", 104)
    study = seed_study(tmp_path, 1)
    ordered(connection, study, one, failover=[other.pk])
    ordered(connection, study, other, failover=[one.pk])
    Delivery.objects.update(status="dead")
    for _ in range(4):
        pass_on(connection)
        Delivery.objects.filter(status="waiting").update(status="dead")
    assert Delivery.objects.filter(status="dead").exists(), "it ends as dead at one of them, never as nothing"


def test_half_open_asks_before_it_sends(tmp_path: Path) -> None:
    with Destination() as destination:
        study, node = seed_study(tmp_path, 2), add_node("archive", destination.port)
        order_all(study, node)
        Node.objects.filter(pk=node.pk).update(breaker="open", failure_count=3, breaker_since=datetime.now(UTC))
        run(node, tmp_path)
        assert len(destination.associations) >= 2
        assert destination.associations[0].contexts[0].abstract_syntax == "1.2.840.10008.1.1", "a C-ECHO first"
    node.refresh_from_db()
    assert (node.breaker, node.failure_count) == ("closed", 0)
    assert statuses(node) == {"confirmed": 2}


def test_a_bandwidth_limit_holds_and_urgent_work_passes_it(tmp_path: Path, connection: psycopg.Connection) -> None:
    with Destination() as destination:
        node = add_node("archive", destination.port)
        study = seed_study(tmp_path, 20)
        size = sum(len(stored.dataset) for stored in study.instances)
        registry.change("archive", {"bandwidth": f"{max(1.1, size / 2 / 1000):.3f} kB/s"})
        ordered(connection, study, node)
        began = datetime.now(UTC)
        run(node, tmp_path)
        took = (datetime.now(UTC) - began).total_seconds()
        assert statuses(node) == {"confirmed": 20}
        assert took > 1.2, "two seconds' worth, less what the bucket held and the last instance"
        urgent = seed_study(tmp_path, 60)  # six seconds' worth: it is not earned again while it is sent
        ordered(connection, urgent, node, priority=URGENT)
        run(node, tmp_path)
        assert statuses(node) == {"confirmed": 80}
        tokens = connection.execute("SELECT tokens FROM nodes_link WHERE node_id = %s", (node.pk,)).fetchone()
        assert tokens is not None
        assert tokens[0] < 0, "urgent work borrows from the others"


def test_delivered_is_published_when_nothing_is_left(tmp_path: Path, connection: psycopg.Connection) -> None:
    with Destination() as destination:
        study, node = seed_study(tmp_path, 3), add_node("archive", destination.port)
        order_all(study, node)
        run(node, tmp_path)
    found = connection.execute("SELECT payload FROM facts_fact WHERE kind = 'Delivered'").fetchall()
    assert ({"study_id": study.id, "node_id": node.pk},) in found


def test_two_meters_share_one_bucket(tmp_path: Path, connection: psycopg.Connection) -> None:
    from zoneinfo import ZoneInfo

    from gantry.nodes.calendar import parse_calendar
    from gantry.nodes.meter import Meter

    node = add_node("archive", 104)
    meters = [Meter(node.pk, parse_calendar("1 MB/s"), ZoneInfo("UTC")) for _ in range(2)]
    stop = threading.Event()
    taken = [0, 0]

    def work(number: int) -> None:
        while not stop.is_set():
            if meters[number].take(20_000, 0, stop.is_set) is not None:
                taken[number] += 20_000

    threads = [threading.Thread(target=work, args=(number,)) for number in range(2)]
    began = datetime.now(UTC)
    for thread in threads:
        thread.start()
    stop.wait(2.0)
    while not min(taken) and (datetime.now(UTC) - began).total_seconds() < 60:
        stop.wait(0.1)
    stop.set()
    for thread in threads:
        thread.join()
    took = (datetime.now(UTC) - began).total_seconds()
    for meter in meters:
        meter.close()
    assert sum(taken) < 1e6 * took * 1.3 + 600_000, "together not faster than the link"
    assert min(taken) > 0
