"""The bandwidth of a node, shared by all that is sent to it, in whichever process: a bucket of bytes in PostgreSQL."""

from __future__ import annotations

import math
import socket
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime, tzinfo
from typing import Protocol

import psycopg

from gantry import database
from gantry.nodes.calendar import Calendar

#: Work of this priority and more does not wait; what it takes is missing for the others.
URGENT = 100
#: The bucket holds so many seconds of the rate, and small instances are paid for in portions of so many.
_BURST_SECONDS, _PORTION_SECONDS = 0.5, 0.1
_LONGEST_NAP = 0.5
_CLOSED_NAP = 1.0
#: linux/socket.h; not in Python's module. The kernel spreads what one connection sends.
_SO_MAX_PACING_RATE = 47
_NO_PACE = -1


class _Sets(Protocol):
    def setsockopt(self, level: int, name: int, value: int, /) -> None: ...


class Meter:
    """Asked before each instance. Thread-safe. `node_id` 0: only this process."""

    def __init__(self, node_id: int, calendar: Calendar, zone: tzinfo) -> None:
        self._node_id = node_id
        self._calendar = calendar
        #: Of the site: days and hours of the calendar are those of its clock on the wall.
        self.zone = zone
        self._lock = threading.Lock()
        self._connection: psycopg.Connection | None = None
        self._paid = 0.0
        self._own = (0.0, time.monotonic())

    def rate(self) -> float:
        """Bytes per second now; infinite: no limit, 0: closed but for urgent work."""
        return self._calendar.rate_at(datetime.now(UTC), self.zone)

    def opens_at(self) -> datetime | None:
        """When a closed calendar changes next."""
        return self._calendar.next_change(datetime.now(UTC), self.zone)

    def take(self, size: int, priority: int, stopped: Callable[[], bool]) -> float | None:
        """Wait until `size` bytes may go; gives the rate they should keep, bytes per second.

        An instance goes when anything is left in the bucket, and the next one waits for all that it took: so the
        rate holds over time whatever the sizes. None: the calendar has closed, or all is to stop.
        """
        while not stopped():
            rate = self.rate()
            if math.isinf(rate):
                return math.inf
            if priority >= URGENT:
                with self._lock:
                    self._draw(size, rate, urgent=True)
                return math.inf
            if rate == 0:
                return None
            with self._lock:
                if self._paid >= size:
                    self._paid -= size
                    return rate
                portion = max(size, rate * _PORTION_SECONDS)
                granted, left = self._draw(portion, rate, urgent=False)
                if granted:
                    self._paid += portion - size
                    return rate
            time.sleep(min(_LONGEST_NAP, max(0.005, -left / rate)))
        return None

    def close(self) -> None:
        """Give the connection back."""
        with self._lock:
            if self._connection is not None:
                with suppress(psycopg.Error):
                    self._connection.close()
                self._connection = None

    def _draw(self, size: float, rate: float, *, urgent: bool) -> tuple[bool, float]:
        """(granted, what is left in the bucket)."""
        if self._node_id:
            try:
                return self._draw_shared(size, rate, urgent=urgent)
            except psycopg.Error:
                # The database is away: the limit still holds for this process alone.
                self._connection = None
        tokens, at = self._own
        now = time.monotonic()
        tokens = min(rate * _BURST_SECONDS, tokens + rate * (now - at))
        granted = urgent or tokens > 0
        self._own = (tokens - size if granted else tokens, now)
        return granted, self._own[0]

    def _draw_shared(self, size: float, rate: float, *, urgent: bool) -> tuple[bool, float]:
        queries = database.statements("gantry.nodes", "links.sql")
        if self._connection is None or self._connection.closed:
            self._connection = database.connect(application="gantry-meter", autocommit=True)
            self._connection.execute(queries["ensure_link"], {"node_id": self._node_id})
        values = {"node_id": self._node_id, "size": size, "rate": rate, "burst": rate * _BURST_SECONDS, "urgent": urgent}
        row = self._connection.execute(queries["take_tokens"], values).fetchone()
        return (bool(row[0]), float(row[1])) if row is not None else (True, 0.0)  # the node was removed meanwhile


def pace(sock: _Sets, rate: float) -> None:
    """Have the kernel spread what this connection sends, bytes per second; infinite takes that back. Where it cannot,
    the meter alone holds the rate, over seconds."""
    with suppress(OSError):
        sock.setsockopt(
            socket.SOL_SOCKET, _SO_MAX_PACING_RATE, _NO_PACE if math.isinf(rate) else min(max(int(rate), 1000), (1 << 31) - 1)
        )
    if not math.isinf(rate):
        with suppress(OSError):
            # What lies in the buffer is on its way: a second's worth is enough.
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, int(min(max(rate, 32 * 1024), 1 << 20)))
