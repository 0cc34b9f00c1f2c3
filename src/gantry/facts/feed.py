"""The change feed: facts in an order that never changes, read by cursor.

Ids are given before the commit, so they come out of order: who reads to id 7 may miss id 6, which commits a moment
later. So a reader first numbers what is committed and has no position yet, under a lock, and reads by position.
A horizon of transaction ids (pg_snapshot_xmin) would do too, but a long transaction, such as a backup, would stop
the feed for as long as it takes, and positions survive a restore into another server.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import psycopg

from gantry import database
from gantry.facts.errors import CursorGone

_BATCH = 5000


@dataclass(frozen=True, slots=True)
class Change:
    """One fact in the feed."""

    id: int
    kind: str
    at: datetime
    data: dict[str, Any]


def number(connection: psycopg.Connection[Any]) -> None:
    """Give positions to all that is committed and has none. The connection is in autocommit."""
    queries = database.statements("gantry.facts")
    while not (connection.execute(queries["is_numbered"]).fetchone() or (True,))[0]:
        with connection.transaction():
            connection.execute(queries["lock_numbering"])
            connection.execute(queries["number"], {"limit": _BATCH})


def read(connection: psycopg.Connection[Any], after: int, kinds: Sequence[str], limit: int) -> list[Change]:
    """Up to `limit` facts after a position, numbered before. Raises CursorGone."""
    number(connection)
    queries = database.statements("gantry.facts")
    check(after, connection.execute(queries["ends"]).fetchone())
    rows = connection.execute(queries["feed"], {"after": after, "kinds": list(kinds), "limit": limit}).fetchall()
    return changes(rows)


def check(after: int, ends: Sequence[int] | None) -> None:
    """Whether the feed goes on from there. Raises CursorGone."""
    first, last = ends or (0, 0)
    if after and (after < first - 1 or after > last):
        raise CursorGone(details={"first": first, "last": last})


def changes(rows: Sequence[Sequence[Any]]) -> list[Change]:
    """Rows of the statement `feed` as values."""
    return [Change(int(position), kind, at, json.loads(payload)) for position, kind, payload, at in rows]


def prune(connection: psycopg.Connection[Any], before: datetime) -> int:
    """Remove facts that are older; gives their number."""
    return connection.execute(database.statements("gantry.facts")["prune"], {"before": before}).rowcount


def ends(connection: psycopg.Connection[Any]) -> tuple[int, int]:
    """The first and the last position that is kept; 0 and 0 when there is none."""
    row = connection.execute(database.statements("gantry.facts")["ends"]).fetchone() or (0, 0)
    return int(row[0]), int(row[1])
