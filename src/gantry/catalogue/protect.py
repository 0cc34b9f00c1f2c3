"""Protection and legal hold: what keeps a study from being deleted, by a person or by the machine."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import psycopg
from psycopg.rows import class_row

from gantry import audit, database
from gantry.catalogue.errors import BadRetention, StudyMissing
from gantry.catalogue.trash import lock_study

_LABEL_LIMIT = 80
_REASON_LIMIT = 2000


@dataclass(frozen=True, slots=True)
class HeldStudy:
    """A legal hold on a study; `lifted_at` is empty while it holds."""

    id: int
    study_instance_uid: str
    label: str
    reason: str
    placed_by: str
    placed_at: datetime
    lifted_by: str
    lifted_at: datetime | None
    lift_reason: str


def protect(connection: psycopg.Connection[Any], uid: str, *, by: audit.By, reason: str = "", on: bool = True) -> bool:
    """Protect a study from being recycled and deleted, or (`on` false) no longer; gives whether that changed anything.

    Raises StudyMissing.
    """
    with connection.transaction():
        found = lock_study(connection, uid)
        if (found.protected_at is not None) == on:
            return False
        values = {"study_id": found.id, "at": datetime.now(UTC) if on else None, "who": by.who if on else ""}
        _run(connection, "set_protected", **values)
        act = "study.protect" if on else "study.unprotect"
        audit.record(connection, act, by, kind="study", key=uid, study_uid=uid, patient_id=found.patient_id, reason=reason)
        return True


def hold(connection: psycopg.Connection[Any], uid: str, *, label: str, reason: str, by: audit.By) -> bool:
    """Place a legal hold; gives whether it is new. A study in the trash is held there, too: it is not removed.

    Raises StudyMissing, BadRetention.
    """
    label = _label(label)
    if not reason.strip():
        raise BadRetention("a hold needs a reason")
    with connection.transaction():
        found = lock_study(connection, uid)
        values = {"study_id": found.id, "label": label, "reason": reason[:_REASON_LIMIT], "who": by.who}
        fresh = _run(connection, "place_hold", **values, now=datetime.now(UTC)).fetchone() is not None
        if fresh:
            audit.record(
                connection, "study.hold", by, kind="study", key=uid, study_uid=uid, patient_id=found.patient_id, reason=reason,
                after={"label": label},
            )  # fmt: skip
        return fresh


def lift(connection: psycopg.Connection[Any], uid: str, *, label: str, reason: str, by: audit.By) -> None:
    """Lift a legal hold. Raises StudyMissing when the study has none of this label."""
    label = _label(label)
    with connection.transaction():
        found = lock_study(connection, uid)
        values = {"study_id": found.id, "label": label, "reason": reason[:_REASON_LIMIT], "who": by.who}
        if _run(connection, "lift_hold", **values, now=datetime.now(UTC)).fetchone() is None:
            raise StudyMissing("This study has no hold of this label.")
        audit.record(
            connection, "study.unhold", by, kind="study", key=uid, study_uid=uid, patient_id=found.patient_id, reason=reason,
            before={"label": label},
        )  # fmt: skip


def list_holds(
    connection: psycopg.Connection[Any],
    *,
    uid: str | None = None,
    ended: bool = False,
    before: int | None = None,
    limit: int = 100,
) -> list[HeldStudy]:
    """Holds, the newest first; `ended`: those that were lifted, too."""
    values = {"uid": uid, "ended": ended, "before": before, "limit": limit}
    with psycopg.Cursor(connection, row_factory=class_row(HeldStudy)) as cursor:
        cursor.execute(database.statements("gantry.catalogue", "life.sql")["list_holds"], values, prepare=False)
        return cursor.fetchall()


def _label(text: str) -> str:
    label = text.strip()
    if not 1 <= len(label) <= _LABEL_LIMIT or not label.isprintable():
        raise BadRetention(f"a label has 1 to {_LABEL_LIMIT} printable characters")
    return label


def _run(connection: psycopg.Connection[Any], name: str, /, **values: Any) -> psycopg.Cursor[Any]:
    return connection.execute(database.statements("gantry.catalogue", "life.sql")[name], values)
