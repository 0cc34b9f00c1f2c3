"""From whom a study came, noted where searches look: versions are too many to be asked by a list."""

from __future__ import annotations

from typing import Any
from uuid import UUID

import psycopg

from gantry import database


def remember(connection: psycopg.Connection[Any], batch_id: UUID) -> int:
    """Note the AE titles of a committed batch; gives how many studies had new ones. Doing it twice is no error."""
    with connection.transaction():
        statement = database.statements("gantry.catalogue", "search.sql")["remember_callers"]
        return connection.execute(statement, {"batch_id": batch_id}).rowcount
