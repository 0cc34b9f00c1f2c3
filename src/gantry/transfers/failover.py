"""Pass deliveries on to the next node of their failover list, when theirs is dead or cannot be reached for long."""

from __future__ import annotations

import logging

import psycopg

from gantry import database
from gantry.transfers.order import defer_now

_log = logging.getLogger(__name__)
CHUNK = 500


def pass_on(connection: psycopg.Connection) -> int:
    """To be called now and then; gives how many deliveries went on. Rows of both nodes tell of each other."""
    queries = database.statements("gantry.transfers", "healing.sql")
    passed = 0
    while True:
        with connection.transaction():
            skipped = connection.execute(queries["skip_removed"], {"limit": CHUNK}).rowcount
            rows = connection.execute(queries["pass_on"], {"limit": CHUNK}).fetchall()
            defer_now(connection, {row[0] for row in rows})
        passed += len(rows)
        if len(rows) < CHUNK and not skipped:
            break
    if passed:
        _log.warning("%d deliveries were passed on to the next node of their list", passed)
    return passed
