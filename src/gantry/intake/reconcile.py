"""Index and volume, both ways: what `storage.verify` needs to know, and how its findings are mended.

Mending never deletes what could be the only copy: a file that no row names goes through the door again, a row
whose file is missing is told to a person.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, TypeAlias
from uuid import uuid4

import psycopg

from gantry import config, database
from gantry.catalogue import every_location
from gantry.dataset import DamagedHeader, NotDicom, normalise_uid, read_part10, scan_identity
from gantry.intake.await_index import await_index
from gantry.intake.examine import quarantine_id
from gantry.intake.place import take_back
from gantry.intake.volumes import HomeVolumes
from gantry.storage import ExpectedFile, Finding, SpoolWriter, is_away, open_object, volume_of
from gantry.storage.errors import ObjectMissing, SlotBusy, StorageError
from gantry.storage.layout import resolve
from gantry.storage.verify import remove_leftover

Action: TypeAlias = Literal["indexed", "restored", "removed", "left"]
_HEAD = 16 * 1024 * 1024
_BATCH = 200


@dataclass(frozen=True, slots=True)
class Mended:
    """What was done about a finding.

    `indexed` again, `restored` to the place its row names, `removed` as a second copy or half-written, or
    `left` for a person, with the reason.
    """

    finding: Finding
    action: Action
    explanation: str


@dataclass(frozen=True, slots=True)
class _Orphan:
    finding: Finding
    sop_instance_uid: str
    sha256: bytes
    dataset_offset: int


def expected_files(connection: psycopg.Connection[Any], volumes: HomeVolumes | None = None) -> Iterator[ExpectedFile]:
    """Every file that must be there: all versions in the order of their paths, then what is held in quarantine.

    With `volumes` those of one home, where several share a database.
    """
    ids = volumes.ids if volumes is not None else None
    for place in every_location(connection, volume_ids=ids, own_objects=volumes is None or volumes.own is None):
        yield ExpectedFile(place.file_path, bytes(place.sha256), place.dataset_offset, place.dataset_bytes)
    sql = database.statements("gantry.intake")["every_held"]
    with connection.transaction(), connection.cursor(name="every_held") as cursor:
        cursor.execute(sql)
        for path, sha256, offset, size in cursor:
            yield ExpectedFile(path, bytes(sha256), offset, size)


def known_paths(connection: psycopg.Connection[Any], paths: Sequence[str]) -> set[str]:
    """Which of these paths a version or a held object has. One query."""
    sql = database.statements("gantry.intake")["known_paths"]
    with connection.transaction():
        return {row[0] for row in connection.execute(sql, {"paths": list(paths)})}


def mend(connection: psycopg.Connection[Any], home: Path, findings: Iterable[Finding]) -> Iterator[Mended]:
    """Mend what can be mended; each finding that is not `ok` is answered once. Raises psycopg and storage errors."""
    orphans: list[Finding] = []
    for finding in findings:
        if finding.kind == "orphan":
            orphans.append(finding)
            if len(orphans) == _BATCH:
                yield from _mend_orphans(connection, home, orphans)
                orphans = []
        elif finding.kind == "leftover":
            yield _remove_leftover(home, finding)
        elif finding.kind != "ok":
            yield Mended(finding, "left", "the bytes are not here; import them again, or restore a backup")
    yield from _mend_orphans(connection, home, orphans)


def _remove_leftover(home: Path, finding: Finding) -> Mended:
    try:
        remove_leftover(home, finding.path)
    except SlotBusy:
        return Mended(finding, "left", "its slot has a writer again")
    except (StorageError, OSError):
        return Mended(finding, "left", "only half-written files are removed")
    return Mended(finding, "removed", finding.explanation)


def _mend_orphans(connection: psycopg.Connection[Any], home: Path, findings: list[Finding]) -> Iterator[Mended]:
    orphans: list[_Orphan] = []
    for finding in findings:
        orphan = _read(home, finding)
        if isinstance(orphan, Mended):
            yield orphan
        else:
            orphans.append(orphan)
    unknown = []
    for orphan in orphans:
        place = _place_of(connection, orphan)
        if place is None:
            unknown.append(orphan)
        else:
            yield _second_copy(connection, home, orphan, *place)
    if not unknown:
        return
    settings = config.current()
    slot = f"mend-{uuid4().hex[:8]}"
    with SpoolWriter(home, slot, durability=settings.durability, reserve_bytes=0) as writer:
        for orphan in unknown:
            writer.adopt_stored(resolve(home, orphan.finding.path), sha256=orphan.sha256, dataset_offset=orphan.dataset_offset)
        writer.flush()
        await_index(home, lambda: all(_place_of(connection, orphan) for orphan in unknown))
    for orphan in unknown:
        if _place_of(connection, orphan):
            yield Mended(orphan.finding, "indexed", "it went through the door again")
        else:
            yield Mended(orphan.finding, "left", "it is in the spool and is not indexed yet")


def _read(home: Path, finding: Finding) -> _Orphan | Mended:
    try:
        with open_object(home, finding.path, dataset_offset=0) as there:
            head = there.head[:_HEAD]
            try:
                part = read_part10(head, total=there.file_bytes)
                offset = part.dataset_offset
                whole = len(head) == there.file_bytes
                identity = scan_identity(head[offset:], part.transfer_syntax_uid, whole=whole)
                uid = normalise_uid(identity.sop_instance_uid or "")
            except (NotDicom, DamagedHeader):
                uid, offset = "", 0
            finally:
                head.release()
        with open_object(home, finding.path, dataset_offset=offset) as there:
            return _Orphan(finding, uid, there.digest(), offset)
    except StorageError as error:
        return Mended(finding, "left", str(error))


def _place_of(connection: psycopg.Connection[Any], orphan: _Orphan) -> tuple[str, int] | None:
    """(path, where the data set begins) of the version or held object that has these bytes."""
    sql = database.statements("gantry.intake")
    with connection.transaction():
        row = connection.execute(sql["place_of_version"], {"uid": orphan.sop_instance_uid, "sha256": orphan.sha256}).fetchone()
        if row is None:
            row = connection.execute(sql["place_of_held"], {"id": quarantine_id(orphan.sha256)}).fetchone()
    return None if row is None else (str(row[0]), int(row[1]))


def _second_copy(connection: psycopg.Connection[Any], home: Path, orphan: _Orphan, relative: str, offset: int) -> Mended:
    """Its bytes have a row with another path: one of the two files is too many, or the other is lost."""
    path = orphan.finding.path
    if is_away(home, relative):
        return Mended(orphan.finding, "left", "the volume of its row is not mounted")
    try:
        with open_object(home, relative, dataset_offset=offset) as there:
            same = there.digest() == orphan.sha256
    except ObjectMissing:
        if volume_of(path) == volume_of(relative):
            os.makedirs(os.path.dirname(resolve(home, relative)), mode=0o700, exist_ok=True)
        size = os.stat(resolve(home, path)).st_size
        with connection.transaction():
            if volume_of(path) == volume_of(relative):
                now = relative
                os.rename(resolve(home, path), resolve(home, relative))
            else:  # the other copy was on another volume: the row follows the file
                now = path
            values = {"path": relative, "dataset_offset": orphan.dataset_offset, "file_bytes": size, "now_path": now}
            connection.execute(database.statements("gantry.intake")["restored"], {**values, "volume_id": volume_of(now)})
        return Mended(orphan.finding, "restored", "its row and it have found each other again")
    except StorageError as error:
        return Mended(orphan.finding, "left", f"the file of its row cannot be read: {error}")
    if not same:
        return Mended(orphan.finding, "left", "the file of its row is damaged; this one is whole")
    take_back(home, path)
    return Mended(orphan.finding, "removed", "a second copy of an object that is in its place")
