"""Which studies have gone quiet."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

import psycopg

from gantry import database

#: An association that is still open holds a study back for at most this long after its last instance: it may be
#: busy with others for hours, or its end may have been lost with the receiver.
STALE_SECONDS = 600.0
#: A study that was last indexed this far in the future was indexed before the clock was set back.
CLOCK_SECONDS = 3600.0


def settle_due(
    connection: psycopg.Connection[Any],
    quiet_seconds: float,
    on_association_end: bool,
    now: datetime,
    limit: int = 500,
) -> list[int]:
    """Mark the studies that are due as settled and give their ids; the caller publishes the facts and commits.

    Due is an open study with nothing indexed for `quiet_seconds` and, where `on_association_end`, without an
    open association. A study that another process is writing just now is left for later, without waiting.
    """
    sql = database.statements("gantry.catalogue")["settle_due"]
    values = {
        "now": now,
        "quiet_since": now - timedelta(seconds=quiet_seconds),
        "stale_since": now - timedelta(seconds=max(STALE_SECONDS, quiet_seconds)),
        "impossible": now + timedelta(seconds=CLOCK_SECONDS),
        "on_association_end": on_association_end,
        "limit": limit,
    }
    return sorted(row[0] for row in connection.execute(sql, values).fetchall())
