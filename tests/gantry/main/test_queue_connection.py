"""The queue's worker outlives its connections: every one of them is ended by the server, and jobs go on."""

from __future__ import annotations

import asyncio
import os
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import Any

import psycopg
import pytest
from procrastinate import App
from procrastinate.exceptions import ConnectorException
from psycopg.conninfo import conninfo_to_dict

from gantry.main.queue_connection import LastingConnector, app_over, is_lost
from gantry.transfers.recover import worker_returned

pytestmark = pytest.mark.django_db(transaction=True)
APPLICATION = "gantry-test-queue"


@pytest.fixture
def queue(transactional_db: None) -> Iterator[psycopg.Connection]:
    with psycopg.connect(os.environ["GANTRY_DATABASE_URL"], autocommit=True) as connection:
        connection.execute("TRUNCATE procrastinate_jobs, procrastinate_workers CASCADE")
        yield connection
        connection.execute("TRUNCATE procrastinate_jobs, procrastinate_workers CASCADE")


def returned(worker_id: int, running: list[int]) -> None:
    with psycopg.connect(os.environ["GANTRY_DATABASE_URL"]) as connection:
        worker_returned(connection, worker_id, running)


def end_all(queue: psycopg.Connection) -> int:
    sql = "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity WHERE application_name = %s"
    row = queue.execute(sql, [APPLICATION]).fetchone()
    return int(row[0]) if row else 0


def working(act: Callable[[App, LastingConnector], Any], *, make: Callable[[App], None]) -> None:
    """Run a worker, and `act` in a thread beside it."""

    async def run() -> None:
        parameters = {**conninfo_to_dict(os.environ["GANTRY_DATABASE_URL"]), "application_name": APPLICATION}
        connector = LastingConnector(parameters, returned)
        app = App(connector=connector)
        make(app)
        async with app.open_async():
            worker = asyncio.create_task(
                app.run_worker_async(
                    concurrency=2, delete_jobs="successful", install_signal_handlers=False, worker_middleware=[connector.again],
                    fetch_job_polling_interval=0.5,
                )
            )  # fmt: skip
            try:
                await asyncio.wait_for(asyncio.to_thread(act, app, connector), 90)
                assert not worker.done(), "the worker has ended"
            finally:
                connector.end()
                worker.cancel()
                with suppress(asyncio.CancelledError):
                    await worker

    asyncio.run(run())


def until(condition: Callable[[], object]) -> None:
    deadline = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def defer(queue: psycopg.Connection, task: str, count: int = 1) -> None:
    sql = "INSERT INTO procrastinate_jobs (queue_name, task_name) SELECT 'default', %s FROM generate_series(1, %s)"
    queue.execute(sql, [task, count])


def test_jobs_go_on_when_every_connection_is_ended_again_and_again(queue: psycopg.Connection) -> None:
    begun: list[int] = []

    def make(app: App) -> None:
        @app.task(name="count")
        def count() -> None:
            begun.append(1)

    def act(_app: App, connector: LastingConnector) -> None:
        for round_number in range(1, 3):
            defer(queue, "count", 20)
            until(lambda: len(begun) >= 20 * round_number)  # noqa: B023  it is called in the loop
            until(lambda: end_all(queue) >= 1)
        defer(queue, "count")
        until(lambda: len(begun) >= 41)
        until(lambda: queue.execute("SELECT count(*) FROM procrastinate_jobs").fetchone() == (0,))

    working(act, make=make)
    assert queue.execute("SELECT count(*) FROM procrastinate_workers").fetchone() == (0,), "it left in order"


def test_a_job_that_the_database_interrupted_begins_again(queue: psycopg.Connection) -> None:
    tries: list[str] = []

    def make(app: App) -> None:
        @app.task(name="ask")
        def ask() -> None:
            with psycopg.connect(os.environ["GANTRY_DATABASE_URL"], application_name=APPLICATION) as own:
                tries.append("begun")
                if len(tries) == 1:
                    own.execute("SELECT pg_sleep(60)")
            tries.append("done")

    def act(_app: App, connector: LastingConnector) -> None:
        defer(queue, "ask")
        until(lambda: tries)
        until(lambda: end_all(queue) and "done" in tries)
        until(lambda: queue.execute("SELECT count(*) FROM procrastinate_jobs").fetchone() == (0,))

    working(act, make=make)
    assert tries == ["begun", "begun", "done"]


