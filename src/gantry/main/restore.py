"""`gantry restore`: a backup into an empty home or an empty database; and the rehearsal of it that compares everything."""

from __future__ import annotations

import json
import os
import secrets
import tarfile
import tempfile
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from gantry import audit, database
from gantry.audit.record import By
from gantry.config import Config
from gantry.main import backup, backup_manifest, backup_table_sums, migrate, postgres, session
from gantry.main import home as homes
from gantry.main.backup_manifest import BackupError, Manifest
from gantry.main.errors import HomeBusy
from gantry.main.home import Home
from gantry.main.postgres import Postgres

_KEYS_LIMIT = 16 << 20


@dataclass(slots=True)
class Restored:
    """What a restore did. `differences`: tables that are not as in the backup; none is right."""

    home: Path
    made_at: str
    tables: dict[str, dict[str, str | int]]
    differences: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    @property
    def ok(self) -> bool:
        """Everything is as it was in the backup."""
        return not self.differences


def restore(
    folder: Path,
    settings: Config,
    by: By,
    *,
    keys: Path | None = None,
    replace: bool = False,
    say: Callable[[str], None] = lambda _: None,
) -> Restored:
    """Bring a backup into the home of `settings`, which has no index yet; with `replace` its old index is put aside.

    Raises BackupError, HomeBusy, SetupError; a restore that failed leaves no index.
    """
    say("checking")
    manifest = backup_manifest.read(folder)
    home = _prepare_home(Path(settings.home), manifest, replace=replace, external=bool(settings.database_url))
    notes = _bring_settings(folder, home)
    if keys is not None:
        read_keys(keys, home)
    elif not (home.secrets / "seal.keys").exists():
        notes.append("The keys were not given: passwords of nodes, mail and webhooks that are sealed cannot be opened; "
                     "restore them with --keys, or set them anew.")  # fmt: skip
    with session.database(home, settings):
        with closing(database.connect(autocommit=True, application="gantry-restore")) as connection:
            if backup_table_sums.tables(connection):
                raise BackupError("The database is not empty", "Name an empty one in GANTRY_DATABASE_URL")
        say("index")
        try:
            session.set_up_django()
            _check_version(manifest)
            load(folder / backup_manifest.INDEX)
        except BaseException:
            if not settings.database_url:
                _put_aside(home, "failed-restore")
            raise
        say("comparing")
        found = _tables(manifest)
        migrate.migrate()
        with closing(database.connect(autocommit=True, application="gantry-restore")) as connection:
            audit.record(connection, "backup.restore", by, kind="backup", key=folder.name)
    return Restored(home.path, manifest.made_at, found, backup_table_sums.differences(manifest.tables, found), notes)


def rehearse(folder: Path, *, say: Callable[[str], None] = lambda _: None) -> Restored:
    """Restore into a home of its own, which is thrown away, and compare every table with the backup. Raises BackupError."""
    manifest = backup_manifest.read(folder)
    before = os.environ.get("GANTRY_DATABASE_URL")
    with tempfile.TemporaryDirectory(prefix=".rehearsal-", dir=folder.parent) as place:
        home = homes.open_home(Path(place) / "home")
        server = Postgres(home)
        say("index")
        server.start(die_with_parent=True)
        try:
            os.environ["GANTRY_DATABASE_URL"] = postgres.url(home)
            session.set_up_django()
            _check_version(manifest)
            load(folder / backup_manifest.INDEX)
            say("comparing")
            found = _tables(manifest)
        finally:
            if before is None:
                os.environ.pop("GANTRY_DATABASE_URL", None)
            else:
                os.environ["GANTRY_DATABASE_URL"] = before
            server.stop()
    return Restored(home.path, manifest.made_at, found, backup_table_sums.differences(manifest.tables, found))


def _tables(manifest: Manifest) -> dict[str, dict[str, str | int]]:
    summed = any("sum" in entry for entry in manifest.tables.values())
    counting = backup_table_sums.count_and_sum if summed else backup_table_sums.count
    with closing(database.connect(autocommit=True, application="gantry-restore")) as connection:
        return dict(counting(connection, backup_table_sums.tables(connection)))


