"""The roll-up behind the dashboard: what came and went in each minute, hour and day, by AE title and by node."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

import psycopg

from gantry import database

MEASURES = ("received_instances", "received_bytes", "index_lag", "forwarded_instances", "forwarded_bytes")
#: A transaction may commit late: the last minutes are counted again each time.
_AGAIN = timedelta(minutes=4)
MINUTES_KEPT = timedelta(days=8)
HOURS_KEPT = timedelta(days=400)


def sample(connection: psycopg.Connection[Any], now: datetime, since: datetime | None = None) -> None:
    """Count the last minutes (or all from `since`), and the hours and days they are in. May be said again any time."""
    queries = database.statements("gantry.alerts", "samples.sql")
    begin = (since or now - _AGAIN).replace(second=0, microsecond=0)
    span = {"since": begin, "until": now.replace(second=0, microsecond=0)}
    with connection.transaction():
        connection.execute(queries["received"], span)
        connection.execute(queries["forwarded"], span)
        connection.execute(queries["roll_up"], {"from": "minute", "into": "hour", "since": begin})
        connection.execute(queries["roll_up"], {"from": "hour", "into": "day", "since": begin})


def forget(connection: psycopg.Connection[Any], now: datetime) -> None:
    """Remove old minutes and hours; days stay."""
    queries = database.statements("gantry.alerts", "samples.sql")
    connection.execute(queries["forget"], {"minutes": now - MINUTES_KEPT, "hours": now - HOURS_KEPT})


def series(
    connection: psycopg.Connection[Any], measure: str, step: str, since: datetime, until: datetime, *, subject: str = "",
    limit: int = 10_000,
) -> list[tuple[datetime, str, float]]:  # fmt: skip
    """What was measured, by time and subject; steps in which nothing happened are left out."""
    values = {"measure": measure, "step": step, "since": since, "until": until, "subject": subject, "limit": limit}
    return connection.execute(database.statements("gantry.alerts", "samples.sql")["series"], values).fetchall()
