"""Connections that routing jobs use one after the other: opening one costs more than routing a small batch."""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Iterator
from typing import Any

import psycopg

from gantry import database

_MOST = 4
#: One that was used so long ago is asked whether it lives.
_FRESH_SECONDS = 2.0
_idle: list[tuple[str, float, psycopg.Connection[Any]]] = []
_lock = threading.Lock()


@contextlib.contextmanager
def lent() -> Iterator[psycopg.Connection[Any]]:
    """A connection in autocommit that nobody else uses; it goes back when the block ends well, else it is closed."""
    where = database.conninfo()
    connection = _take(where)
    try:
        yield connection
    except BaseException:
        connection.close()
        raise
    # The worker runs jobs in threads of its own; whoever calls one from the main thread wants nothing to stay open.
    if threading.current_thread() is not threading.main_thread():
        with _lock:
            if len(_idle) < _MOST:
                _idle.append((where, time.monotonic(), connection))
                return
    connection.close()


def _take(where: str) -> psycopg.Connection[Any]:
    while True:
        with _lock:
            if not _idle:
                break
            found, used, connection = _idle.pop()
        if found == where and (time.monotonic() - used < _FRESH_SECONDS or _alive(connection)):
            return connection
        connection.close()
    return database.connect(application="gantry-route", autocommit=True)


def _alive(connection: psycopg.Connection[Any]) -> bool:
    """A server that was restarted meanwhile has closed it."""
    try:
        connection.execute("SELECT 1")
    except psycopg.Error:
        return False
    return True


def close_all() -> None:
    """Close what is idle."""
    with _lock:
        idle, _idle[:] = list(_idle), []
    for *_, connection in idle:
        connection.close()