def load(path: Path) -> None:
    """Load a dump into the database of GANTRY_DATABASE_URL, whole or not at all. Raises BackupError."""
    where, environment = backup.arguments_for(database.conninfo())
    order = [backup.program("pg_restore", migrate.check_server()), "--no-owner", "--no-privileges", "--exit-on-error",
             "--single-transaction", *where, str(path)]  # fmt: skip
    backup.run_program(order, environment)


def _check_version(manifest: Manifest) -> None:
    """What a newer version did to the tables we cannot know."""
    from django.db.migrations.loader import MigrationLoader

    loader = MigrationLoader(None)
    known = {f"{app}.{name}" for app, name in loader.disk_migrations}
    known |= {f"{app}.{name}" for migration in loader.disk_migrations.values() for app, name in migration.replaces}
    unknown = [name for name in manifest.migrations if name not in known]
    if unknown:
        raise BackupError(
            f"The backup was made by Gantry {manifest.gantry}, whose tables this version does not know ({unknown[-1]})",
            "Install that version or a later one",
        )


def _prepare_home(path: Path, manifest: Manifest, *, replace: bool, external: bool) -> Home:
    fresh = not (path / "home.json").exists()
    home = homes.open_home(path)
    if homes.is_claimed(home):
        raise HomeBusy(f"`gantry up` runs on {home.path}", "Stop it first, or choose another home with --home")
    if fresh:
        mark = json.loads((home.path / "home.json").read_text(encoding="utf-8"))
        homes.write_private(home.path / "home.json", json.dumps(mark | {"id": manifest.home_id}) + "\n")
    if not external and (home.path / "postgres").exists():
        if not replace:
            raise BackupError(
                f"{home.path} has an index already", "Choose an empty home with --home, or say --replace to put the old one aside"
            )
        if Postgres(home)._running() is not None:
            raise HomeBusy(f"A database server still runs on {home.path}", "Stop what uses it first")
        _put_aside(home, "before-restore")
    return home


def _put_aside(home: Home, why: str) -> None:
    """Never removed by us: it may be all there is."""
    server = Postgres(home)
    if server._running() is not None:
        server.stop()
    data = home.path / "postgres"
    if data.exists():
        os.rename(data, home.path / f"postgres.{why}-{datetime.now(UTC):%Y%m%dT%H%M%SZ}-{secrets.token_hex(2)}")


def _bring_settings(folder: Path, home: Home) -> list[str]:
    saved = folder / backup_manifest.SETTINGS
    if not saved.exists():
        return []
    text, path = saved.read_text(encoding="utf-8"), home.path / "gantry.yaml"
    if path.exists() and path.read_text(encoding="utf-8") != text:
        homes.write_private(home.path / "gantry.yaml.restored", text)
        return ["gantry.yaml was kept as it is; the one of the backup lies beside it as gantry.yaml.restored."]
    homes.write_private(path, text)
    return []


def read_keys(path: Path, home: Home) -> None:
    """Bring the keys back (files named by `gantry backup --keys`). Raises BackupError for anything else."""
    try:
        if path.stat().st_size > _KEYS_LIMIT:
            raise BackupError(f"{path} is too large for a file of keys", "Name the file that `gantry backup --keys` made")
        with tarfile.open(path, "r:") as archive:
            members = archive.getmembers()
            for member in members:
                if not member.isfile() or member.name.startswith(("/", ".")) or ".." in Path(member.name).parts:
                    raise BackupError(f"{path} holds {member.name[:80]!r}, which is no key", "Use another file")
            for member in members:
                content = archive.extractfile(member)
                assert content is not None  # it is a file
                target = home.secrets / member.name
                target.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
                homes.write_private(target, content.read().decode("utf-8"))
    except (OSError, tarfile.TarError, UnicodeDecodeError) as error:
        raise BackupError(f"{path} cannot be read as a file of keys", "Name the file that `gantry backup --keys` made") from error
