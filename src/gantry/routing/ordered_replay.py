"""Replays that were ordered over REST: a row, a queue job, progress, the result as JSON."""

from __future__ import annotations

import dataclasses
import json
import logging
from contextlib import closing
from datetime import datetime
from typing import Any
from uuid import UUID

from django.db import transaction
from django.utils import timezone

from gantry import database
from gantry.audit.record import SYSTEM, By, record
from gantry.routing import versions
from gantry.routing.errors import BadRule, RoutingError
from gantry.routing.models import Replay
from gantry.routing.replay import ReplayResult, replay

_log = logging.getLogger(__name__)
MAX_DAYS = 3660.0
#: So many may wait or run; each reads the index from end to end.
MAX_OPEN = 3


def order_replay(days: float, candidate: str, by: By = SYSTEM) -> Replay:
    """Order a replay of `candidate` (draft or a version) against the active set. Raises BadRule, NoDraft."""
    from django.db import connection

    from gantry.routing.work import run_replay  # procrastinate's app needs Django ready

    if not 0 < days <= MAX_DAYS:
        raise BadRule(f"a replay goes over more than 0 and at most {MAX_DAYS:.0f} days")
    versions.pick(candidate)
    with transaction.atomic():
        if Replay.objects.filter(state__in=["waiting", "running"]).count() >= MAX_OPEN:
            raise BadRule(f"{MAX_OPEN} replays wait or run already: cancel one, or wait")
        made = Replay.objects.create(days=days, candidate=candidate, ordered_by=by.who, created_at=timezone.now())
        with connection.cursor() as cursor:
            record(cursor, "rules.replay", by, kind="replay", key=str(made.pk), after={"days": days, "candidate": candidate})
        run_replay.defer(replay_id=str(made.pk))
    return made


def run_ordered(replay_id: UUID) -> str:
    """Run it; gives the state in which it ended ('' when it was taken or cancelled before)."""
    queries = database.statements("gantry.routing")
    with (
        closing(database.connect(application="gantry-replay")) as reading,
        closing(database.connect(application="gantry-replay", autocommit=True)) as writing,
    ):
        row = writing.execute(queries["replay_claim"], {"id": replay_id}).fetchone()
        if row is None:
            writing.execute("UPDATE routing_replay SET state = 'cancelled', ended_at = now() "
                            "WHERE id = %s AND state = 'waiting' AND cancel_wanted", [replay_id])  # fmt: skip
            return ""
        days, candidate = row

        def progress(done: int, total: int) -> bool:
            told = writing.execute(queries["replay_progress"], {"id": replay_id, "done": done, "studies": total}).fetchone()
            return told is None or bool(told[0])

        state, error, result = "done", "", None
        try:
            found = replay(reading, versions.active(), versions.pick(candidate), days, progress)
            state = "cancelled" if found.stopped else "done"
            result = json.dumps(as_json(found))
        except RoutingError as reason:
            state, error = "failed", str(reason)[:1000]
        writing.execute(queries["replay_end"], {"id": replay_id, "state": state, "result": result, "error": error})
        _log.info("replay %s: %s", replay_id, state)
        return state


def as_json(result: ReplayResult) -> dict[str, Any]:
    """As JSON values."""
    found = dataclasses.asdict(result)
    found["since"] = result.since.isoformat() if isinstance(result.since, datetime) else str(result.since)
    return found
