"""Rows of one statement as they come, in chunks, below psycopg's adaptation: constant memory without a cursor.

The server sends, we take a chunk when the one before is used up: what is not taken stays in the socket, and the server
waits. One round trip for an answer of one chunk; a cursor took four and a transaction.
"""

from __future__ import annotations

import re
import select
import time
from collections.abc import Callable, Generator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date
from typing import Any
from weakref import WeakKeyDictionary

import psycopg
from psycopg import pq
from psycopg.pq.abc import PGresult

from gantry.catalogue.errors import QueryStopped

#: Rows of a chunk: memory is that of one, and most answers are one.
PAGE = 200
#: How often somebody who no longer waits is noticed, seconds.
LOOK_SECONDS = 0.02
#: A statement that does not end so long after it was cancelled takes its connection with it, seconds.
CANCEL_SECONDS = 5.0
#: Plans that one connection keeps.
KEPT = 32
_PARAMETER = re.compile(r"%\((p[0-9]+)\)s")
Rows = Sequence[Sequence[bytes | None]]
_ROWS = frozenset({pq.ExecStatus.TUPLES_OK, pq.ExecStatus.SINGLE_TUPLE, getattr(pq.ExecStatus, "TUPLES_CHUNK", 12)})


@dataclass(frozen=True, slots=True)
class Statement:
    """SQL with parameters `%(p0)s`, each with a cast: text, numbers, dates, or lists of the first two.

    `reused`: its plan is kept by the connection. Only where any values have the same best plan.
    """

    text: str
    parameters: Mapping[str, Any]
    reused: bool = False

    def extended(self, more: str) -> Statement:
        """With more text at its end."""
        return replace(self, text=f"{self.text} {more}")


class _Kept:
    """The plans of one connection: text of the statement to name. What comes once is not kept."""

    def __init__(self) -> None:
        self.names: dict[str, bytes] = {}
        self.seen: dict[str, None] = {}
        self.number = 0


_kept: WeakKeyDictionary[psycopg.Connection[Any], _Kept] = WeakKeyDictionary()


def streamed(connection: psycopg.Connection[Any], statement: Statement, stop: Callable[[], bool]) -> Generator[Rows, None, None]:
    """Chunks of PAGE rows; the last one is shorter, perhaps empty, and given when the statement has ended.

    `stop` is asked every LOOK_SECONDS while the database works. Raises QueryStopped, psycopg errors. Closed early,
    it cancels the statement.
    """
    server = connection.pgconn
    order: list[str] = []

    def placed(found: re.Match[str]) -> str:
        order.append(found[1])
        return f"${len(order)}"

    text = _PARAMETER.sub(placed, statement.text)
    values = [_literal(statement.parameters[name]) for name in order]
    name = _name(connection, text) if statement.reused else None
    if name is not None:
        server.send_query_prepared(name, values)
    else:
        server.send_query_params(text.encode(), values)
    reader = _Reader(connection, stop)
    try:
        reader.begin()
        rows: list[list[bytes | None]] = []
        while (result := reader.next()) is not None:
            columns = range(result.nfields)
            rows += [[result.get_value(row, column) for column in columns] for row in range(result.ntuples)]
            while len(rows) >= PAGE:
                yield rows[:PAGE]
                rows = rows[PAGE:]
        yield rows
    finally:
        reader.close()


def _literal(value: Any) -> bytes:
    """As text: the casts of the statement say what it is."""
    if isinstance(value, list):
        return b"{" + b",".join(b'"%s"' % _literal(one).replace(b"\\", b"\\\\").replace(b'"', b'\\"') for one in value) + b"}"
    if isinstance(value, date):
        return value.isoformat().encode()
    return str(value).encode()


def _name(connection: psycopg.Connection[Any], text: str) -> bytes | None:
    """Under which name the connection keeps the plan; None: not kept (yet)."""
    kept = _kept.setdefault(connection, _Kept())
    name = kept.names.get(text)
    if name is not None:
        return name
    if text not in kept.seen:
        kept.seen[text] = None
        if len(kept.seen) > 4 * KEPT:
            del kept.seen[next(iter(kept.seen))]
        return None
    if len(kept.names) >= KEPT:
        oldest = next(iter(kept.names))
        _done(connection.pgconn.exec_(b"DEALLOCATE " + kept.names.pop(oldest)))
    kept.number += 1
    name = b"gantry_find_%d" % kept.number
    _done(connection.pgconn.prepare(name, text.encode()))
    kept.names[text] = name
    return name


def _done(result: PGresult) -> None:
    if result.status != pq.ExecStatus.COMMAND_OK:
        raise psycopg.errors.error_from_result(result)


class _Reader:
    """The results of the statement that was just sent."""

    def __init__(self, connection: psycopg.Connection[Any], stop: Callable[[], bool]) -> None:
        self._connection = connection
        self._server = connection.pgconn
        self._stop = stop
        self._stopped = self._ended = False
        self._answer = select.poll()  # not select(), which knows no descriptor beyond 1023
        self._answer.register(self._server.socket, select.POLLIN)

    def begin(self) -> None:
        """Have rows as they come, and the statement sent."""
        try:
            self._server.set_chunked_rows_mode(PAGE)
        except (psycopg.NotSupportedError, AttributeError):  # libpq before 17
            self._server.set_single_row_mode()
        self._answer.modify(self._server.socket, select.POLLIN | select.POLLOUT)
        while self._server.flush():  # a long list of UIDs may not fit into the socket buffer
            self._answer.poll(LOOK_SECONDS * 1000)
            self._server.consume_input()
        self._answer.modify(self._server.socket, select.POLLIN)

    def next(self) -> PGresult | None:
        """The next result with rows, None at the end. Raises QueryStopped, psycopg errors."""
        server = self._server
        while server.is_busy():
            if self._answer.poll(LOOK_SECONDS * 1000):
                server.consume_input()
            elif not self._stopped and self._stop():
                self._stopped = True
                self._connection.cancel_safe(timeout=CANCEL_SECONDS)
        result = server.get_result()
        if result is None:
            self._ended = True
            return None
        if result.status not in _ROWS:
            while server.get_result() is not None:
                pass
            self._ended = True
            error = psycopg.errors.error_from_result(result)
            if self._stopped and isinstance(error, psycopg.errors.QueryCanceled):
                raise QueryStopped(QueryStopped.__doc__) from error
            raise error
        return result

    def close(self) -> None:
        """End the statement, and have the connection ready for the next one, or closed."""
        if self._ended or self._connection.closed:
            return
        try:
            self._connection.cancel_safe(timeout=CANCEL_SECONDS)
            until = time.monotonic() + CANCEL_SECONDS
            while True:
                while self._server.is_busy():
                    if time.monotonic() > until:
                        self._connection.close()
                        return
                    if self._answer.poll(LOOK_SECONDS * 1000):
                        self._server.consume_input()
                if self._server.get_result() is None:
                    return
        except psycopg.Error:
            self._connection.close()
