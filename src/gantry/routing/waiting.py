"""What rules wait for besides the next batch: the end of the association, and a quiet time of their own."""

from __future__ import annotations

from collections.abc import Collection
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import psycopg

from gantry import config, database
from gantry.catalogue.settle import CLOCK_SECONDS, Awaited, awaited
from gantry.routing.load import ActiveRules, active_rules
from gantry.routing.route import reading, route_study

#: While an association is open that brings the study, a quiet rule looks again after so many seconds.
LOOK_AGAIN = 5.0


def after_batch(connection: psycopg.Connection[Any], batch_id: UUID, active: ActiveRules | None = None) -> None:
    """Something of studies has come: route those whose associations are over already, and set quiet times going."""
    statements = database.statements("gantry.routing", "route.sql")
    if active is None:
        with reading(connection):
            active = active_rules(connection)
    if not (active.quiet_times or active.waits_for_association):
        return
    with connection.transaction():
        studies = [row[0] for row in connection.execute(statements["studies_of_batch"], {"batch_id": batch_id}).fetchall()]
        now = datetime.now(UTC)
        for seconds in sorted(active.quiet_times):
            _look_later(connection, studies, seconds, now + timedelta(seconds=seconds))
        # One with an open association gets the fact StudyEnded when that closes.
        over = [study for study, state in awaited(connection, studies, now).items() if not state.open]
    if active.waits_for_association:
        for study in over:
            route_study(connection, study, "association")


def after_quiet(connection: psycopg.Connection[Any], study_id: int, quiet_seconds: float) -> bool:
    """A quiet time may be over: route the study, or look again when it will be. True when it was routed."""
    now = datetime.now(UTC)
    with connection.transaction():
        state = awaited(connection, [study_id], now).get(study_id)
        if state is None:
            return False
        again = _next_look(state, quiet_seconds, now)
        if again is not None:
            _look_later(connection, [study_id], quiet_seconds, again)
            return False
    route_study(connection, study_id, "settled", quiet_seconds)
    return True


def _next_look(state: Awaited, quiet_seconds: float, now: datetime) -> datetime | None:
    """When to look again; None: it is quiet. What was indexed far in the future was so before the clock was set back."""
    due = state.last_indexed_at + timedelta(seconds=quiet_seconds)
    if now < due and state.last_indexed_at <= now + timedelta(seconds=CLOCK_SECONDS):
        return due
    if state.open and config.current().settle_on_association_end:
        return now + timedelta(seconds=min(LOOK_AGAIN, max(quiet_seconds, 0.5)))
    return None


def _look_later(connection: psycopg.Connection[Any], studies: Collection[int], seconds: float, at: datetime) -> None:
    sql = database.statements("gantry.routing", "route.sql")["defer_quiet"]
    connection.execute(sql, {"study_ids": list(studies), "seconds": seconds, "at": at})
