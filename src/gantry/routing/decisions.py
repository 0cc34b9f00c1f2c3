"""Why did this study go there: the decisions that were kept, and what rules keep back."""

from __future__ import annotations

import json
from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import psycopg
from psycopg.rows import class_row
from psycopg.types.json import set_json_loads

from gantry import database
from gantry.accounts.visible import Visible
from gantry.audit.record import SYSTEM, By, record
from gantry.routing.errors import HeldMissing, RuleMissing
from gantry.routing.route import route_released

MAX_LIMIT = 1000


@dataclass(frozen=True, slots=True)
class DecisionRow:
    """A rule that matched instances of a study: which version of it, what held, what it did."""

    id: int
    study_instance_uid: str | None
    version: int
    rule_name: str
    trigger: str
    conditions: list[str]
    action: dict[str, Any]
    deliveries: int
    held: int
    first_at: datetime
    last_at: datetime


@dataclass(frozen=True, slots=True)
class HeldRow:
    """An instance that a rule keeps back."""

    id: int
    study_instance_uid: str | None
    sop_instance_uid: str | None
    rule_name: str
    reason: str
    state: str
    held_at: datetime
    ended_at: datetime | None
    ended_by: str
    ended_reason: str
    study_id: int


@dataclass(frozen=True, slots=True)
class ProblemRow:
    """A rule of the active set that could not be evaluated, or leads nowhere; how often that was noticed."""

    rule_name: str
    message: str
    count: int
    first_at: datetime
    last_at: datetime


def study_id_of(connection: psycopg.Connection[Any], study_uid: str) -> int:
    """The row of a study. Raises RuleMissing."""
    sql = database.statements("gantry.routing")["study_of_uid"]
    row = psycopg.Cursor(connection).execute(sql, {"study_uid": study_uid}).fetchone()
    if row is None:
        raise RuleMissing("there is no study of this UID in the index: `gantry studies` shows those that are")
    return int(row[0])


def why(
    connection: psycopg.Connection[Any], study_uid: str, *, after: int | None = None, limit: int = MAX_LIMIT
) -> list[DecisionRow]:
    """The decisions of a study, oldest first. Raises RuleMissing for a study that is not there."""
    values = {"study_id": study_id_of(connection, study_uid), "after": after, "limit": max(1, min(limit, MAX_LIMIT + 1))}
    with psycopg.Cursor(connection, row_factory=class_row(DecisionRow)) as cursor:
        set_json_loads(json.loads, cursor)  # Django's own connection reads jsonb as text
        return cursor.execute(database.statements("gantry.routing")["decisions"], values).fetchall()


def list_held(
    connection: psycopg.Connection[Any],
    *,
    state: str = "held",
    study_uid: str | None = None,
    after: int | None = None,
    limit: int = MAX_LIMIT,
    seen: Visible | None = None,
) -> list[HeldRow]:
    """Instances that rules keep back, oldest first; of the studies that are `seen` (None: all)."""
    values = {"state": state, "study_uid": study_uid, "after": after, "limit": max(1, min(limit, MAX_LIMIT + 1))}
    sql = database.statements("gantry.routing")["held"]
    if seen is not None:
        sql = sql.replace("/* seen */ TRUE", seen.condition("h.study_id"))
        values |= seen.params
    with psycopg.Cursor(connection, row_factory=class_row(HeldRow)) as cursor:
        return cursor.execute(sql, values).fetchall()


def release(
    connection: psycopg.Connection[Any], *, ids: Collection[int] | None = None, study_uid: str | None = None, by: By = SYSTEM,
    reason: str = "",
) -> int:  # fmt: skip
    """Let instances go: they are routed as if no rule kept them back. Gives their number. Raises HeldMissing."""
    return _end(connection, "released", ids=ids, study_uid=study_uid, by=by, reason=reason)


def dismiss(
    connection: psycopg.Connection[Any], *, ids: Collection[int] | None = None, study_uid: str | None = None, by: By = SYSTEM,
    reason: str = "",
) -> int:  # fmt: skip
    """Leave instances where they are, for good: stored, never forwarded by a rule. Raises HeldMissing."""
    return _end(connection, "dismissed", ids=ids, study_uid=study_uid, by=by, reason=reason)


def _end(
    connection: psycopg.Connection[Any], state: str, *, ids: Collection[int] | None, study_uid: str | None, by: By, reason: str
) -> int:
    if ids is None and study_uid is None:
        raise HeldMissing("say which: numbers, or a study")
    values = {
        "state": state, "ids": sorted(ids) if ids is not None else None, "study_uid": study_uid, "by": by.who,
        "reason": reason[:1000],
    }  # fmt: skip
    with connection.transaction():
        rows = psycopg.Cursor(connection).execute(database.statements("gantry.routing")["end_held"], values).fetchall()
        if not rows:
            raise HeldMissing("nothing is held under these: `gantry rule held` shows what is")
        record(
            connection, f"rules.{'release' if state == 'released' else 'dismiss'}", by, kind="held",
            key=",".join(map(str, sorted(ids or ())))[:200], study_uid=study_uid or "", reason=reason,
            after={"instances": len(rows)},
        )  # fmt: skip
        if state == "released":
            by_study: dict[int, list[int]] = {}
            for version_id, study_id in rows:
                by_study.setdefault(study_id, []).append(version_id)
            for study_id, version_ids in sorted(by_study.items()):
                route_released(connection, version_ids, study_id)
    return len(rows)


def problems(connection: psycopg.Connection[Any], version: int) -> list[ProblemRow]:
    """Rules of a version that failed, the latest first."""
    with psycopg.Cursor(connection, row_factory=class_row(ProblemRow)) as cursor:
        return cursor.execute(database.statements("gantry.routing")["problems"], {"version": version}).fetchall()
