"""`gantry backup`: index and settings in one snapshot while everything runs; the keys apart.

The objects are not in it: they are files that never change, and any tool that copies files backs them up. Copy them after
the index (or at any time: what the index of a backup does not know is adopted by `gantry storage scrub`, and what it
knows too much is named by `gantry verify`).
"""

from __future__ import annotations

import io
import json
import logging
import os
import shutil
import subprocess
import tarfile
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import psycopg
from psycopg.conninfo import conninfo_to_dict

import gantry
from gantry import audit, database
from gantry.audit.record import By
from gantry.main import backup_manifest, backup_table_sums, postgres
from gantry.main.backup_manifest import BackupError, Manifest
from gantry.main.home import Home, locked, write_private

_log = logging.getLogger("gantry.backup")
PREFIX = "gantry-backup-"
_REPORT = "backup.json"
#: Files of HOME/secrets that are worthless elsewhere: the password of the embedded server is made anew.
_NOT_KEYS = frozenset({"postgres.password"})


@dataclass(frozen=True, slots=True)
class Backup:
    """A finished backup."""

    folder: Path
    manifest: Manifest
    bytes: int
    removed: list[str]


def make(
    home: Home,
    target: Path,
    by: By,
    *,
    keys_to: Path | None = None,
    sums: bool = False,
    keep: int = 0,
    say: Callable[[str], None] = lambda _: None,
) -> Backup:
    """Back up into a new folder below `target`; with `keep` the oldest of more than so many are removed.

    `sums` reads every row to make sums that a restore is compared with. Raises BackupError; nothing half done keeps
    the name of a backup.
    """
    if not target.is_dir():
        raise BackupError(f"{target} is no folder", f"Make it first: mkdir -p {target}")
    if keys_to is not None and keys_to.exists():
        raise BackupError(f"{keys_to} is there already", "Name a new file for the keys")
    with locked(home.run / "backup.lock"):
        try:
            made = _make(home, target, by, sums, say)
            if keys_to is not None:
                write_keys(home, keys_to)
            removed = _prune(target, keep, made.name)
        except (OSError, psycopg.Error, subprocess.SubprocessError, BackupError) as error:
            reason = (str(error).strip() or type(error).__name__).splitlines()[0]
            report(home, error=reason)
            if isinstance(error, BackupError):
                raise
            raise BackupError(f"The backup failed: {reason}", "Check the free space and rights of the target") from error
        manifest = backup_manifest.read(made)
        report(home, file=made.name)
    return Backup(made, manifest, sum(int(entry["bytes"]) for entry in manifest.files.values()), removed)


def _make(home: Home, target: Path, by: By, sums: bool, say: Callable[[str], None]) -> Path:
    now = datetime.now(UTC)
    name = f"{PREFIX}{now:%Y%m%dT%H%M%SZ}"
    number = 1
    while (target / name).exists():
        number += 1
        name = f"{PREFIX}{now:%Y%m%dT%H%M%SZ}-{number}"
    draft = target / f".{name}.part"
    draft.mkdir(mode=0o700)
    try:
        manifest = _fill(draft, home, now, sums, say)
        manifest.write(draft)
        _sync(draft)
        os.rename(draft, target / name)
        _sync(target)
    except BaseException:
        shutil.rmtree(draft, ignore_errors=True)
        raise
    with closing(database.connect(autocommit=True, application="gantry-backup")) as connection:
        audit.record(connection, "backup.make", by, kind="backup", key=name)
    return target / name


def _fill(draft: Path, home: Home, now: datetime, sums: bool, say: Callable[[str], None]) -> Manifest:
    with closing(database.connect(application="gantry-backup")) as connection:
        connection.isolation_level = psycopg.IsolationLevel.REPEATABLE_READ
        connection.read_only = True
        version = connection.info.server_version
        row = connection.execute("SELECT pg_export_snapshot()").fetchone()
        assert row is not None  # a function gives one row
        say("index")
        dump(draft / backup_manifest.INDEX, version, snapshot=str(row[0]))
        say("tables")
        names = backup_table_sums.tables(connection)
        counting = backup_table_sums.count_and_sum if sums else backup_table_sums.count
        found = dict(counting(connection, names))
        migrations = [f"{app}.{name}" for app, name in connection.execute("SELECT app, name FROM django_migrations ORDER BY id")]
    settings = home.path / "gantry.yaml"
    if settings.exists():
        shutil.copyfile(settings, draft / backup_manifest.SETTINGS)
        os.chmod(draft / backup_manifest.SETTINGS, 0o600)
    files: dict[str, dict[str, str | int]] = {
        path.name: {"bytes": path.stat().st_size, "sha256": backup_manifest.digest(path)} for path in sorted(draft.iterdir())
    }
    return Manifest(
        format=backup_manifest.FORMAT,
        gantry=gantry.__version__,
        made_at=now.isoformat(timespec="seconds"),
        home_id=json.loads((home.path / "home.json").read_text(encoding="utf-8"))["id"],
        server_version=version,
        migrations=migrations,
        tables=found,
        not_indexed=sum(1 for path in (home.path / "spool").rglob("*") if path.is_file()),
        files=files,
    )


