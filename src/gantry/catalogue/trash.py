"""The trash: a deleted study vanishes from every list and query, its bytes stay, and it can be taken out again.

A study in the trash has counts of 0 and no current version. When something of it arrives anew, the whole study is
taken out of the trash, in the transaction that indexes the arrival: a sender's wish to store is newer than the wish to
delete, and a study is never half in the trash.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, TypeAlias

import psycopg
from psycopg.rows import class_row, namedtuple_row
from psycopg.types.json import Jsonb

from gantry import audit, config, database
from gantry.catalogue.errors import StudyKept, StudyMissing
from gantry.facts.kinds import StudyDeleted
from gantry.facts.publish import publish

#: How many deliveries of a study (by its row) have not ended; handed in by the rooms above.
CountOpen: TypeAlias = Callable[[psycopg.Connection[Any], int], int]
ARRIVED = "an instance of it arrived"


@dataclass(frozen=True, slots=True)
class TrashedStudy:
    """A study that was deleted. `state`: trash, restored or removed; `expires_at`: when it is removed for good."""

    id: int
    study_id: int
    study_instance_uid: str
    state: str
    reason: str
    trashed_by: str
    trashed_at: datetime
    expires_at: datetime
    instance_count: int
    size_bytes: int
    ended_by: str
    ended_at: datetime | None


def lock_study(connection: psycopg.Connection[Any], uid: str) -> Any:
    """The row of a study with what keeps it, held until the transaction ends. Raises StudyMissing."""
    cursor = connection.cursor(row_factory=namedtuple_row)
    found = cursor.execute(database.statements("gantry.catalogue", "life.sql")["lock_study"], {"uid": uid}).fetchone()
    if found is None:
        raise StudyMissing("There is no such study.")
    return found


def refuse_if_kept(found: Any, open_deliveries: int = 0) -> None:
    """Raise StudyKept when a hold, a protection or open deliveries keep a study."""
    if found.holds:
        raise StudyKept("hold", f"A legal hold keeps this study ({', '.join(found.holds)[:200]}): nothing deletes it.")
    if found.protected_at is not None:
        raise StudyKept("protection", f"This study is protected (by {found.protected_by[:80]}): take the protection away first.")
    if open_deliveries:
        raise StudyKept(
            "deliveries", f"{open_deliveries} deliveries of this study have not ended: wait for them, or cancel them."
        )


def put_in_trash(
    connection: psycopg.Connection[Any],
    uid: str,
    *,
    by: audit.By,
    reason: str,
    count_open: CountOpen,
    keep_days: float | None = None,
) -> TrashedStudy:
    """Delete a study: into the trash, for `keep_days` (default: the setting trash_days). One transaction, audited.

    Raises StudyMissing (also when it is in the trash already) and StudyKept.
    """
    days = config.current().trash_days if keep_days is None else keep_days
    now = datetime.now(UTC)
    with connection.transaction():
        found = lock_study(connection, uid)
        if found.trashed_at is not None:
            raise StudyMissing("This study is in the trash already.")
        refuse_if_kept(found, count_open(connection, found.id))
        run, values = _runner(connection), {"study_id": found.id}
        run("hide_versions", **values)
        run("hide_series", **values)
        run("hide_study", **values, now=now)
        run("count_patient", patient_row=found.patient_row, change=-1)
        expires = now + timedelta(days=days)
        row = run(
            "insert_trash", **values, uid=uid, reason=reason, who=by.who, now=now, expires_at=expires,
            instances=found.instance_count, bytes=found.size_bytes,
        ).fetchone()  # fmt: skip
        assert row is not None
        publish(connection, StudyDeleted(found.id, "trash"))
        after = {"instances": found.instance_count, "bytes": found.size_bytes, "expires_at": expires.isoformat()}
        audit.record(
            connection, "study.delete", by, kind="study", key=uid, study_uid=uid, patient_id=found.patient_id, reason=reason,
            after=after,
        )  # fmt: skip
    return TrashedStudy(
        row[0], found.id, uid, "trash", reason, by.who, now, expires, found.instance_count, found.size_bytes, "", None
    )


def restore(connection: psycopg.Connection[Any], uid: str, *, by: audit.By, reason: str = "") -> int:
    """Take a study out of the trash, as it was; gives its number of instances. Raises StudyMissing."""
    with connection.transaction():
        restored = bring_back(connection, [uid], now=datetime.now(UTC), by=by, reason=reason)
        if not restored:
            raise StudyMissing("This study is not in the trash.")
        return restored[uid]


def bring_back(
    connection: psycopg.Connection[Any],
    uids: Collection[str],
    *,
    now: datetime,
    by: audit.By = audit.SYSTEM,
    reason: str = ARRIVED,
) -> dict[str, int]:
    """In the caller's transaction: take those of these studies out of the trash that are in it; gives their instances."""
    run = _runner(connection)
    counts: dict[str, int] = {}
    for study_id, uid, patient_row, patient_id in run("trashed_among", uids=sorted(uids)).fetchall():
        run("show_versions", study_id=study_id)
        run("show_series", study_id=study_id)
        row = run("show_study", study_id=study_id).fetchone()
        run("count_patient", patient_row=patient_row, change=1)
        run("end_trash", study_id=study_id, state="restored", who=by.who, now=now, receipt=None)
        counts[uid] = int(row[0]) if row else 0
        publish(connection, StudyDeleted(study_id, "restored"))
        audit.record(
            connection, "study.restore", by, kind="study", key=uid, study_uid=uid, patient_id=patient_id, reason=reason,
            after={"instances": counts[uid]},
        )  # fmt: skip
    return counts


def list_trash(
    connection: psycopg.Connection[Any],
    *,
    state: str | None = "trash",
    uid: str | None = None,
    before: int | None = None,
    limit: int = 100,
) -> list[TrashedStudy]:
    """Deleted studies, the last deleted first; `state` None: those that were restored or removed, too."""
    values = {"state": state, "uid": uid, "before": before, "limit": limit}
    with psycopg.Cursor(connection, row_factory=class_row(TrashedStudy)) as cursor:
        cursor.execute(database.statements("gantry.catalogue", "life.sql")["list_trash"], values, prepare=False)
        return cursor.fetchall()


def expired(connection: psycopg.Connection[Any], now: datetime, limit: int = 100) -> list[str]:
    """Study Instance UIDs of what has been in the trash long enough."""
    return [row[0] for row in _runner(connection)("expired_trash", now=now, limit=limit).fetchall()]


def end(connection: psycopg.Connection[Any], study_id: int, *, by: audit.By, now: datetime, receipt: object) -> None:
    """Note that a study was removed for good, with the proof of its deliveries."""
    _runner(connection)(
        "end_trash", study_id=study_id, state="removed", who=by.who, now=now, receipt=None if receipt is None else Jsonb(receipt)
    )
    publish(connection, StudyDeleted(study_id, "removed"))


def receipt_of_removed(connection: psycopg.Connection[Any], uid: str) -> Any:
    """The proof of delivery of a study that was removed, as it was then; None when there is none."""
    row = _runner(connection)("receipt_of_removed", uid=uid).fetchone()
    return row[0] if row else None


def _runner(connection: psycopg.Connection[Any]) -> Callable[..., psycopg.Cursor[Any]]:
    statements = database.statements("gantry.catalogue", "life.sql")
    return lambda name, **values: connection.execute(statements[name], values)
