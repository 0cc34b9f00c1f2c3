"""Connections to the index for find, get, move and commit: few, short-lived, never on the way of a C-STORE."""

from __future__ import annotations

import os
import select
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress

import psycopg
from psycopg.pq import TransactionStatus

from gantry import database
from gantry.receiver.errors import IndexAway

#: At once in one process; the next one waits so many seconds for its turn.
LIMIT, PATIENCE_SECONDS = 4, 10.0
#: A connection that rests for so long is closed.
IDLE_SECONDS = 10.0


class Index:
    """At most LIMIT connections in autocommit, used again while they are young. Thread-safe."""

    def __init__(self) -> None:
        self._turns = threading.BoundedSemaphore(LIMIT)
        self._lock = threading.Lock()
        self._idle: list[tuple[float, psycopg.Connection]] = []

    @contextmanager
    def connection(self) -> Iterator[psycopg.Connection]:
        """A connection for the length of the block. Raises IndexAway; also when the database goes away inside."""
        if not os.environ.get("GANTRY_DATABASE_URL"):
            raise IndexAway("no database is named")
        if not self._turns.acquire(timeout=PATIENCE_SECONDS):
            raise IndexAway("all connections to the index are taken")
        try:
            connection = self._take()
            try:
                yield connection
            finally:
                self._give_back(connection)
        except psycopg.OperationalError as error:
            raise IndexAway("the index is away") from error
        finally:
            self._turns.release()

    def close(self) -> None:
        """Close what is idle."""
        with self._lock:
            idle, self._idle = self._idle, []
        for _, connection in idle:
            _close(connection)

    def _take(self) -> psycopg.Connection:
        while True:
            with self._lock:
                if not self._idle:
                    break
                since, connection = self._idle.pop()
            if time.monotonic() - since < IDLE_SECONDS and _answers(connection):
                return connection
            _close(connection)
        return database.connect(autocommit=True, application="gantry-receiver")

    def _give_back(self, connection: psycopg.Connection) -> None:
        if connection.closed or connection.info.transaction_status is not TransactionStatus.IDLE:
            _close(connection)
            return
        now = time.monotonic()
        with self._lock:
            self._idle.append((now, connection))
            old = [one for one in self._idle if now - one[0] >= IDLE_SECONDS]
            self._idle = [one for one in self._idle if now - one[0] < IDLE_SECONDS]
        for _, stale in old:
            _close(stale)


def _answers(connection: psycopg.Connection) -> bool:
    """A server that was restarted has closed its end: the next statement would fail without need.

    Then there is something to read (its last words or the end of the stream), and otherwise never, between statements.
    """
    if connection.closed:
        return False
    there = select.poll()  # not select(), which knows no descriptor beyond 1023
    there.register(connection.fileno(), select.POLLIN)
    return not there.poll(0)


def _close(connection: psycopg.Connection) -> None:
    with suppress(psycopg.Error):
        connection.close()
