"""Sort studies into institutes by their sources: what arrived by this AE title, from this address, of this institution.

A study belongs to every institute one of whose sources fits any of its versions. New studies are sorted when their
batch was committed (a queue function after Arrived); all of them when sources change.
"""

from __future__ import annotations

from typing import Any
from uuid import UUID

import psycopg

from gantry import database
from gantry.catalogue.find import like

_SQL = "belong.sql"


def _sources(connection: psycopg.Connection[Any]) -> dict[str, list[Any]]:
    rows = connection.execute(database.statements("gantry.catalogue", _SQL)["sources"]).fetchall()
    return {
        "institutes": [row[0] for row in rows], "kinds": [row[1] for row in rows], "patterns": [like(row[2]) for row in rows],
    }  # fmt: skip


def belong_batch(connection: psycopg.Connection[Any], batch_id: UUID) -> int:
    """Sort the studies that a committed batch touched; gives how many found an institute anew. Doing it twice is no error."""
    with connection.transaction():
        sources = _sources(connection)
        if not sources["institutes"]:
            return 0
        statement = database.statements("gantry.catalogue", _SQL)["belong_batch"]
        return connection.execute(statement, {**sources, "batch_id": batch_id}).rowcount


def belong_all(connection: psycopg.Connection[Any]) -> tuple[int, int]:
    """Sort everything anew, in one transaction; gives how many (study, institute) came and went.

    One pass over the versions: some seconds for a million. Forgets what pointed at studies that are gone.
    """
    queries = database.statements("gantry.catalogue", _SQL)
    with connection.transaction():
        # Two at once, or a batch in between, would work with sources of before.
        connection.execute("LOCK TABLE accounts_belonging IN SHARE ROW EXCLUSIVE MODE")
        connection.execute(queries["wanted"], _sources(connection))
        went = connection.execute(queries["leave"]).rowcount
        came = connection.execute(queries["join"]).rowcount
        connection.execute(queries["end_grants"])
        connection.execute("DROP TABLE belonging_wanted")
    return came, went
