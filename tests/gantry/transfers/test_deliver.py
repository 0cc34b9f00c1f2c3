"""deliver: real PostgreSQL, real sockets, and a ledger that tells the truth on bad days."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable
from pathlib import Path

import psycopg
import pytest
from tests.gantry.nodes.destination import Destination
from tests.gantry.transfers.seed import SeededStudy, add_node, order_all, seed_study

from dimse.acceptance import Reject, StoreAnswer, StoreRequest
from gantry.nodes.items import Outcome
from gantry.nodes.models import Node
from gantry.nodes.pool import AssociationPool
from gantry.transfers.deliver import Delivering, DeliveryRun, deliver
from gantry.transfers.errors import LedgerLost
from gantry.transfers.ledger import Patience
from gantry.transfers.models import Delivery
from gantry.transfers.owner import process_owner

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("empty_queue")]
MR = "1.2.840.10008.5.1.4.1.1.4"


def run(node: Node, home: Path, **changes: object) -> DeliveryRun:
    place = Delivering(
        home=home, our_aet="GANTRY", owner=process_owner(home), patience=Patience(0.2, 1.0), pool=AssociationPool(0)
    )
    for name, value in changes.items():
        setattr(place, name, value)
    return deliver(node.pk, threading.Event(), place)


def statuses(node: Node) -> dict[str, int]:
    found: dict[str, int] = {}
    for status in Delivery.objects.filter(node=node).values_list("status", flat=True):
        found[status] = found.get(status, 0) + 1
    return found


def assert_arrived(destination: Destination, study: SeededStudy) -> None:
    for stored in study.instances:
        copies = destination.received[stored.uid]
        assert all(copy == stored.dataset for copy in copies)


def jobs() -> list[tuple[str, str, bool]]:
    with psycopg.connect(os.environ["GANTRY_DATABASE_URL"]) as connection:
        return connection.execute(
            "SELECT queueing_lock, status::text, scheduled_at IS NOT NULL FROM procrastinate_jobs ORDER BY id"
        ).fetchall()


def test_ordering_makes_rows_and_one_job_in_the_same_transaction(tmp_path: Path) -> None:
    study, node = seed_study(tmp_path, 3), add_node("archive", 104)
    assert order_all(study, node) == 3
    assert order_all(study, node) == 0, "ordering again orders nothing twice"
    assert statuses(node) == {"waiting": 3}
    assert jobs() == [(f"deliver-now-{node.pk}", "todo", False)]


def test_everything_due_is_confirmed_byte_identical(tmp_path: Path) -> None:
    with Destination() as destination:
        study, node = seed_study(tmp_path, 300), add_node("archive", destination.port)
        order_all(study, node)
        outcome = run(node, tmp_path)
        assert outcome.counts[Outcome.CONFIRMED] == 300
        assert outcome.next_at is None
        assert_arrived(destination, study)
        assert all(len(copies) == 1 for copies in destination.received.values())
    assert statuses(node) == {"confirmed": 300}
    digests = {stored.version_id: stored.digest for stored in study.instances}
    for row in Delivery.objects.filter(node=node):
        assert bytes(row.sha256 or b"") == digests[row.version_id]
        assert (row.attempts, row.dimse_status, row.lease_owner, row.lease_until) == (1, 0, "", None)
        assert row.sent_at is not None
        assert row.confirmed_at is not None
        assert row.created_at <= row.sent_at <= row.confirmed_at
    node.refresh_from_db()
    assert node.last_success_at is not None
    assert run(node, tmp_path).counts[Outcome.CONFIRMED] == 0, "confirmed is final"


def test_destination_down_then_up(tmp_path: Path) -> None:
    with Destination() as gone:
        port = gone.port
    study, node = seed_study(tmp_path, 5), add_node("archive", port)
    order_all(study, node)
    outcome = run(node, tmp_path, patience=Patience(60.0, 60.0))
    assert "nothing listens" in outcome.failure
    assert statuses(node) == {"failed": 5}
    assert set(Delivery.objects.values_list("attempts", flat=True)) == {0}, "nothing was tried"
    assert "nothing listens" in Delivery.objects.all()[0].error
    node.refresh_from_db()
    assert node.failure_count == 1
    assert node.retry_at is not None
    assert (f"deliver-later-{node.pk}", "todo", True) in jobs()
    Node.objects.update(retry_at=None)
    Delivery.objects.update(next_attempt_at=node.created_at)
    with Destination(port=port) as destination:
        assert run(node, tmp_path).counts[Outcome.CONFIRMED] == 5
        assert_arrived(destination, study)
    assert statuses(node) == {"confirmed": 5}
    node.refresh_from_db()
    assert (node.failure_count, node.retry_at, node.last_error) == (0, None, "")


def test_a_paused_node_is_left_alone_until_its_time(tmp_path: Path) -> None:
    with Destination() as destination:
        study, node = seed_study(tmp_path, 2), add_node("archive", destination.port)
        order_all(study, node)
        with psycopg.connect(os.environ["GANTRY_DATABASE_URL"], autocommit=True) as connection:
            connection.execute("UPDATE nodes_node SET retry_at = now() + interval '1 hour'")
        outcome = run(node, tmp_path)
        assert outcome.next_at is not None
        assert destination.associations == []
    assert statuses(node) == {"waiting": 2}


def test_a_disabled_node_is_left_alone(tmp_path: Path) -> None:
    with Destination() as destination:
        study, node = seed_study(tmp_path, 2), add_node("archive", destination.port)
        Node.objects.update(enabled=False)
        order_all(study, node)
        run(node, tmp_path)
        assert destination.associations == []
    assert statuses(node) == {"waiting": 2}


def test_a_rejected_association_pauses_the_node(tmp_path: Path) -> None:
    with Destination(reject=Reject(1, 1, 3)) as destination:
        study, node = seed_study(tmp_path, 2), add_node("archive", destination.port)
        order_all(study, node)
        run(node, tmp_path, patience=Patience(60.0, 60.0))
    node.refresh_from_db()
    assert "does not know our AE title 'GANTRY'" in node.last_error
    assert statuses(node) == {"failed": 2}


def test_success_for_some_and_failure_for_others(tmp_path: Path) -> None:
    bad: set[str] = set()

    def behave(command: StoreRequest) -> StoreAnswer:
        return StoreAnswer(0xA700, "full") if command.sop_instance_uid in bad else StoreAnswer()

    with Destination(behave) as destination:
        study, node = seed_study(tmp_path, 10), add_node("archive", destination.port, max_attempts=2)
        bad.update(stored.uid for stored in study.instances[:4])
        order_all(study, node)
        first = run(node, tmp_path, patience=Patience(60.0, 60.0))
        assert statuses(node) == {"confirmed": 6, "failed": 4}
        assert first.next_at is not None
        row = Delivery.objects.filter(status="failed")[0]
        assert (row.dimse_status, row.attempts) == (0xA700, 1)
        assert "full" in row.error
        Delivery.objects.filter(status="failed").update(next_attempt_at=node.created_at)
        run(node, tmp_path)
        assert statuses(node) == {"confirmed": 6, "dead": 4}, "max_attempts is 2"


def test_one_refused_class_does_not_stop_the_rest(tmp_path: Path) -> None:
    with Destination(refused=[MR]) as destination:
        good, bad = seed_study(tmp_path, 5), seed_study(tmp_path, 5, sop_class=MR)
        node = add_node("archive", destination.port, max_attempts=1)
        order_all(bad, node)
        order_all(good, node)
        run(node, tmp_path)
        assert_arrived(destination, good)
    assert statuses(node) == {"confirmed": 5, "dead": 5}
    assert "does not take SOP class" in Delivery.objects.filter(status="dead")[0].error


def test_an_abort_in_the_middle(tmp_path: Path) -> None:
    def behave(command: StoreRequest) -> StoreAnswer:
        if command.sop_instance_uid == victim and not aborted.is_set():
            aborted.set()
            destination.abort_all()
        return StoreAnswer()

    aborted = threading.Event()
    destination = Destination(behave)
    with destination:
        study, node = seed_study(tmp_path, 12), add_node("archive", destination.port, max_associations=1)
        victim = study.instances[5].uid
        order_all(study, node)
        run(node, tmp_path, patience=Patience(60.0, 60.0))
        assert statuses(node) == {"confirmed": 11, "failed": 1}
        Delivery.objects.filter(status="failed").update(next_attempt_at=node.created_at)
        run(node, tmp_path)
    assert statuses(node) == {"confirmed": 12}


def test_a_damaged_file_is_dead_at_once_and_never_sent(tmp_path: Path) -> None:
    with Destination() as destination:
        study, node = seed_study(tmp_path, 3), add_node("archive", destination.port)
        victim = study.instances[1]
        victim.path.write_bytes(victim.path.read_bytes()[:-2] + b"xx")
        order_all(study, node)
        run(node, tmp_path)
        assert victim.uid not in destination.attempts
    assert statuses(node) == {"confirmed": 2, "dead": 1}
    row = Delivery.objects.get(status="dead")
    assert "SHA-256" in row.error
    assert row.sha256 is None


def test_a_second_run_of_a_node_steps_back(tmp_path: Path) -> None:
    def behave(_command: StoreRequest) -> StoreAnswer:
        time.sleep(0.1)
        return StoreAnswer()

    with Destination(behave) as destination:
        study, node = seed_study(tmp_path, 6), add_node("archive", destination.port, max_associations=1)
        order_all(study, node)
        first = threading.Thread(target=run, args=(node, tmp_path))
        first.start()
        while not destination.attempts:
            time.sleep(0.01)
        assert run(node, tmp_path).busy
        first.join()
        assert len(destination.attempts) == 6
    assert statuses(node) == {"confirmed": 6}


def test_stop_gives_the_rest_back(tmp_path: Path) -> None:
    stop = threading.Event()

    def behave(_command: StoreRequest) -> StoreAnswer:
        stop.set()
        return StoreAnswer()

    with Destination(behave) as destination:
        study, node = seed_study(tmp_path, 10), add_node("archive", destination.port, max_associations=1)
        order_all(study, node)
        place = Delivering(
            home=tmp_path, our_aet="G", owner=process_owner(tmp_path), patience=Patience(1, 1), pool=AssociationPool(0)
        )
        deliver(node.pk, stop, place)
    assert statuses(node) == {"confirmed": 1, "waiting": 9}
    assert set(Delivery.objects.filter(status="waiting").values_list("attempts", "lease_owner")) == {(0, "")}


def _terminate(application: str) -> int:
    with psycopg.connect(os.environ["GANTRY_DATABASE_URL"], autocommit=True) as connection:
        return connection.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name LIKE %s", (application,)
        ).rowcount


@pytest.mark.parametrize("application", ["gantry-deliver", "gantry-ledger", "gantry-%er"])
def test_the_database_connection_is_cut_in_the_middle(tmp_path: Path, application: str) -> None:
    def behave(_command: StoreRequest) -> StoreAnswer:
        if len(destination.attempts) in {20, 300}:
            deadline = time.monotonic() + 30
            while not (killed := _terminate(application)) and time.monotonic() < deadline:
                time.sleep(0.01)  # it is just being opened
            cut.append(killed)
        return StoreAnswer()

    cut: list[int] = []
    destination = Destination(behave)
    with destination:
        study, node = seed_study(tmp_path, 400), add_node("archive", destination.port, max_associations=1)
        order_all(study, node)
        run(node, tmp_path)
        assert_arrived(destination, study)
    assert min(cut) >= 1, "there was a connection to cut"
    assert statuses(node) == {"confirmed": 400}
    assert len(destination.attempts) == 400, "nothing was sent twice: results were kept in memory"


def test_results_that_cannot_be_written_are_lost_in_bounded_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    away = threading.Event()

    def behave(_command: StoreRequest) -> StoreAnswer:
        away.set()
        monkeypatch.setenv("GANTRY_DATABASE_URL", "postgresql://nobody@127.0.0.1:1/gone")
        with psycopg.connect(url, autocommit=True) as connection:
            connection.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name LIKE 'gantry-%er'")
        return StoreAnswer()

    url = os.environ["GANTRY_DATABASE_URL"]
    with Destination(behave) as destination:
        study, node = seed_study(tmp_path, 3), add_node("archive", destination.port, max_associations=1)
        order_all(study, node)
        began = time.monotonic()
        with pytest.raises(LedgerLost, match="sent again"):
            run(node, tmp_path, outage_seconds=1.0)
        assert time.monotonic() - began < 60
        monkeypatch.setenv("GANTRY_DATABASE_URL", url)
        assert statuses(node) == {"sent": 3}, "the truth: sent, not known to be confirmed"
        # The lease ends, and they are sent again; the destination has them twice, the ledger confirms once.
        Delivery.objects.update(next_attempt_at=node.created_at)
        destination.behave = lambda _command: StoreAnswer()
        run(node, tmp_path)
    assert statuses(node) == {"confirmed": 3}


@pytest.mark.peer("storescp")
def test_dcmtk_confirms_and_keeps_the_same_bytes(
    tmp_path: Path, dcmtk: Callable[[str], str], free_port: Callable[[], int]
) -> None:
    import subprocess

    from gantry.dataset import read_part10
    from gantry.nodes.echo import echo
    from gantry.nodes.registry import target_of

    folder = tmp_path / "received"
    folder.mkdir()
    port = free_port()
    storescp = subprocess.Popen([dcmtk("storescp"), "+B", "-od", str(folder), str(port)])
    try:
        study, node = seed_study(tmp_path, 20), add_node("dcmtk", port)
        deadline = time.monotonic() + 60
        while not echo(target_of(node)).ok:
            assert time.monotonic() < deadline
            time.sleep(0.05)
        order_all(study, node)
        run(node, tmp_path)
        assert statuses(node) == {"confirmed": 20}
        stored = {item.uid: item.dataset for item in study.instances}
        for file in folder.iterdir():
            whole = file.read_bytes()
            found = read_part10(memoryview(whole), total=len(whole))
            assert whole[found.dataset_offset :] == stored.pop(found.sop_instance_uid)
        assert not stored
    finally:
        storescp.terminate()
        storescp.wait(30)
