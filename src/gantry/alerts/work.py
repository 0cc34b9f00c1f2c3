"""Queue functions of alerts. The worker calls `stop_following` at its end."""

from __future__ import annotations

import threading
import time
from contextlib import closing
from datetime import UTC, datetime, timedelta
from typing import Any

import psycopg
from procrastinate import JobContext
from procrastinate.contrib.django import app

from gantry import config, database
from gantry.alerts import dispatch, rules, samples, state
from gantry.facts import CHANNEL, feed

_stop = threading.Event()
#: The job of each minute follows the feed for this long, then leaves it to the next.
_FOLLOW_SECONDS = 57.0
_WAKE_SECONDS = 1.0
#: How long facts are kept for the change feed.
FACTS_KEPT = timedelta(days=30)


class _Stop(threading.Event):
    """Set when the process ends or the queue wants this job to end."""

    def __init__(self, context: JobContext) -> None:
        super().__init__()
        self._context = context

    def is_set(self) -> bool:
        return _stop.is_set() or self._context.should_abort()


@app.periodic(cron="* * * * *")
@app.task(name="gantry.alerts.work.follow", queue="alerts", queueing_lock="webhooks", pass_context=True)
def follow(context: JobContext, timestamp: int) -> None:
    """Tell the webhooks what happens, for a minute; ends at once when there are none."""
    until = time.monotonic() + _FOLLOW_SECONDS
    with closing(database.connect(autocommit=True, application="gantry-webhooks")) as connection:
        follow_until(connection, until, _Stop(context))


def follow_until(connection: psycopg.Connection[Any], until: float, stop: threading.Event) -> None:
    """Collect and send as facts are announced, until a monotonic time."""
    row = connection.execute(database.statements("gantry.alerts")["take_turn"]).fetchone()
    if not row or not row[0]:
        return
    connection.execute(f"LISTEN {CHANNEL}")
    dispatch.tidy(connection)
    sender = dispatch.Sender(config.current())
    try:
        while not stop.is_set() and time.monotonic() < until:
            while dispatch.collect(connection):
                sender.work(connection, stop, seconds=1.0)
            sender.work(connection, stop, seconds=1.0)
            for _ in connection.notifies(timeout=_WAKE_SECONDS, stop_after=1):
                pass
        sender.work(connection, stop, seconds=max(0.0, until - time.monotonic()))
    finally:
        sender.close()


@app.periodic(cron="* * * * *")
@app.task(name="gantry.alerts.work.look", queue="alerts", queueing_lock="alerts-look")
def look(timestamp: int) -> None:
    """Once a minute: count what came and went, look whether something needs a person, tell them."""
    now = datetime.now(UTC)
    with closing(database.connect(autocommit=True, application="gantry-alerts")) as connection:
        samples.sample(connection, now)
        row = connection.execute("SELECT pg_try_advisory_lock(1634497650)").fetchone()
        if not row or not row[0]:
            return
        findings, failed = rules.look_at_all(rules.Look(connection, config.current(), now))
        state.note(connection, findings, failed, now)
        state.tell(now)


@app.periodic(cron="41 3 * * *")
@app.task(name="gantry.alerts.work.prune", queue="alerts", queueing_lock="alerts-prune")
def prune(timestamp: int) -> None:
    """Once a day: remove old facts and old lines of logs."""
    with closing(database.connect(autocommit=True, application="gantry-prune")) as connection:
        feed.prune(connection, datetime.now(UTC) - FACTS_KEPT)
        dispatch.tidy(connection)
        samples.forget(connection, datetime.now(UTC))


def stop_following() -> None:
    """End the job that follows the feed."""
    _stop.set()
