"""The daily backup of a running instance: looked at each minute by the worker, made once a day after the time that is set."""

from __future__ import annotations

import asyncio
import logging
import zoneinfo
from datetime import UTC, datetime, time, timedelta
from pathlib import Path

from gantry.audit.record import SYSTEM
from gantry.config import Config
from gantry.main import backup, restore
from gantry.main.backup_manifest import BackupError
from gantry.main.home import Home

_log = logging.getLogger("gantry.backup")
_LOOK_SECONDS = 60.0
#: A backup that failed is tried again after this.
_RETRY = timedelta(hours=1)


def due(config: Config, last: dict[str, str], now: datetime) -> bool:
    """Whether the backup of today (in the time zone of the site) has still to be made. `now` with its zone."""
    if not config.backup_folder:
        return False
    zone = zoneinfo.ZoneInfo(config.time_zone)
    local = now.astimezone(zone)
    hour, minute = (int(part) for part in config.backup_time.split(":"))
    planned = datetime.combine(local.date(), time(hour, minute), zone)
    if local < planned:
        planned = datetime.combine(local.date() - timedelta(days=1), time(hour, minute), zone)
    succeeded, failed = _moment(last.get("last_success")), _moment(last.get("last_failure"))
    if failed is not None and failed <= now and now - failed < _RETRY and not (succeeded and succeeded >= failed):
        return False
    if succeeded is None:
        return True
    # A clock that was wrong must not keep backups away: what lies in the future does not count.
    return succeeded < planned or succeeded > now + timedelta(hours=1)


def _moment(text: str | None) -> datetime | None:
    try:
        return datetime.fromisoformat(text) if text else None
    except ValueError:
        return None


async def watch(config: Config) -> None:
    """Make the backups that are due, until cancelled. Never raises for a backup that fails: it is reported and alarmed."""
    home = Home(Path(config.home))
    while True:
        if due(config, backup.last(home), datetime.now(UTC)):
            await asyncio.to_thread(_make, home, config)
        await asyncio.sleep(_LOOK_SECONDS)


def _make(home: Home, config: Config) -> None:
    try:
        made = backup.make(home, Path(config.backup_folder), SYSTEM, sums=config.backup_verify, keep=config.backup_keep)
        if config.backup_verify:
            differences = restore.rehearse(made.folder).differences
            if differences:
                raise BackupError(f"The backup {made.folder.name} does not restore as it was: {differences[0]}", "Make another")
            backup.note_rehearsal(home)
        _log.info("backup %s: %d bytes", made.folder.name, made.bytes)
    except BackupError as error:
        backup.report(home, error=str(error))
    except Exception as error:
        _log.exception("the backup failed")
        backup.report(home, error=type(error).__name__)
