"""What is held: list it, copy it out, discard it."""

from __future__ import annotations

import contextlib
import os
import shutil
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any
from uuid import UUID

import psycopg
from psycopg.rows import class_row

from gantry import database
from gantry.intake.errors import NotHeld
from gantry.storage.layout import resolve

MAX_LIMIT = 1000


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


def discard_held(connection: psycopg.Connection[Any], home: Path, identifier: UUID) -> None:
    """Delete the bytes of a held object for good; its row stays as `discarded`. The caller has asked. NotHeld."""
    with connection.transaction():
        path = _path_of(connection, identifier)
        # The file first: a crash in between leaves a row whose discarding can be said again.
        with contextlib.suppress(FileNotFoundError):
            os.unlink(resolve(home, path))
        sql = database.statements("gantry.intake")["set_state"]
        connection.execute(sql, {"id": identifier, "state": "discarded"})


def _path_of(connection: psycopg.Connection[Any], identifier: UUID) -> str:
    row = connection.execute(database.statements("gantry.intake")["lock_held"], {"id": identifier}).fetchone()
    if row is None:
        raise NotHeld(NotHeld.__doc__)
    return str(row[0])
