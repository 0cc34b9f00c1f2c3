"""Take Part 10 files from folders, through the same door as the network: spool, judge, place, index.

Each file is copied whole, byte for byte. What is known about its way here lies beside it in the spool, since
the file itself is not ours to write into.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Literal, TypeAlias
from uuid import uuid4

import psycopg

from gantry import config, database
from gantry.dataset import DICOMDIR_UID, DamagedHeader, NotDicom, Part10, normalise_uid, read_part10, scan_identity
from gantry.intake.await_index import await_index
from gantry.intake.examine import quarantine_id
from gantry.intake.walk_files import walk_files
from gantry.storage import SpoolWriter
from gantry.storage.errors import SourceFailed

Outcome: TypeAlias = Literal["stored", "duplicate", "new version", "quarantined", "skipped", "failed"]

_BATCH_FILES = 250
_BATCH_BYTES = 512 * 1024 * 1024
_STEPS = (64 * 1024, 1024 * 1024, 16 * 1024 * 1024)
_TICK = timedelta(microseconds=1)


@dataclass(frozen=True, slots=True)
class ImportOutcome:
    """What became of one file. `skipped` is no DICOM or not to be kept; `failed` could not be read."""

    path: str
    outcome: Outcome
    reason: str = ""


@dataclass(slots=True)
class _Taken:
    path: str
    sop_instance_uid: str
    sha256: bytes
    received_at: datetime


def import_paths(paths: Iterable[str | os.PathLike[str]], *, home: Path | None = None) -> Iterator[ImportOutcome]:
    """Import the files below `paths`; tells of each file when it is in the index, in batches.

    Works beside a running instance and without one. Raises StorageFull and psycopg errors; what was told is
    kept, what was taken and not told yet is in the spool and will be indexed.
    """
    settings = config.current()
    home = home or Path(settings.home)
    slot = f"import-{uuid4().hex[:8]}"
    reserve = settings.disk_reserve_mb * 1024 * 1024
    with SpoolWriter(home, slot, durability=settings.durability, reserve_bytes=reserve) as writer:
        yield from _Import(home, slot, writer).run(paths)
    await_index(home, lambda: True)  # lets the empty slot go where no instance is running


class _Import:
    def __init__(self, home: Path, slot: str, writer: SpoolWriter) -> None:
        self._home = home
        self._slot = slot
        self._writer = writer
        self._last = datetime.now(UTC)
        self._taken: list[_Taken] = []
        self._bytes = 0

    def run(self, paths: Iterable[str | os.PathLike[str]]) -> Iterator[ImportOutcome]:
        for found in walk_files(paths, leave_out=[str(self._home)]):
            if found.problem:
                yield ImportOutcome(found.path, "failed" if found.failed else "skipped", found.problem)
                continue
            try:
                self._take(found.path)
            except NotDicom as error:
                yield ImportOutcome(found.path, "skipped", str(error))
            except (OSError, SourceFailed) as error:
                reason = getattr(error, "strerror", None) or str(error)
                yield ImportOutcome(found.path, "failed", f"cannot be read: {reason}")
            if len(self._taken) >= _BATCH_FILES or self._bytes >= _BATCH_BYTES:
                yield from self._index()
        yield from self._index()

    def _take(self, path: str) -> None:
        head, size, part = _sniff(path)
        offset = part.dataset_offset if part else 0
        uid = ""
        if part:
            identity = scan_identity(memoryview(head)[offset:], part.transfer_syntax_uid, whole=len(head) == size)
            uid = identity.sop_instance_uid or ""
        # Each file has a time of its own: by it we know our versions again.
        self._last = received_at = max(datetime.now(UTC), self._last + _TICK)
        digest = self._writer.adopt_file(Path(path), lambda sha256: self._sidecar(sha256, received_at), dataset_offset=offset)
        self._taken.append(_Taken(path, uid, digest, received_at))
        self._bytes += size

    def _sidecar(self, sha256: bytes, received_at: datetime) -> bytes:
        noted = {
            "v": 1, "sha256": sha256.hex(), "origin": "import", "association": None, "remote": "", "slot": self._slot,
            "received_at": received_at.isoformat(), "calling_aet": "", "called_aet": "",
        }  # fmt: skip
        return json.dumps(noted).encode("ascii")

    def _index(self) -> Iterator[ImportOutcome]:
        taken, self._taken, self._bytes = self._taken, [], 0
        if not taken:
            return
        self._writer.flush()
        outcomes: list[ImportOutcome | None] = []

        with database.connect(autocommit=True, application="gantry-import") as connection:

            def is_done() -> bool:
                outcomes[:] = _outcomes(connection, taken)
                return None not in outcomes

            await_index(self._home, is_done)
            is_done()
        for file, outcome in zip(taken, outcomes, strict=True):
            yield outcome or ImportOutcome(file.path, "failed", "taken in, but the index does not know it yet")


def _sniff(path: str) -> tuple[bytes, int, Part10 | None]:
    """The beginning of a file, its size, and what it is; no Part10: DICOM, but damaged. Raises NotDicom, OSError."""
    with open(path, "rb", buffering=0) as file:
        size = os.fstat(file.fileno()).st_size
        head = b""
        for step in _STEPS:
            head += file.read(step - len(head)) or b""
            try:
                part = read_part10(memoryview(head), total=size)
            except DamagedHeader:
                return head, size, None
            if normalise_uid(part.sop_class_uid) == DICOMDIR_UID:
                raise NotDicom("a DICOMDIR: its files are taken, not the directory")
            identity = scan_identity(memoryview(head)[part.dataset_offset :], part.transfer_syntax_uid, whole=len(head) >= size)
            if identity.complete or len(head) >= size:
                break
        return head, size, part


def _outcomes(connection: psycopg.Connection[Any], taken: list[_Taken]) -> list[ImportOutcome | None]:
    """What the index says of these files; None where it says nothing yet."""
    sql = database.statements("gantry.intake")
    values = {"uids": [file.sop_instance_uid for file in taken], "digests": [file.sha256 for file in taken]}
    rows = connection.execute(sql["imported"], values)
    versions = {(uid, bytes(digest)): (received_at, later) for digest, uid, received_at, later in rows}
    ids = {quarantine_id(file.sha256): file.sha256 for file in taken}
    held = {ids[row[0]]: row[1] for row in connection.execute(sql["held_now"], {"ids": list(ids)})}
    found: list[ImportOutcome | None] = []
    for file in taken:
        version = versions.get((file.sop_instance_uid, file.sha256))
        if version is not None:
            ours: Outcome = "new version" if version[1] else "stored"
            found.append(ImportOutcome(file.path, ours if version[0] == file.received_at else "duplicate"))
        elif file.sha256 in held:
            found.append(ImportOutcome(file.path, "quarantined", held[file.sha256]))
        else:
            found.append(None)
    return found
