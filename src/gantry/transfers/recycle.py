"""How long studies are kept: what "delivered" means, the trash emptied in time, retention rules, quotas of volumes.

Only studies all of whose deliveries are confirmed, and each of whose instances was confirmed somewhere, are recycled;
never one that is protected or under a legal hold (catalogue.retention and catalogue.trash see to that).
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import psycopg
from procrastinate import JobContext
from procrastinate.contrib.django import app

from gantry import audit, config, database
from gantry.catalogue import retention, trash
from gantry.catalogue.errors import StudyKept, StudyMissing
from gantry.catalogue.remove import Above, Removed, remove_study, unlink_doomed
from gantry.intake import volumes
from gantry.intake.placing_lock import PlacingLock
from gantry.intake.volumes import HomeVolumes
from gantry.transfers.attempts import forget
from gantry.transfers.errors import StudyMissing as NoReceipt
from gantry.transfers.receipt import receipt

log = logging.getLogger(__name__)

#: Recycling goes on until so much of the quota is used.
LOW_WATER = 0.95
#: Studies that one job sends away at most, so that it ends.
_MOST = 500
RECYCLED = "recycled: the quota of its volume is reached, and it was delivered"


def delivered(connection: psycopg.Connection[Any], study_ids: Sequence[int]) -> dict[int, datetime]:
    """Of some studies those that were delivered as a whole, everywhere it was ordered, and when that was done."""
    sql = database.statements("gantry.transfers", "life.sql")["delivered"]
    return {row[0]: row[1] for row in connection.execute(sql, {"study_ids": list(study_ids)}, prepare=False)}


def count_open_of_study(connection: psycopg.Connection[Any], study_id: int) -> int:
    """Deliveries of a study that have not ended. (Dead ones have: a person looks at them.)"""
    sql = database.statements("gantry.transfers", "life.sql")["count_open_of_study"]
    row = connection.execute(sql, {"study_id": study_id}).fetchone()
    return int(row[0]) if row else 0


def receipt_to_keep(connection: psycopg.Connection[Any], uid: str) -> object:
    """The proof of the deliveries of a study as plain values; None when nothing of it was ever ordered."""
    try:
        found = receipt(connection, uid)
    except NoReceipt:
        return None
    return _plain(found) if found.destinations else None


ABOVE = Above(count_open_of_study, receipt_to_keep)


@dataclass(slots=True)
class LifeRun:
    """What one run did: studies put into the trash by rules, removed from it, recycled for a quota; files unlinked."""

    trashed: int = 0
    removed: int = 0
    recycled: int = 0
    unlinked: int = 0
    notes: list[str] = field(default_factory=list)


def run_life(
    connection: psycopg.Connection[Any], home: Path, *, stop: Callable[[], bool] = lambda: False, now: datetime | None = None
) -> LifeRun:
    """Empty the trash of what has expired, apply the retention rules, recycle for quotas, unlink. Autocommit."""
    now, run = now or datetime.now(UTC), LifeRun()
    for uid in trash.expired(connection, now, _MOST):
        if stop():
            return run
        run.removed += _remove(uid, "its time in the trash is over", trashed_only=True) is not None
    for rule in retention.list_rules(connection):
        if rule.enabled:
            run.trashed += _apply(connection, rule, now, stop)
    known = volumes.of_home(connection, home)
    run.unlinked += unlink_all(connection, known, stop)
    for volume in known.mounted():
        if volume.quota_bytes is not None and not stop():
            run.recycled += _recycle(connection, known, volume, now, stop, run)
    run.unlinked += unlink_all(connection, known, stop)
    return run


def _apply(connection: psycopg.Connection[Any], rule: retention.Rule, now: datetime, stop: Callable[[], bool]) -> int:
    count = 0
    reason = f"retention rule {rule.name}: {rule.days} days after it was {rule.after}"
    for study in retention.due(connection, rule, delivered, now):
        if stop() or count >= _MOST:
            break
        try:
            trash.put_in_trash(
                connection, study.study_instance_uid, by=audit.SYSTEM, reason=reason, count_open=count_open_of_study
            )
            count += 1
        except (StudyKept, StudyMissing):
            continue  # held, protected or deleted since it was found
    return count


def _recycle(
    connection: psycopg.Connection[Any],
    known: HomeVolumes,
    volume: volumes.Volume,
    now: datetime,
    stop: Callable[[], bool],
    run: LifeRun,
) -> int:
    """Remove the oldest delivered studies with bytes on a volume until it is below its quota again."""
    quota = volume.quota_bytes or 0
    used = next((one.used_bytes for one in volumes.list_volumes(connection, volume.home_id) if one.id == volume.id), 0)
    if used < quota:
        return 0
    count, key = 0, known.key(volume)
    for study in retention.recyclable(connection, key, delivered, now):
        if used < quota * LOW_WATER or stop() or count >= _MOST:
            break
        removed = _remove(study.study_instance_uid, RECYCLED, trashed_only=False)
        if removed is not None:
            used -= removed.bytes
            count += 1
    if used >= quota:
        run.notes.append(f"volume {volume.name} is above its quota, and nothing more on it may be recycled")
        log.warning("volume %s is above its quota, and nothing more on it may be recycled", volume.name)
    return count


def _remove(uid: str, reason: str, *, trashed_only: bool) -> Removed | None:
    try:
        return remove_study(uid, ABOVE, by=audit.SYSTEM, reason=reason, trashed_only=trashed_only)
    except (StudyKept, StudyMissing):
        return None


def unlink_all(connection: psycopg.Connection[Any], known: HomeVolumes, stop: Callable[[], bool] = lambda: False) -> int:
    """Unlink every file of this home whose rows are gone; gives their number."""
    lock = PlacingLock(known.home)
    keys = [known.key(one) for one in known.mounted()] if known.rows else [None]
    total = 0
    try:
        while not stop():
            done = unlink_doomed(
                connection, known.home, lock.exclusive, volume_ids=[key for key in keys if key is not None],
                own_objects=None in keys,
            )  # fmt: skip
            volumes.add_used(connection, known, {key: -size for key, size in done.bytes.items()})
            total += done.files
            if not done.files:
                break
    finally:
        lock.close()
    return total


def _plain(value: Any) -> Any:
    from dataclasses import fields, is_dataclass

    if is_dataclass(value) and not isinstance(value, type):
        return {one.name: _plain(getattr(value, one.name)) for one in fields(value)}
    if isinstance(value, list | tuple):
        return [_plain(one) for one in value]
    if isinstance(value, dict):
        return {str(key): _plain(one) for key, one in value.items()}
    if isinstance(value, datetime):
        return value.isoformat()
    return bytes(value).hex() if isinstance(value, bytes | memoryview) else value


@app.periodic(cron="*/5 * * * *")
@app.task(name="gantry.transfers.recycle.life_job", queue="storage", queueing_lock="storage-life", pass_context=True)
def life_job(context: JobContext, timestamp: int) -> None:
    """Every five minutes, for the home of this worker."""
    with closing(database.connect(autocommit=True, application="gantry-storage")) as connection:
        run_life(connection, Path(config.current().home), stop=context.should_abort)
        forget(connection)


@app.task(name="gantry.transfers.recycle.unlink_job", queue="storage", pass_context=True)
def unlink_job(context: JobContext) -> None:
    """Now: unlink what was removed by hand."""
    home = Path(config.current().home)
    with closing(database.connect(autocommit=True, application="gantry-storage")) as connection:
        unlink_all(connection, volumes.of_home(connection, home), context.should_abort)