def program(name: str, server_version: int) -> str:
    """`pg_dump` or `pg_restore`: that of the embedded PostgreSQL, which reads every server up to its own version."""
    place = postgres.binaries() / "bin" / name
    if server_version // 10000 > 18:
        found = shutil.which(name)
        if found is None:
            raise BackupError(
                f"The server has version {server_version // 10000}, newer than our {name}", f"Install {name} of that version"
            )
        return found
    return str(place)


def arguments_for(conninfo: str) -> tuple[list[str], dict[str, str]]:
    """The connection for a program of PostgreSQL: what may be seen as arguments, the password in its environment."""
    given = {key: str(value) for key, value in conninfo_to_dict(conninfo).items() if value is not None}
    password = given.pop("password", "")
    words = " ".join(f"{key}='{_quoted(value)}'" for key, value in given.items())
    environment = {"PATH": os.environ.get("PATH", ""), "LC_ALL": "C.UTF-8"}
    return ["--dbname", words], environment | ({"PGPASSWORD": password} if password else {})


def _quoted(value: str) -> str:
    return value.replace("\\", "\\\\").replace("'", "\\'")


def dump(path: Path, version: int, *, snapshot: str) -> None:
    """The database as it was at a snapshot, in PostgreSQL's own archive format. Raises BackupError."""
    where, environment = arguments_for(database.conninfo())
    order = [program("pg_dump", version), "--format=custom", "--compress=3", "--no-owner", "--no-privileges",
             f"--snapshot={snapshot}", "--file", str(path), *where]  # fmt: skip
    run_program(order, environment)
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fchmod(descriptor, 0o600)
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def run_program(order: list[str], environment: dict[str, str]) -> None:
    """Run it to its end, behind everybody else. Raises BackupError with the last line it said."""
    gently = [nice, "-n", "5"] if (nice := shutil.which("nice")) else []
    done = subprocess.run(
        [*gently, *order], env=environment, check=False, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
    )  # fmt: skip
    if done.returncode != 0:
        said = done.stderr.decode("utf-8", "replace").strip().splitlines()
        reason = next((line for line in said if "error:" in line), said[-1] if said else str(done.returncode))
        raise BackupError(
            f"{os.path.basename(order[0])} failed: {reason}", "Check the server and the free space, or use another backup"
        )


def write_keys(home: Home, path: Path) -> None:
    """The secrets of the home as one file (0600): keep it apart from the backups, whoever has both has everything."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        for secret in sorted(home.secrets.rglob("*")):
            if secret.is_file() and secret.name not in _NOT_KEYS and not secret.name.startswith("."):
                archive.add(secret, arcname=str(secret.relative_to(home.secrets)), recursive=False)
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(buffer.getvalue())
        file.flush()
        os.fsync(file.fileno())


def _prune(target: Path, keep: int, newest: str) -> list[str]:
    """Remove the oldest backups of this folder beyond `keep`; what is no finished backup is left alone."""
    found = sorted(path.name for path in target.glob(f"{PREFIX}*") if (path / backup_manifest.MANIFEST).is_file())
    surplus = [name for name in found if name != newest][: max(len(found) - keep, 0)] if keep > 0 else []
    for name in surplus:
        shutil.rmtree(target / name)
    return surplus


def _sync(folder: Path) -> None:
    for path in (*(entry for entry in folder.iterdir() if entry.is_file()), folder):
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def last(home: Home) -> dict[str, Any]:
    """When a backup last succeeded and failed, and when one was last restored to see whether it is good: `last_success`,
    `last_failure`, `error`, `file`, `last_rehearsal`; empty before the first."""
    try:
        found = json.loads((home.run / _REPORT).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def note_rehearsal(home: Home) -> None:
    """A backup was restored elsewhere and was as it should be: `last_rehearsal` of `last()`."""
    found = last(home) | {"last_rehearsal": datetime.now(UTC).isoformat(timespec="seconds")}
    write_private(home.run / _REPORT, json.dumps(found) + "\n")


def report(home: Home, *, error: str = "", file: str = "") -> None:
    """Note how a backup went, for people and for the alert."""
    now = datetime.now(UTC).isoformat(timespec="seconds")
    found = last(home)
    if error:
        _log.error("backup failed: %s", error)
        found |= {"last_failure": now, "error": error}
    else:
        found |= {"last_success": now, "error": "", "file": file}
    write_private(home.run / _REPORT, json.dumps(found) + "\n")
