"""C-MOVE: through the ledger to a node, counted from it, cancelled in time."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import psycopg
import pytest
from tests.gantry.nodes.destination import Destination
from tests.gantry.receiver.asking import ask, identifier
from tests.gantry.receiver.served import Served, serving
from tests.gantry.transfers.seed import SeededStudy, add_node, order_all, seed_study
from tests.support.part10_files import EXPLICIT_LITTLE_ENDIAN

from dimse.acceptance import StoreAnswer, StoreRequest
from dimse.identifier import Identifier
from dimse.negotiation import STUDY_ROOT_MOVE
from gantry.main.home import Home
from gantry.nodes.models import Node
from gantry.nodes.pool import AssociationPool
from gantry.receiver import move as receiver_move
from gantry.transfers.deliver import Delivering, deliver
from gantry.transfers.ledger import Patience


@pytest.fixture
def receiver(home: Home, connection: psycopg.Connection) -> Iterator[Served]:
    with serving(home.path) as made:
        yield made


@contextmanager
def worker(receiver: Served, node: Node) -> Iterator[None]:
    """Delivers to one node, as the worker does when the queue tells it to."""
    stop = threading.Event()
    place = Delivering(home=receiver.home, our_aet="GANTRY", owner="test:1", patience=Patience(5, 5), pool=AssociationPool(0))

    def run() -> None:
        while not stop.wait(0.02):
            deliver(node.pk, stop, place)

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join(60)
        assert not thread.is_alive()


def move(receiver: Served, study: SeededStudy, destination: str = "DEST", *, cancel_after: float | None = None) -> Any:
    """The final answer and the pending ones."""
    with ask(receiver.port, calling="VIEWER") as association:
        operation = association.move(
            identifier("STUDY", StudyInstanceUID=study.uid), sop_class_uid=STUDY_ROOT_MOVE, destination=destination
        )
        if cancel_after is not None:
            time.sleep(cancel_after)
            operation.cancel()
        pending = [progress.counts for progress in operation]
        return operation.final, pending


def test_a_study_goes_to_a_node_again_and_again(receiver: Served, connection: psycopg.Connection) -> None:
    seen: list[tuple[str, int]] = []

    def behave(command: StoreRequest) -> StoreAnswer:
        seen.append((command.move_originator_aet, command.move_originator_message_id))
        return StoreAnswer()

    study = seed_study(receiver.home, 40)
    with Destination(behave) as destination:
        node = add_node("viewer", destination.port)
        with worker(receiver, node):
            for _ in range(2):
                final, _ = move(receiver, study)
                assert (final.status, final.counts.completed, final.counts.failed) == (0, 40, 0)
            # A rule's delivery of the same versions is another thing, and still comes once.
            assert order_all(study, node) == 40
            assert order_all(study, node) == 0
    assert set(seen[:80]) == {("VIEWER", 1)}
    assert {uid: data[:2] for uid, data in destination.received.items()} == {
        stored.uid: [stored.dataset] * 2 for stored in study.instances
    }
    rows = connection.execute(
        "SELECT status, count(*), count(DISTINCT move_id), min(move_aet) FROM transfers_delivery WHERE origin = 'move' GROUP BY 1"
    ).fetchall()
    assert rows == [("confirmed", 80, 2, "VIEWER")]


def test_what_the_destination_refuses_is_named_and_not_tried_again(receiver: Served, connection: psycopg.Connection) -> None:
    study = seed_study(receiver.home, 5)
    bad = {study.instances[1].uid: 0xA700, study.instances[3].uid: 0xB000}
    with Destination(lambda command: StoreAnswer(bad.get(command.sop_instance_uid, 0))) as destination:
        node = add_node("viewer", destination.port)
        with worker(receiver, node):
            final, _ = move(receiver, study)
            time.sleep(0.2)
    assert (final.status, final.counts.completed, final.counts.failed, final.counts.warned) == (0xB000, 3, 1, 1)
    failed = Identifier.parse(final.data, EXPLICIT_LITTLE_ENDIAN).texts("FailedSOPInstanceUIDList")
    assert failed == [study.instances[1].uid]
    assert destination.attempts.count(study.instances[1].uid) == 1


def test_who_cannot_be_moved_to(receiver: Served, connection: psycopg.Connection) -> None:
    study = seed_study(receiver.home, 100)
    assert move(receiver, study, "NOBODY")[0].status == 0xA801
    node = add_node("viewer", Destination().port)
    Node.objects.filter(pk=node.pk).update(enabled=False)
    assert move(receiver, study)[0].status == 0xA702
    Node.objects.filter(pk=node.pk).update(enabled=True)
    with worker(receiver, node):
        began = time.monotonic()
        final, _ = move(receiver, study)  # nobody listens there
    assert (final.status, final.counts.failed) == (0xA702, 100)
    assert time.monotonic() - began < 60  # not after the 180 s of a move that does not advance


def test_a_cancel_leaves_the_rest_unsent(
    receiver: Served, connection: psycopg.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(receiver_move, "PENDING_SECONDS", 0.1)
    study = seed_study(receiver.home, 300)

    def slow(command: StoreRequest) -> StoreAnswer:
        time.sleep(0.01)
        return StoreAnswer()

    with Destination(slow) as destination:
        node = add_node("viewer", destination.port, max_associations=1)
        with worker(receiver, node):
            final, pending = move(receiver, study, cancel_after=0.8)
            time.sleep(1)
        received = len(destination.received)
    assert final.status == 0xFE00
    assert final.counts.remaining > 100
    assert pending
    assert received < 300
    rows = dict(connection.execute("SELECT status, count(*) FROM transfers_delivery GROUP BY 1").fetchall())
    assert rows["cancelled"] > 100
    assert rows["cancelled"] + received == 300


def test_who_goes_away_gets_nothing_more(receiver: Served, connection: psycopg.Connection) -> None:
    study = seed_study(receiver.home, 10)
    add_node("viewer", Destination().port)
    association = ask(receiver.port)
    operation = association.move(
        identifier("STUDY", StudyInstanceUID=study.uid), sop_class_uid=STUDY_ROOT_MOVE, destination="DEST"
    )
    assert operation is not None

    def until(status: str) -> None:
        deadline = time.monotonic() + 60
        while connection.execute("SELECT status, count(*) FROM transfers_delivery GROUP BY 1").fetchall() != [(status, 10)]:
            assert time.monotonic() < deadline
            time.sleep(0.05)

    until("waiting")
    association.abort()
    until("cancelled")
