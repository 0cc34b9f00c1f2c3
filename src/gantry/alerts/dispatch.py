"""From the change feed to webhooks: what happened becomes notices, notices are sent, each webhook in its own thread.

A receiver that hangs costs one thread for ten seconds, then longer and longer pauses; the others go on.
"""

from __future__ import annotations

import json
import logging
import threading
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import psycopg

from gantry import database, sealing
from gantry.alerts.errors import BadWebhook, NotSent
from gantry.alerts.guard import parse
from gantry.alerts.models import PURPOSE
from gantry.alerts.post import post
from gantry.config import Config
from gantry.facts import feed
from gantry.facts.feed import Change

log = logging.getLogger("gantry.alerts")
_PACKAGE = "gantry.alerts"
#: Seconds before the next attempt, by failures in a row.
PAUSES = (5, 30, 120, 600, 1800, 3600, 3 * 3600, 6 * 3600)
MAX_ATTEMPTS = len(PAUSES)
#: What waited so long, because its receiver was away, is of no use any more.
MAX_AGE = timedelta(days=3)
KEPT = timedelta(days=30)
THREADS = 16
_PAGE = 500
#: Waiting notices of one webhook; what comes beyond waits in the change feed.
_BACKLOG = 2000


def collect(connection: psycopg.Connection[Any]) -> int:
    """Make notices of what happened since; gives their number. The connection is in autocommit."""
    queries = database.statements(_PACKAGE)
    feed.number(connection)
    made = 0
    with connection.transaction():
        first, last = feed.ends(connection)
        for webhook_id, kinds, position in connection.execute(queries["take_webhooks"]).fetchall():
            backlog = connection.execute(queries["backlog"], {"webhook_id": webhook_id}).fetchone()
            if backlog and backlog[0] >= _BACKLOG:
                continue
            # Positions begin anew when the database was restored, and old facts are removed.
            start = position if first - 1 <= position <= last else last
            found = feed.read(connection, start, kinds, _PAGE)
            if found:
                bodies = _bodies(connection, found)
                connection.execute(
                    queries["insert_notices"],
                    {"webhook_id": webhook_id, "kinds": [change.kind for change in found], "bodies": bodies},
                )
            reached = found[-1].id if len(found) == _PAGE else last
            if reached != position:
                connection.execute(queries["advance"], {"webhook_id": webhook_id, "position": reached})
            made += len(found)
    return made


def _bodies(connection: psycopg.Connection[Any], found: Sequence[Change]) -> list[str]:
    """The messages: identifiers and counts; of alerts also their words, which hold no patient data."""
    ids = [change.data["alert_id"] for change in found if change.kind == "AlertChanged"]
    alerts: dict[int, Mapping[str, Any]] = {}
    if ids:
        names = ("id", "rule", "subject", "state", "message", "remedy", "opened_at", "closed_at")
        rows = connection.execute(database.statements(_PACKAGE)["alert_of_fact"], {"ids": ids}).fetchall()
        alerts = {row[0]: dict(zip(names, row, strict=True)) for row in rows}
    bodies = []
    for change in found:
        data = {**change.data}
        if alert := alerts.get(data.get("alert_id", 0)):
            data = {**alert, **data}
        content = {"type": change.kind, "id": change.id, "timestamp": change.at.isoformat(), "data": data}
        bodies.append(json.dumps(content, default=lambda value: value.isoformat()))
    return bodies


class Sender:
    """Sends what is due, several webhooks at once, one notice at a time to each. Close it."""

    def __init__(self, settings: Config, threads: int = THREADS) -> None:
        self._settings = settings
        self._threads = threads
        self._pool = ThreadPoolExecutor(threads, thread_name_prefix="webhook")
        self._running: dict[Future[tuple[int | None, str, bool]], tuple[int, int, int, str]] = {}

    def work(self, connection: psycopg.Connection[Any], stop: threading.Event, seconds: float) -> int:
        """Send for up to so many seconds or until nothing is due and nothing runs; gives how many were confirmed."""
        sent = 0
        deadline = time.monotonic() + seconds
        while not stop.is_set() and time.monotonic() < deadline:
            self._start_due(connection)
            if not self._running:
                break
            done, _ = wait(self._running, timeout=0.25, return_when=FIRST_COMPLETED)
            for future in done:
                sent += self._note(connection, future)
        return sent

    def close(self) -> None:
        """Wait for what runs, ten seconds at most; what comes of it is not noted and will be sent again."""
        self._pool.shutdown(wait=True, cancel_futures=True)

    def _start_due(self, connection: psycopg.Connection[Any]) -> None:
        free = self._threads - len(self._running)
        if free <= 0:
            return
        busy = [webhook_id for webhook_id, *_ in self._running.values()]
        rows = connection.execute(database.statements(_PACKAGE)["due"], {"busy": busy, "limit": free}).fetchall()
        for webhook_id, name, url, secret, failures, notice_id, kind, body, attempts in rows:
            future = self._pool.submit(self._attempt, webhook_id, url, secret, notice_id, kind, body)
            self._running[future] = (webhook_id, notice_id, max(failures, attempts), name)

    def _attempt(
        self, webhook_id: int, url: str, sealed: str, notice_id: int, kind: str, body: str
    ) -> tuple[int | None, str, bool]:
        """HTTP status, explanation (empty: sent), whether the receiver wants no more."""
        try:
            secret = sealing.reveal(Path(self._settings.home), sealed, PURPOSE.format(key=webhook_id))
            target = parse(url, self._settings)
            return post(target, secret, f"msg_{notice_id}", kind, body.encode("utf-8"), self._settings), "", False
        except NotSent as error:
            return error.status, str(error), error.gone
        except (BadWebhook, sealing.SecretUnavailable) as error:
            return None, str(error), False
        except Exception as error:
            log.exception("a webhook could not be sent")
            return None, f"a fault of ours: {type(error).__name__}", False

    def _note(self, connection: psycopg.Connection[Any], future: Future[tuple[int | None, str, bool]]) -> bool:
        _, notice_id, failures, name = self._running.pop(future)
        status, explanation, gone = future.result()
        queries = database.statements(_PACKAGE)
        if not explanation:
            connection.execute(queries["sent"], {"notice_id": notice_id, "status": status})
            return True
        dead = gone or failures + 1 >= MAX_ATTEMPTS
        connection.execute(
            queries["failed"],
            {"notice_id": notice_id, "status": status, "explanation": explanation[:500], "dead": dead, "gone": gone,
             "pause": PAUSES[min(failures, len(PAUSES) - 1)]},
        )  # fmt: skip
        log.warning("webhook %s: %s%s", name, explanation, "; given up" if dead else "")
        return False


def tidy(connection: psycopg.Connection[Any]) -> None:
    """Give up what waited too long, remove old lines of the log."""
    now = datetime.now(UTC)
    queries = database.statements(_PACKAGE)
    connection.execute(queries["expire"], {"before": now - MAX_AGE})
    connection.execute(queries["prune"], {"before": now - KEPT})
