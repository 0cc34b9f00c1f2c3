"""Remove studies for good: rows in one transaction, files after its commit, whatever crashes in between.

With the rows go the paths of the files into a table of what is doomed. A crash before the commit leaves the study as it
was; one after it leaves paths in that table, and the next run unlinks them. Until then those files are nobody's: the
scrubber does not take them for orphans, so nothing that was removed comes back.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Collection
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import psycopg
from django.db import transaction

from gantry import audit, database
from gantry.accounts import connection as requests
from gantry.catalogue import trash
from gantry.catalogue.errors import StudyMissing
from gantry.catalogue.models import Hold, Instance, Study
from gantry.storage import resolve
from gantry.storage.volume import sync_path

_INSTANCES = 500
#: Files that are unlinked in one go: so long the indexer waits.
_FILES = 200


@dataclass(frozen=True, slots=True)
class Above:
    """What the room of transfers hands in: open deliveries of a study, and the proof of those that ended."""

    count_open: trash.CountOpen
    receipt: Callable[[psycopg.Connection[Any], str], object]


@dataclass(frozen=True, slots=True)
class Removed:
    """What one removal took away."""

    study_instance_uid: str
    instances: int
    bytes: int


def remove_study(uid: str, above: Above, *, by: audit.By, reason: str = "", trashed_only: bool = True) -> Removed:
    """Remove a study and all that depends on it; its files are doomed and go with `unlink_doomed`.

    Unless `trashed_only` is false (recycling), the study has to be in the trash. The receipt of its deliveries is kept.
    On Django's connection, as the cascade over the tables of other rooms is Django's to know.
    Raises StudyMissing, StudyKept.
    """
    now = datetime.now(UTC)
    with transaction.atomic():
        connection = requests.of_request()
        found = trash.lock_study(connection, uid)
        if trashed_only and found.trashed_at is None:
            raise StudyMissing("This study is not in the trash.")
        trash.refuse_if_kept(found, above.count_open(connection, found.id))
        if found.trashed_at is None:
            # The rows of the trash are the memory of what was removed.
            trash.put_in_trash(connection, uid, by=by, reason=reason, count_open=above.count_open, keep_days=0)
        receipt = above.receipt(connection, uid)
        instances, size = _delete(connection, found.id, now)
        _run(connection, "drop_patient", patient_row=found.patient_row)
        trash.end(connection, found.id, by=by, now=now, receipt=receipt)
        audit.record(
            connection, "study.remove", by, kind="study", key=uid, study_uid=uid, patient_id=found.patient_id, reason=reason,
            before={"instances": instances, "bytes": size},
        )  # fmt: skip
    return Removed(uid, instances, size)


def _delete(connection: psycopg.Connection[Any], study_id: int, now: datetime) -> tuple[int, int]:
    """Delete the rows of a study, so many instances at once; gives instances and bytes."""
    count = size = 0
    while ids := [row[0] for row in _run(connection, "instances_of_study", study_id=study_id, limit=_INSTANCES).fetchall()]:
        size += sum(row[0] for row in _run(connection, "doom_files", ids=ids, now=now).fetchall())
        Instance.objects.filter(pk__in=ids).delete()
        count += len(ids)
    Hold.objects.filter(study_id=study_id).delete()  # all are lifted; the audit has them
    Study.objects.filter(pk=study_id).delete()
    return count, size


@dataclass(frozen=True, slots=True)
class Unlinked:
    """Files that are gone, and their bytes by volume (None: the home itself)."""

    files: int
    bytes: dict[int | None, int]


def unlink_doomed(
    connection: psycopg.Connection[Any],
    home: Path,
    exclusive: Callable[[], AbstractContextManager[None]],
    *,
    volume_ids: Collection[int] = (),
    own_objects: bool = True,
) -> Unlinked:
    """Unlink some doomed files of this home and of volumes that are mounted; 0 files: there are no more.

    `exclusive()` keeps the indexer from placing anything: a path that a new arrival has taken meanwhile stays.
    """
    sizes: dict[int | None, int] = {}
    with exclusive(), connection.transaction():
        rows = _run(connection, "doomed", volume_ids=sorted(volume_ids), home=own_objects, limit=_FILES).fetchall()
        folders: set[str] = set()
        for path, volume_id, size, taken in rows:
            if not taken:
                folders.add(_unlink(resolve(home, path)))
                sizes[volume_id] = sizes.get(volume_id, 0) + size
        # Before the paths are forgotten: a file that came back after a power failure would be taken for an orphan.
        for folder in {_existing(place) for place in [_prune(folder) for folder in folders]}:
            sync_path(folder)
        _run(connection, "forget_doomed", paths=[row[0] for row in rows])
    return Unlinked(len(rows), sizes)


def _unlink(path: str) -> str:
    """Unlink a file that may be gone; gives its folder."""
    with contextlib.suppress(FileNotFoundError):
        os.unlink(path)
    return os.path.dirname(path)


def _prune(folder: str) -> str:
    """Remove the folders of series and study that are empty now; gives the first folder that stays."""
    for _ in range(2):
        try:
            os.rmdir(folder)
        except FileNotFoundError:
            pass
        except OSError:
            break
        folder = os.path.dirname(folder)
    return folder


def _existing(folder: str) -> str:
    """The folder, or the nearest one around it that is there."""
    while not os.path.isdir(folder):
        folder = os.path.dirname(folder)
    return folder


def _run(connection: psycopg.Connection[Any], name: str, /, **values: Any) -> psycopg.Cursor[Any]:
    return connection.execute(database.statements("gantry.catalogue", "life.sql")[name], values)
