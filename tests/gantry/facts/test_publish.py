"""A fact, its jobs and its announcement: all with the caller's commit, or none."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from uuid import uuid4

import psycopg
import pytest
from procrastinate.contrib.django import app

from gantry import database
from gantry.facts import CHANNEL, Arrived, Settled, publish, subscribe
from gantry.facts.models import Fact


@dataclass
class Task:
    """What publish() needs of a queue function."""

    name: str
    queue: str = "default"
    priority: int = 0
    lock: str | None = None
    queueing_lock: str | None = None


@pytest.fixture
def table() -> Iterator[None]:
    """An empty table of subscriptions; the one of the house comes back afterwards."""
    from importlib import import_module

    module = import_module("gantry.facts.subscribe")
    before = {kind: list(tasks) for kind, tasks in module._table.items()}
    module.forget_all()
    yield
    module.forget_all()
    module._table.update(before)


@pytest.fixture
def connection(transactional_db: None) -> Iterator[psycopg.Connection]:
    with database.connect() as opened:
        opened.execute("TRUNCATE procrastinate_jobs CASCADE")  # not a table of Django's, which would empty it
        opened.commit()
        yield opened


def jobs(connection: psycopg.Connection) -> list[tuple[str, str, dict[str, object]]]:
    return connection.execute("SELECT task_name, queue_name, args FROM procrastinate_jobs ORDER BY id").fetchall()


def test_a_rollback_leaves_neither_fact_nor_job(table: None, connection: psycopg.Connection) -> None:
    subscribe(Arrived, Task("route"))
    publish(connection, Arrived(uuid4(), 3))
    assert Fact.objects.count() == 0, "nothing is seen before the commit"
    assert len(jobs(connection)) == 1, "the job is in the same transaction"
    connection.rollback()
    assert (Fact.objects.count(), jobs(connection)) == (0, [])


def test_a_commit_brings_fact_jobs_and_announcement(table: None, connection: psycopg.Connection) -> None:
    subscribe(Arrived, Task("route", queue="routing"))
    subscribe(Arrived, Task("count", lock="counting"))
    subscribe(Settled, Task("archive"))
    batch = uuid4()
    with database.connect(autocommit=True) as listener:
        listener.execute(f"LISTEN {CHANNEL}")
        (fact_id,) = publish(connection, Arrived(batch, 3))
        connection.commit()
        notices = list(listener.notifies(timeout=60, stop_after=1))
    assert [notice.payload for notice in notices] == [f"{fact_id} Arrived"]
    assert jobs(connection) == [("route", "routing", {"batch_id": str(batch)}), ("count", "default", {"batch_id": str(batch)})]
    fact = Fact.objects.get(id=fact_id)
    assert (fact.kind, fact.payload) == ("Arrived", {"batch_id": str(batch), "instances": 3})


def test_many_facts_at_once(table: None, connection: psycopg.Connection) -> None:
    subscribe(Settled, Task("archive"))
    assert publish(connection) == []
    ids = publish(connection, *(Settled(number) for number in range(50)))
    connection.commit()
    assert len(set(ids)) == 50
    assert [args["study_id"] for _, _, args in jobs(connection)] == list(range(50))
    assert {fact.payload["study_id"] for fact in Fact.objects.all()} == set(range(50))


def test_a_real_task_can_be_subscribed(table: None, connection: psycopg.Connection) -> None:
    @app.task(name="tests.follow", queue="tests")
    def follow(study_id: int) -> None:
        """Never run here."""

    subscribe(Settled, follow)
    subscribe(Settled, follow)
    publish(connection, Settled(7))
    connection.commit()
    assert jobs(connection) == [("tests.follow", "tests", {"study_id": 7})]


def test_a_failing_insert_is_an_error_of_psycopg(table: None, connection: psycopg.Connection) -> None:
    """So that the caller can tell a lost connection from a fault of its rows."""
    subscribe(Settled, Task("archive", queue="q" * 300))
    with pytest.raises(psycopg.errors.StringDataRightTruncation):
        publish(connection, Settled(1))


def test_a_task_with_a_queueing_lock_is_refused(table: None) -> None:
    with pytest.raises(ValueError, match="queueing lock"):
        subscribe(Settled, Task("archive", queueing_lock="one"))
