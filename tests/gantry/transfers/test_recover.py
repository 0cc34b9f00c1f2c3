"""A worker is killed in the middle: what was not confirmed is sent again, nothing is confirmed twice."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import psycopg
import pytest
from tests.gantry.nodes.destination import Destination
from tests.gantry.transfers.seed import add_node, order_all, seed_study
from tests.gantry.transfers.test_deliver import run, statuses

from dimse.acceptance import StoreAnswer, StoreRequest
from gantry.transfers import owner
from gantry.transfers.models import Delivery
from gantry.transfers.recover import recover, sweep

pytestmark = pytest.mark.django_db(transaction=True)
CHILD = """
    import sys, threading
    from pathlib import Path
    from gantry.nodes.pool import AssociationPool
    from gantry.transfers.deliver import Delivering, deliver
    from gantry.transfers.ledger import Patience
    from gantry.transfers.owner import process_owner
    home = Path(sys.argv[2])
    deliver(int(sys.argv[1]), threading.Event(), Delivering(
        home=home, our_aet="GANTRY", owner=process_owner(home), patience=Patience(1, 1), pool=AssociationPool(0)))
"""


def test_killed_in_the_middle(tmp_path: Path, connection: psycopg.Connection) -> None:
    def behave(_command: StoreRequest) -> StoreAnswer:
        time.sleep(0.02)
        return StoreAnswer()

    with Destination(behave) as destination:
        study, node = seed_study(tmp_path, 60), add_node("archive", destination.port, max_associations=2)
        order_all(study, node)
        child = subprocess.Popen(
            [sys.executable, "-c", textwrap.dedent(CHILD), str(node.pk), str(tmp_path)],
            env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
        )
        deadline = time.monotonic() + 60
        while statuses(node).get("confirmed", 0) < 10:
            assert child.poll() is None
            assert time.monotonic() < deadline
            time.sleep(0.01)
        child.send_signal(signal.SIGKILL)
        child.wait()
        before = dict(Delivery.objects.filter(status="confirmed").values_list("id", "confirmed_at"))
        assert statuses(node).get("sent", 0) > 0
        sent_before = len(destination.attempts)

        found = recover(connection, home=tmp_path)
        assert found.leases > 0
        assert found.nodes == 1
        assert "sent" in statuses(node), "released, and still told as what they are"
        run(node, tmp_path)
        # The confirmed ones were not sent again.
        again = destination.attempts[sent_before:]
        assert len(again) == 60 - len(before)
        assert len(set(again)) == len(again)
    assert statuses(node) == {"confirmed": 60}
    for key, when in before.items():
        assert Delivery.objects.get(pk=key).confirmed_at == when, "confirmed is never written again"


def test_leases_of_the_living_and_of_other_homes_are_kept(tmp_path: Path, connection: psycopg.Connection) -> None:
    study, node = seed_study(tmp_path, 3), add_node("archive", 104)
    order_all(study, node)
    rows = list(Delivery.objects.order_by("id"))
    prefix = owner.home_prefix(tmp_path)
    for row, name in zip(rows, [owner.process_owner(tmp_path), f"{prefix}1:1", "other:1:1"], strict=True):
        Delivery.objects.filter(pk=row.pk).update(status="sent", lease_owner=name, next_attempt_at=node.created_at)
    assert recover(connection, home=tmp_path).leases == 1
    assert [row.lease_owner != "" for row in Delivery.objects.order_by("id")] == [True, False, True]


def test_stalled_jobs_are_queued_again(tmp_path: Path, connection: psycopg.Connection) -> None:
    insert = """INSERT INTO procrastinate_jobs (queue_name, task_name, queueing_lock, args, status, worker_id)
                VALUES ('q', %s, %s, '{}', %s, %s) RETURNING id"""
    old = connection.execute(
        "INSERT INTO procrastinate_workers (last_heartbeat) VALUES (now() - interval '1 hour') RETURNING id"
    ).fetchone()[0]
    live = connection.execute("INSERT INTO procrastinate_workers DEFAULT VALUES RETURNING id").fetchone()[0]
    ids = [
        connection.execute(insert, values).fetchone()[0]
        for values in [
            ("route", None, "doing", old),
            ("route", None, "doing", None),
            ("route", None, "doing", live),
            ("deliver", "deliver-now-1", "todo", None),
            ("deliver", "deliver-now-1", "doing", old),
            ("deliver", "deliver-now-2", "doing", old),
            ("deliver", "deliver-now-2", "doing", old),
        ]
    ]
    assert sweep(connection, home=tmp_path).jobs == 5
    found = dict(connection.execute("SELECT id, status::text FROM procrastinate_jobs WHERE id = ANY(%s)", (ids,)))
    assert [found[job] for job in ids] == ["todo", "todo", "doing", "todo", "failed", "todo", "failed"]


def test_the_sweep_finds_a_forgotten_node(tmp_path: Path, connection: psycopg.Connection) -> None:
    study, node = seed_study(tmp_path, 1), add_node("archive", 104)
    order_all(study, node)
    connection.execute("DELETE FROM procrastinate_jobs")
    assert sweep(connection, home=tmp_path).nodes == 1
    assert connection.execute("SELECT queueing_lock FROM procrastinate_jobs").fetchall() == [(f"deliver-now-{node.pk}",)]


def test_an_owner_is_alive_as_long_as_its_process(tmp_path: Path) -> None:
    child = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    identity = owner._identity(child.pid)
    name = owner.home_prefix(tmp_path) + identity
    assert owner.is_alive(name)
    child.kill()
    deadline = time.monotonic() + 60
    while owner.is_alive(name):  # first a zombie, which holds nothing
        assert time.monotonic() < deadline
        time.sleep(0.01)
    child.wait()
    child.stdin.close()
    assert not owner.is_alive(name)
    assert not owner.is_alive("")
    assert not owner.is_alive("home:not-a-number:1")
    assert owner.is_alive(owner.process_owner(tmp_path))
