"""Where the bytes of a version are, and which digests are known."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

import psycopg
from psycopg.rows import class_row

from gantry import database


@dataclass(slots=True)
class Known:
    """An instance that is in the index: the study it lies in, and where each of its versions is, by digest.

    `trashed`: the study is in the trash; whoever asks what is here should take it for not here.
    """

    study_instance_uid: str
    digests: dict[bytes, str] = field(default_factory=dict)
    trashed: bool = False


@dataclass(frozen=True, slots=True)
class Location:
    """The bytes of one version; the data set begins at `dataset_offset`.

    `file_path` is relative to the home on whatever volume the file lies: `gantry.storage.resolve(home, file_path)`.
    """

    version_id: int
    study_id: int
    study_instance_uid: str
    series_instance_uid: str
    sop_instance_uid: str
    sop_class_uid: str
    transfer_syntax_uid: str
    file_path: str
    file_bytes: int
    dataset_offset: int
    dataset_bytes: int
    sha256: bytes
    current: bool


def lookup_versions(connection: psycopg.Connection[Any], sop_instance_uids: Collection[str]) -> dict[str, Known]:
    """The instances among these that are in the index, by SOP Instance UID. One query, no locks."""
    sql = database.statements("gantry.catalogue", "index.sql")["lookup_versions"]
    found: dict[str, Known] = {}
    for uid, digest, study, path, trashed in connection.execute(sql, {"uids": list(sop_instance_uids)}):
        known = found.get(uid)
        if known is None:
            known = found[uid] = Known(study, trashed=trashed)
        known.digests[bytes(digest)] = path
    return found


def locate(
    connection: psycopg.Connection[Any],
    *,
    version_ids: Collection[int] | None = None,
    study_id: int | None = None,
    batch_id: UUID | None = None,
) -> list[Location]:
    """The versions with these ids, or the current ones of a study, or those that came with a batch.

    In the order of study, series and instance number, as a receiver would like to get them. What is unknown
    is left out. Exactly one of the three must be given (ValueError).
    """
    if sum(value is not None for value in (version_ids, study_id, batch_id)) != 1:
        raise ValueError("give version_ids, study_id or batch_id")
    sql = database.statements("gantry.catalogue")["locate"]
    ids = list(version_ids) if version_ids is not None else None
    with connection.cursor(row_factory=class_row(Location)) as cursor:
        cursor.execute(sql, {"version_ids": ids, "study_id": study_id, "batch_id": batch_id}, prepare=False)
        return cursor.fetchall()


def every_location(
    connection: psycopg.Connection[Any],
    *,
    page: int = 2000,
    volume_ids: Collection[int] | None = None,
    own_objects: bool = True,
) -> Iterator[Location]:
    """Each version there is, ordered by the bytes of `file_path`, read with a cursor on the server.

    With `volume_ids` only those on these volumes, and with `own_objects` those without a volume. Memory is that of one
    page, whatever the size of the archive. Needs a transaction of its own on `connection` until it is exhausted or closed.
    """
    sql = database.statements("gantry.catalogue")["every_location"]
    with (
        connection.transaction(),
        connection.cursor(name="every_location", row_factory=class_row(Location)) as cursor,
    ):
        cursor.itersize = page
        everywhere = volume_ids is None
        cursor.execute(sql, {"everywhere": everywhere, "volume_ids": sorted(volume_ids or ()), "own_objects": own_objects})
        yield from cursor