def test_a_worker_that_was_taken_for_dead_is_back_with_its_jobs(queue: psycopg.Connection) -> None:
    """Another worker has removed its row, and gave its job to nobody: the job ends once, and the next one is taken."""
    gate, ended = threading.Event(), []

    def make(app: App) -> None:
        @app.task(name="wait")
        def wait() -> None:
            gate.wait(60)
            ended.append(1)

    def act(_app: App, connector: LastingConnector) -> None:
        defer(queue, "wait")
        until(lambda: connector.running)
        row = queue.execute("DELETE FROM procrastinate_workers RETURNING id").fetchone()
        assert row is not None
        defer(queue, "wait")  # to be taken with an id that is not there: the queue refuses it at first
        until(lambda: len(connector.running) == 2)
        assert queue.execute("SELECT id FROM procrastinate_workers").fetchone() == row
        assert queue.execute("SELECT count(*) FROM procrastinate_jobs WHERE worker_id = %s", row).fetchone() == (2,)
        gate.set()
        until(lambda: queue.execute("SELECT count(*) FROM procrastinate_jobs").fetchone() == (0,))

    working(act, make=make)
    assert len(ended) == 2


def test_the_clock_orders_its_jobs_over_the_same_connector(queue: psycopg.Connection) -> None:
    """Else the first job of a minute that cannot be ordered ends the worker."""
    from procrastinate.contrib.django import app

    connector = LastingConnector({}, returned)
    ours = app_over(app, connector)
    clocks = ours.periodic_registry.periodic_tasks
    assert set(clocks) == set(app.periodic_registry.periodic_tasks)
    assert len(clocks) > 5
    for key, periodic in clocks.items():
        before = app.periodic_registry.periodic_tasks[key]
        assert periodic.task.configure().job_manager.connector is connector
        assert before.task.configure().job_manager.connector is not connector
        job, old = periodic.task.configure().job, before.task.configure().job
        assert (job.queue, job.queueing_lock, job.task_name) == (old.queue, old.queueing_lock, old.task_name)


def test_what_was_given_without_our_hearing_of_it_is_put_back(queue: psycopg.Connection) -> None:
    queue.execute(
        "INSERT INTO procrastinate_workers (id, last_heartbeat) OVERRIDING SYSTEM VALUE VALUES (7, now() - interval '1 h')"
    )
    defer(queue, "x", 3)
    queue.execute("UPDATE procrastinate_jobs SET status = 'doing', worker_id = 7")
    ids = [row[0] for row in queue.execute("SELECT id FROM procrastinate_jobs ORDER BY id")]
    with psycopg.connect(os.environ["GANTRY_DATABASE_URL"]) as connection:
        assert worker_returned(connection, 7, ids[:1]) == 2
    found = queue.execute("SELECT status, worker_id FROM procrastinate_jobs ORDER BY id").fetchall()
    assert found == [("doing", 7), ("todo", None), ("todo", None)]
    fresh = "SELECT count(*) FROM procrastinate_workers WHERE last_heartbeat > now() - interval '1 minute'"
    assert queue.execute(fresh).fetchone() == (1,)


def test_which_errors_are_a_lost_connection(queue: psycopg.Connection) -> None:
    with pytest.raises(psycopg.OperationalError) as refused:
        psycopg.connect("postgresql://nobody@127.0.0.1:1/none", connect_timeout=1)
    assert is_lost(refused.value)
    with pytest.raises(psycopg.errors.DivisionByZero) as wrong:
        queue.execute("SELECT 1 / 0")
    assert not is_lost(wrong.value)
    with pytest.raises(psycopg.errors.QueryCanceled) as late:
        queue.execute("SET statement_timeout = 1; SELECT pg_sleep(5)")
    queue.execute("RESET statement_timeout")
    assert not is_lost(late.value), "a slow statement is slow again"
    wrapped = ConnectorException()
    wrapped.__cause__ = refused.value
    assert is_lost(wrapped)
    assert not is_lost(None)
