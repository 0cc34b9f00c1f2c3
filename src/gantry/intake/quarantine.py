"""What is held: list it, see why, copy it out, accept it (perhaps repaired), discard it."""

from __future__ import annotations

import contextlib
import json
import mmap
import os
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal, TypeAlias
from uuid import UUID, uuid4

import psycopg
from psycopg.rows import class_row

from gantry import audit, config, database
from gantry.dataset import DatasetError, Envelope, Identity, Part10, build_prefix, is_valid_uid, read_part10, scan_identity
from gantry.dataset.edit_errors import CannotEdit
from gantry.intake.await_index import await_index
from gantry.intake.errors import NotAcceptable, NotHeld
from gantry.intake.repair import REPAIRABLE, with_uids
from gantry.storage import SpoolWriter, resolve

MAX_LIMIT = 1000
_HEAD = 16 * 1024 * 1024
#: indexed: it was accepted as it is, and its file lies among the objects; accepted: repaired, the original is kept.
Accepted: TypeAlias = Literal["indexed", "accepted"]


@dataclass(frozen=True, slots=True)
class Held:
    """An object in quarantine; `sha256` is of its data set, `file_path` relative to the home."""

    id: UUID
    reason: str
    explanation: str
    state: str
    origin: str
    calling_aet: str
    called_aet: str
    remote_address: str
    transfer_syntax_uid: str
    sha256: bytes
    file_path: str
    file_bytes: int
    received_at: datetime
    quarantined_at: datetime


def list_held(
    connection: psycopg.Connection[Any],
    *,
    state: str | None = "held",
    limit: int = 100,
    before: tuple[datetime, UUID] | None = None,
) -> list[Held]:
    """Newest first; `before` is (quarantined_at, id) of the last one of the page before."""
    values = {
        "state": state,
        "before_at": before[0] if before else None,
        "before_id": before[1] if before else None,
        "limit": max(1, min(limit, MAX_LIMIT)),
    }
    with psycopg.Cursor(connection, row_factory=class_row(Held)) as cursor:
        cursor.execute(database.statements("gantry.intake")["list_held"], values, prepare=False)
        return cursor.fetchall()


def export_held(connection: psycopg.Connection[Any], home: Path, identifier: UUID, target: Path) -> Path:
    """Copy a held object to `target` (a file that does not exist, or a folder); gives the path. NotHeld, OSError."""
    source = resolve(home, _path_of(connection, identifier))
    path = target / f"{identifier}.dcm" if target.is_dir() else target
    try:
        with open(source, "rb") as reading, open(path, "xb") as writing:
            shutil.copyfileobj(reading, writing, 1 << 20)
    except FileNotFoundError as error:
        if os.path.exists(source):
            raise
        raise NotHeld("its file is gone") from error
    return path


@dataclass(frozen=True, slots=True)
class HeldDetails:
    """A held object with what can be read of it: the UIDs as they stand, None where they are missing."""

    held: Held
    is_dicom: bool
    sop_class_uid: str | None
    sop_instance_uid: str | None
    study_instance_uid: str | None
    series_instance_uid: str | None
    problem: str


def get_held(connection: psycopg.Connection[Any], home: Path, identifier: UUID) -> HeldDetails:
    """One held object, with its UIDs read anew. NotHeld."""
    with psycopg.Cursor(connection, row_factory=class_row(Held)) as cursor:
        sql = database.statements("gantry.intake")["get_held"]
        found = cursor.execute(sql, {"id": identifier}).fetchone()
    if found is None:
        raise NotHeld(NotHeld.__doc__)
    try:
        _, identity = _read(resolve(home, found.file_path))
    except DatasetError as error:
        return HeldDetails(found, False, None, None, None, None, str(error))
    except OSError as error:
        return HeldDetails(found, False, None, None, None, None, f"its file cannot be read: {error.strerror}")
    uids = (identity.sop_class_uid, identity.sop_instance_uid, identity.study_instance_uid, identity.series_instance_uid)
    return HeldDetails(found, True, *uids, problem="" if identity.complete else "the data set ends before its UIDs")


def _read(path: str) -> tuple[Part10, Identity]:
    with open(path, "rb") as file:
        size = os.fstat(file.fileno()).st_size
        head = file.read(_HEAD)
    part = read_part10(memoryview(head), total=size)
    return part, scan_identity(memoryview(head)[part.dataset_offset :], part.transfer_syntax_uid, whole=len(head) == size)


