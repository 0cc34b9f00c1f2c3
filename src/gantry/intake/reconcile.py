"""Index and volume, both ways: what `storage.verify` needs to know, and how its findings are mended.

Mending never deletes what could be the only copy: a file that no row names goes through the door again, a row
whose file is missing is told to a person.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, TypeAlias
from uuid import uuid4

import psycopg

from gantry import config, database
from gantry.catalogue import every_location, lookup_versions
from gantry.dataset import DamagedHeader, NotDicom, normalise_uid, read_part10, scan_identity
from gantry.intake.await_index import await_index
from gantry.intake.examine import quarantine_id
from gantry.intake.place import take_back
from gantry.storage import ExpectedFile, Finding, SpoolWriter, open_object
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


def expected_files(connection: psycopg.Connection[Any]) -> Iterator[ExpectedFile]:
    """Every file that must be there: all versions in the order of their paths, then what is held in quarantine."""
    for place in every_location(connection):
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
    if not orphans:
        return
    settings = config.current()
    with ExitStack() as stack:
        writer = stack.enter_context(
            SpoolWriter(home, f"mend-{uuid4().hex[:8]}", durability=settings.durability, reserve_bytes=0)
        )
        for orphan in orphans:
            writer.adopt_stored(
                resolve(home, orphan.finding.path), sha256=orphan.sha256, dataset_offset=orphan.dataset_offset
            )
        writer.flush()
        await_index(home, lambda: all(_is_indexed(connection, orphan) for orphan in orphans))
    for orphan in orphans:
        yield _answer(connection, home, orphan)


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


def _is_indexed(connection: psycopg.Connection[Any], orphan: _Orphan) -> bool:
    with connection.transaction():
        known = lookup_versions(connection, [orphan.sop_instance_uid]).get(orphan.sop_instance_uid)
        if known and orphan.sha256 in known.digests:
            return True
        ids = [quarantine_id(orphan.sha256)]
        return connection.execute(database.statements("gantry.intake")["held_now"], {"ids": ids}).fetchone() is not None


def _answer(connection: psycopg.Connection[Any], home: Path, orphan: _Orphan) -> Mended:
    """The door has seen the file again. If its row names another path, one of the two files is too many, or missing."""
    path = orphan.finding.path
    if path in known_paths(connection, [path]):
        return Mended(orphan.finding, "indexed", "the index knows it again")
    sql = database.statements("gantry.intake")["place_of"]
    with connection.transaction():
        values = {"uid": orphan.sop_instance_uid, "sha256": orphan.sha256, "id": quarantine_id(orphan.sha256)}
        row = connection.execute(sql, values).fetchone()
    if row is None:
        return Mended(orphan.finding, "left", "it was put into the spool and is not indexed yet")
    relative, offset = row
    try:
        with open_object(home, relative, dataset_offset=offset) as there:
            same = there.digest() == orphan.sha256
    except ObjectMissing:
        if offset != orphan.dataset_offset:
            return Mended(orphan.finding, "left", "its row describes a file with another beginning")
        os.makedirs(os.path.dirname(resolve(home, relative)), mode=0o700, exist_ok=True)
        os.rename(resolve(home, path), resolve(home, relative))
        return Mended(orphan.finding, "restored", "moved to the place where its row expects it")
    if not same:
        return Mended(orphan.finding, "left", "the file of its row is damaged; this one is whole")
    take_back(home, path)
    return Mended(orphan.finding, "removed", "a second copy of an object that is in its place")
