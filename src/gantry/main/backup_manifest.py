"""The folder of a backup: what lies in it, written at its end and checked before anything is restored."""

from __future__ import annotations

import hashlib
import json
import os
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from gantry.main.errors import SetupError

MANIFEST = "manifest.json"
INDEX = "index.dump"
SETTINGS = "gantry.yaml"
#: Raised when an older Gantry could not restore it.
FORMAT = 1
_BLOCK = 1 << 20


class BackupError(SetupError):
    """A backup could not be made, or is not one that can be restored."""


@dataclass(slots=True)
class Manifest:
    """`files`: name to SHA-256 and bytes. `tables`: name to rows, and to a sum over them when it was asked for.

    `migrations`: what the tables had, so that an older version does not restore what it cannot read.
    `not_indexed`: instances that were acknowledged but not yet in the index: their bytes are in the home's spool.
    """

    format: int
    gantry: str
    made_at: str
    home_id: str
    server_version: int
    migrations: list[str]
    tables: dict[str, dict[str, str | int]]
    not_indexed: int = 0
    files: dict[str, dict[str, str | int]] = field(default_factory=dict)

    def write(self, folder: Path) -> None:
        """Write it into the folder, durable."""
        path = folder / MANIFEST
        with open(path, "x", encoding="utf-8", opener=_private) as file:
            json.dump(asdict(self), file, indent=1)
            file.write("\n")
            file.flush()
            os.fsync(file.fileno())


def _private(path: str, flags: int) -> int:
    return os.open(path, flags, 0o600)


def digest(path: Path) -> str:
    """SHA-256 of a file, as hex."""
    running = hashlib.sha256()
    with open(path, "rb") as file:
        while block := file.read(_BLOCK):
            running.update(block)
    return running.hexdigest()


def read(folder: Path) -> Manifest:
    """The manifest of a backup whose files are whole. Raises BackupError."""
    path = folder / MANIFEST
    try:
        values: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        manifest = Manifest(**values)
    except FileNotFoundError as error:
        raise BackupError(
            f"There is no backup in {folder}: it has no {MANIFEST}",
            "Name the folder that `gantry backup` made (gantry-backup-...)",
        ) from error
    except (OSError, ValueError, TypeError) as error:
        raise BackupError(f"{path} cannot be understood", "Use another backup") from error
    if manifest.format > FORMAT:
        raise BackupError(f"{folder} was made by Gantry {manifest.gantry}, which is newer", "Install that version or a later one")
    for name, expected in manifest.files.items():
        _check(folder / os.path.basename(name), expected)
    if INDEX not in manifest.files:
        raise BackupError(f"{path} names no {INDEX}", "Use another backup")
    return manifest


def _check(path: Path, expected: dict[str, str | int]) -> None:
    try:
        whole = path.stat().st_size == expected["bytes"] and digest(path) == expected["sha256"]
    except OSError as error:
        raise BackupError(f"{path}: {error.strerror}", "Use another backup") from error
    if not whole:
        raise BackupError(f"{path} is damaged: its SHA-256 is not the one in {MANIFEST}", "Use another backup")