def accept_held(
    connection: psycopg.Connection[Any],
    home: Path,
    identifier: UUID,
    *,
    by: audit.By,
    reason: str,
    repairs: Mapping[str, str] | None = None,
) -> Accepted:
    """Send a held object through the door again, with `repairs` (keyword to UID, of REPAIRABLE) in a copy of it.

    The original of a repaired object stays in the quarantine until it is discarded. Raises NotHeld, and NotAcceptable
    with the reason when it is still no object that can be indexed. `connection` is in autocommit.
    """
    row = connection.execute(database.statements("gantry.intake")["held_source"], {"id": identifier}).fetchone()
    if row is None:
        raise NotHeld(NotHeld.__doc__)
    path, calling_aet, called_aet, remote_address, received_at = row
    try:
        part, identity = _read(resolve(home, path))
    except DatasetError as error:
        raise NotAcceptable(f"it is not readable as DICOM: {error}") from error
    except OSError as error:
        raise NotHeld("its file is gone") from error
    uids = _repaired(identity, repairs or {})
    noted = {
        "v": 1, "origin": "import", "association": None, "remote": remote_address, "received_at": received_at.isoformat(),
        "calling_aet": calling_aet, "called_aet": called_aet,
    }  # fmt: skip
    settings = config.current()
    slot = f"mend-{uuid4().hex[:8]}"
    with SpoolWriter(home, slot, durability=settings.durability, reserve_bytes=0) as writer:
        if repairs:
            digest = _write_repaired(writer, resolve(home, path), part, uids, repairs, slot, received_at, calling_aet)
        else:
            digest = writer.adopt_file(
                Path(resolve(home, path)), json.dumps(noted).encode("ascii"), dataset_offset=part.dataset_offset
            )
            writer.flush()
        where = {"uid": uids["SOPInstanceUID"], "sha256": digest}
        statement = database.statements("gantry.intake")["place_of_version"]
        await_index(home, lambda: connection.execute(statement, where).fetchone() is not None or _is_held(connection, digest))
    if connection.execute(statement, where).fetchone() is None:
        raise NotAcceptable(_why(connection, digest))
    state: Accepted = "accepted" if repairs else "indexed"
    _decide(connection, identifier, state, by, reason, dict(repairs or {}))
    if state == "indexed":
        with contextlib.suppress(FileNotFoundError):
            os.unlink(resolve(home, path))
    return state


def _repaired(identity: Identity, repairs: Mapping[str, str]) -> dict[str, str]:
    """The UIDs that the object will have. NotAcceptable for a keyword or UID that cannot be."""
    for keyword, uid in repairs.items():
        if keyword not in REPAIRABLE:
            raise NotAcceptable(f"only {', '.join(REPAIRABLE)} can be set")
        if not is_valid_uid(uid):
            raise NotAcceptable(f"the value for {keyword} is no UID")
    found = (identity.sop_class_uid, identity.sop_instance_uid, identity.study_instance_uid, identity.series_instance_uid)
    uids = {keyword: repairs.get(keyword, uid or "") for keyword, uid in zip(REPAIRABLE, found, strict=True)}
    missing = [keyword for keyword, uid in uids.items() if not is_valid_uid(uid)]
    if missing:
        raise NotAcceptable(f"{', '.join(missing)} is missing or no UID: set it")
    return uids


def _write_repaired(
    writer: SpoolWriter,
    path: str,
    part: Part10,
    uids: Mapping[str, str],
    repairs: Mapping[str, str],
    slot: str,
    received_at: datetime,
    calling_aet: str,
) -> bytes:
    """A copy of the object with other UIDs into the spool; gives its digest."""
    envelope = Envelope(
        "import", uids["SOPClassUID"], uids["SOPInstanceUID"], part.transfer_syntax_uid, calling_aet, "", "", None, slot,
        received_at, None,
    )  # fmt: skip
    with (
        open(path, "rb") as file,
        mmap.mmap(file.fileno(), 0, prot=mmap.PROT_READ) as whole,
        memoryview(whole) as view,
        view[part.dataset_offset :] as data,
    ):
        return _write(writer, envelope, data, repairs)


def _write(writer: SpoolWriter, envelope: Envelope, data: memoryview, repairs: Mapping[str, str]) -> bytes:
    try:
        pieces = with_uids(data, envelope.transfer_syntax_uid, repairs)
    except CannotEdit as error:
        raise NotAcceptable(str(error)) from error
    with writer.begin(*build_prefix(envelope)) as incoming:
        for piece in pieces:
            incoming.write(piece)
            piece.release()
        return incoming.commit()


def _is_held(connection: psycopg.Connection[Any], digest: bytes) -> bool:
    return bool(_why(connection, digest, since=datetime.now(UTC)))


def _why(connection: psycopg.Connection[Any], digest: bytes, since: datetime | None = None) -> str:
    """Why an object of this digest is held (again)."""
    from gantry.intake.examine import quarantine_id

    sql = database.statements("gantry.intake")["held_now"]
    row = connection.execute(sql, {"ids": [quarantine_id(digest)]}).fetchone()
    return str(row[1]) if row else ("" if since else "it is not indexed yet; it is in the spool")


def _decide(
    connection: psycopg.Connection[Any], identifier: UUID, state: str, by: audit.By, reason: str, repairs: dict[str, str]
) -> None:
    values = {"id": identifier, "state": state, "who": by.who, "reason": reason[:2000]}
    with connection.transaction():
        connection.execute(database.statements("gantry.intake")["decide"], values)
        act = "quarantine.discard" if state == "discarded" else "quarantine.accept"
        audit.record(
            connection, act, by, kind="quarantined object", key=str(identifier), reason=reason,
            after={"state": state, **({"set": repairs} if repairs else {})},
        )  # fmt: skip


def discard_held(
    connection: psycopg.Connection[Any], home: Path, identifier: UUID, *, by: audit.By = audit.SYSTEM, reason: str = ""
) -> None:
    """Delete the bytes of a held object for good; its row stays as `discarded`. The caller has asked. NotHeld."""
    with connection.transaction():
        path = _path_of(connection, identifier)
        # The file first: a crash in between leaves a row whose discarding can be said again.
        with contextlib.suppress(FileNotFoundError):
            os.unlink(resolve(home, path))
        _decide(connection, identifier, "discarded", by, reason, {})


def _path_of(connection: psycopg.Connection[Any], identifier: UUID) -> str:
    row = connection.execute(database.statements("gantry.intake")["lock_held"], {"id": identifier}).fetchone()
    if row is None:
        raise NotHeld(NotHeld.__doc__)
    return str(row[0])
