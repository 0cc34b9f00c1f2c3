"""Which studies have gone quiet, and which have lost their last association."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

import psycopg

from gantry import database, facts

#: An association that is still open holds a study back for at most this long after its last instance: it may be
#: busy with others for hours, or its end may have been lost with the receiver.
STALE_SECONDS = 600.0
#: A study that was last indexed this far in the future was indexed before the clock was set back. Clocks of several hosts
#: may differ by less; one hour by hand, as for the summer, is more.
CLOCK_SECONDS = 120.0


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


def end_associations(connection: psycopg.Connection[Any], association_ids: Collection[UUID]) -> list[int]:
    """These associations are over: publishes `StudyEnded` for the studies that have no other open one, gives their ids."""
    sql = database.statements("gantry.catalogue", "settle.sql")["end_associations"]
    return _announce(connection, connection.execute(sql, {"association_ids": sorted(association_ids)}).fetchall())


def end_slots(connection: psycopg.Connection[Any], slots: Collection[str]) -> list[int]:
    """The same for all associations of these receiver slots."""
    sql = database.statements("gantry.catalogue", "settle.sql")["end_slots"]
    return _announce(connection, connection.execute(sql, {"slots": sorted(slots)}).fetchall())


def _announce(connection: psycopg.Connection[Any], rows: list[Any]) -> list[int]:
    studies = [int(row[0]) for row in rows]
    facts.publish(connection, *(facts.StudyEnded(study) for study in studies))
    return studies


@dataclass(frozen=True, slots=True)
class Awaited:
    """When something of a study was last indexed, and whether an association that brings it is open."""

    last_indexed_at: datetime
    open: bool


def awaited(connection: psycopg.Connection[Any], study_ids: Collection[int], now: datetime) -> dict[int, Awaited]:
    """How far these studies are; one that is gone is not in the answer. An association is open no longer than STALE_SECONDS."""
    values = {"study_ids": list(study_ids), "stale_since": now - timedelta(seconds=STALE_SECONDS)}
    rows = connection.execute(database.statements("gantry.catalogue", "settle.sql")["awaited"], values).fetchall()
    return {int(row[0]): Awaited(row[1], row[2]) for row in rows}
