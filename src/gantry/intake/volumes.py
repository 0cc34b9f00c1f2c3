"""The volumes of a home: which there are, where the next object goes, how full they are.

An object goes to the first volume, by position, that may be written to, is mounted, has its reserve of free space and
is below its quota. The home itself is one of them; its quota yields when nothing else is left, because the bytes lie on
its file system (in the spool) already.

Objects of the first home of a database have volume NULL and their paths as ever. Where several homes share a
database, the home of each other one is a volume as any (a link to the home itself), so that a path means one file.
"""

from __future__ import annotations

import json
import logging
import os
import re
import socket
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, Literal
from uuid import UUID, uuid4

import psycopg
from psycopg.rows import class_row

from gantry import audit, config, database
from gantry.catalogue import VersionRow
from gantry.intake.errors import BadVolume, VolumeUnknown
from gantry.storage.errors import StorageError, VolumeMissing, VolumeRefused
from gantry.storage.volumes import (
    VolumeMark,
    free_on,
    is_mounted,
    link_volume,
    prepare_volume,
    read_mark,
    write_mark,
)  # fmt: skip

log = logging.getLogger(__name__)

#: How often the table of volumes and their free space are looked at, seconds.
LOOK_SECONDS = 5.0
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,62}", re.ASCII)
HOME = "home"


@dataclass(frozen=True, slots=True)
class Volume:
    """A row of the table of volumes."""

    id: int
    home_id: UUID
    host: str
    name: str
    path: str
    mark: UUID
    is_home: bool
    position: int
    wanted: str
    state: str
    note: str
    quota_bytes: int | None
    reserve_bytes: int
    used_bytes: int
    created_at: datetime
    checked_at: datetime | None


def home_id(home: Path) -> UUID | None:
    """The id of a home; None for a folder that has none (then it has no further volumes)."""
    try:
        return UUID(json.loads((home / "home.json").read_text(encoding="utf-8"))["id"])
    except (OSError, ValueError, KeyError, TypeError):
        return None


@dataclass(frozen=True, slots=True)
class HomeVolumes:
    """The volumes of one home. `own` is what `volume_id` objects in the home itself have: None for the first home."""

    home: Path
    rows: tuple[Volume, ...]
    own: int | None

    def key(self, volume: Volume) -> int | None:
        """What versions on this volume have as `volume_id`."""
        return self.own if volume.is_home else volume.id

    def mounted(self) -> list[Volume]:
        """Those that are there now."""
        return [one for one in self.rows if self._is_there(one)]

    def _is_there(self, volume: Volume) -> bool:
        return (volume.is_home and self.own is None) or is_mounted(self.home, volume.id, volume.mark)

    @property
    def absent(self) -> list[Volume]:
        """Those that are not mounted."""
        return [one for one in self.rows if not self._is_there(one)]

    @property
    def ids(self) -> list[int]:
        """Values of `volume_id` that mean this home, but NULL."""
        return [key for one in self.rows if (key := self.key(one)) is not None]

    @property
    def roots(self) -> list[str]:
        """The folders below the home in which its objects lie, those of absent volumes left out."""
        keys = [self.key(one) for one in self.mounted()] if self.rows else [None]
        return [*("objects" if key is None else f"volumes/{key}/objects" for key in keys), "quarantine"]


def of_home(connection: psycopg.Connection[Any], home: Path) -> HomeVolumes:
    """The volumes of a home, the home itself among them (it is added when it is not known yet), with their links."""
    identity = home_id(home)
    if identity is None:
        return HomeVolumes(home, (), None)
    with connection.transaction():
        rows = list_volumes(connection, identity)
        path = os.path.abspath(home)
        if not any(one.is_home and one.path == path for one in rows):
            _add_home(connection, identity, path)
            rows = list_volumes(connection, identity)
        first = _run(connection, "first_home").fetchone()
    own_row = next(one for one in rows if one.is_home)
    own = None if first is not None and first[0] == identity else own_row.id
    if own is not None and read_mark(str(home)) is None:
        write_mark(str(home), VolumeMark(own, own_row.mark, identity))
    for one in rows:
        if not one.is_home or own is not None:
            link_volume(home, one.id, one.path)
    return HomeVolumes(home, tuple(rows), own)


def _add_home(connection: psycopg.Connection[Any], identity: UUID, path: str) -> None:
    first = _run(connection, "first_home").fetchone()
    used = _run(connection, "any_used").fetchone() if first is None else None
    values = {"home_id": identity, "host": socket.gethostname()[:255], "path": path, "used": int(used[0]) if used else 0}
    _run(connection, "add_home", **values)


def list_volumes(connection: psycopg.Connection[Any], identity: UUID | None = None) -> list[Volume]:
    """Volumes in the order in which they are filled; of all homes, or of one."""
    with psycopg.Cursor(connection, row_factory=class_row(Volume)) as cursor:
        return cursor.execute(database.statements("gantry.intake", "volumes.sql")["volumes"], {"home_id": identity}).fetchall()


def add_volume(
    connection: psycopg.Connection[Any],
    home: Path,
    name: str,
    path: Path,
    *,
    quota_bytes: int | None = None,
    reserve_bytes: int = 0,
    by: audit.By,
) -> Volume:
    """Add a volume: an empty folder, best of another file system. Written to when those before it are full.

    Raises BadVolume, VolumeRefused.
    """
    if not _NAME.fullmatch(name) or name == HOME:
        raise BadVolume("a volume is named by letters, digits, '-' and '_', at most 63; 'home' is the home itself")
    _check_sizes(quota_bytes, reserve_bytes)
    place = os.path.abspath(path.expanduser())
    volumes = of_home(connection, home)
    identity = _identity(home)
    with connection.transaction():
        if any(one.name == name or one.path == place for one in volumes.rows):
            raise BadVolume("there is a volume of this name or path already")
        mark = uuid4()
        row = _run(
            connection, "add_volume", home_id=identity, host=socket.gethostname()[:255], name=name, path=place, mark=mark,
            quota_bytes=quota_bytes, reserve_bytes=reserve_bytes,
        ).fetchone()  # fmt: skip
        assert row is not None
        prepare_volume(Path(place), VolumeMark(row[0], mark, identity), home)
        link_volume(home, row[0], place)
        after = {"path": place, "quota_bytes": quota_bytes, "reserve_bytes": reserve_bytes}
        audit.record(connection, "volume.add", by, kind="volume", key=name, after=after)
    return get_volume(connection, home, name)


def get_volume(connection: psycopg.Connection[Any], home: Path, name: str) -> Volume:
    """The volume of this name. Raises VolumeUnknown."""
    found = next((one for one in of_home(connection, home).rows if one.name == name), None)
    if found is None:
        raise VolumeUnknown("There is no volume of this name; `gantry storage volumes` lists them.")
    return found


@dataclass(frozen=True, slots=True)
class Changes:
    """What to change of a volume; None: nothing. `quota_bytes` 0: no quota. `path`: where the same volume is now."""

    wanted: Literal["writing", "readonly"] | None = None
    quota_bytes: int | None = None
    reserve_bytes: int | None = None
    position: int | None = None
    path: Path | None = None


def set_volume(connection: psycopg.Connection[Any], home: Path, name: str, changes: Changes, *, by: audit.By) -> Volume:
    """Change a volume. Raises VolumeUnknown, BadVolume (a path that is not this volume)."""
    _check_sizes(changes.quota_bytes, changes.reserve_bytes or 0)
    with connection.transaction():
        volume = get_volume(connection, home, name)
        place = None if changes.path is None else os.path.abspath(changes.path.expanduser())
        if place is not None:
            mark = read_mark(place)
            if volume.is_home or mark is None or (mark.id, mark.mark) != (volume.id, volume.mark):
                raise BadVolume("this folder is not the volume: its mark is not there")
            link_volume(home, volume.id, place)
        _run(
            connection, "set_volume", id=volume.id, wanted=changes.wanted, set_quota=changes.quota_bytes is not None,
            quota_bytes=changes.quota_bytes or None, reserve_bytes=changes.reserve_bytes, position=changes.position, path=place,
        )  # fmt: skip
        changed = get_volume(connection, home, name)
        audit.record(connection, "volume.edit", by, kind="volume", key=name, before=_shown(volume), after=_shown(changed))
    return changed


def remove_volume(connection: psycopg.Connection[Any], home: Path, name: str, *, by: audit.By) -> None:
    """Forget a volume on which nothing lies. Raises VolumeUnknown, BadVolume."""
    with connection.transaction():
        volume = get_volume(connection, home, name)
        if _run(connection, "drop_volume", id=volume.id).fetchone() is None:
            raise BadVolume("objects lie on this volume, or it is the home: set it readonly instead")
        audit.record(connection, "volume.remove", by, kind="volume", key=name, before=_shown(volume))


def _shown(volume: Volume) -> dict[str, Any]:
    fields = ("path", "wanted", "quota_bytes", "reserve_bytes", "position")
    return {field: getattr(volume, field) for field in fields}


def _check_sizes(*sizes: int | None) -> None:
    if any(size is not None and not 0 <= size < 2**60 for size in sizes):
        raise BadVolume("a size is a number of bytes from 0 to 2**60")


def _identity(home: Path) -> UUID:
    identity = home_id(home)
    if identity is None:
        raise BadVolume("this folder is no home: `gantry up` makes one")
    return identity


@dataclass(frozen=True, slots=True)
class Level:
    """How full a volume is now. `free_bytes` is None when it is missing."""

    volume: Volume
    state: str
    note: str
    free_bytes: int | None


def level(volumes: HomeVolumes, volume: Volume, spent: int = 0) -> Level:
    """Look at a volume; `spent` bytes were placed there since its row was read."""
    key = volumes.key(volume)
    if volume not in volumes.mounted():
        return Level(volume, "missing", f"not mounted: {volume.path} has no mark of this volume", None)
    try:
        free = free_on(volumes.home, key)
    except OSError as error:
        return Level(volume, "missing", f"cannot be read: {error.strerror}", None)
    if volume.wanted == "readonly":
        return Level(volume, "readonly", "", free)
    reserve = volume.reserve_bytes
    if volume.is_home and len(volumes.rows) > 1:
        # The receiver stops at its own reserve; with another volume at hand the home is full before that.
        reserve = max(reserve, 2 * config.current().disk_reserve_mb * 1024 * 1024)
    if free <= reserve:
        return Level(volume, "full", "free space is at the reserve", free)
    if volume.quota_bytes is not None and volume.used_bytes + spent >= volume.quota_bytes:
        return Level(volume, "full", "the quota is reached", free)
    return Level(volume, "writing", "", free)


def levels(connection: psycopg.Connection[Any], home: Path) -> list[Level]:
    """All volumes of a home as they are now; what changed is noted in their rows."""
    volumes = of_home(connection, home)
    found = [level(volumes, one) for one in volumes.rows]
    _note(connection, found)
    return found


def _note(connection: psycopg.Connection[Any], found: Iterable[Level]) -> None:
    for one in found:
        if (one.state, one.note) != (one.volume.state, one.volume.note):
            with connection.transaction():
                _run(connection, "note_state", id=one.volume.id, state=one.state, note=one.note)
            if one.state in {"missing", "full"}:
                log.warning("volume %s is %s: %s", one.volume.name, one.state, one.note)


class Shelves:
    """Where the indexer puts what comes next. Used by one thread."""

    def __init__(self, home: Path, clock: Callable[[], float] = time.monotonic) -> None:
        self._home = home
        self._clock = clock
        self._look_again = float("-inf")
        self._volumes = HomeVolumes(home, (), None)
        self._open: list[int | None] = [None]
        self._last: int | None = None
        self._may_overflow = True
        self._spent: dict[int | None, int] = {}

    def look(self, connection: psycopg.Connection[Any]) -> dict[int, UUID]:
        """Read the table and the free space anew when it is time; gives the marks of volumes that may be written to."""
        now = self._clock()
        if now >= self._look_again:
            self._volumes = volumes = of_home(connection, self._home)
            found = [level(volumes, one) for one in volumes.rows]
            _note(connection, found)
            self._open = [volumes.key(one.volume) for one in found if one.state == "writing"]
            home = next((one.volume for one in found if one.volume.is_home), None)
            self._may_overflow = home is None or home.wanted == "writing"
            self._last = volumes.own
            self._spent = {}
            self._look_again = now + LOOK_SECONDS
        return {one.id: one.mark for one in self._volumes.rows if self._volumes.key(one) is not None}

    def choices(self) -> Iterator[int | None]:
        """Volumes to try, in order; at last the home, which has the bytes already."""
        yield from tuple(self._open)
        if self._may_overflow and self._last not in self._open:
            yield self._last

    def give_up(self, volume_id: int | None, error: StorageError) -> None:
        """This one does not take anything now."""
        if volume_id in self._open:
            self._open.remove(volume_id)
            log.warning("volume %s takes nothing more: %s", "home" if volume_id is None else volume_id, error)
        if isinstance(error, VolumeMissing):
            self._look_again = float("-inf")

    def spend(self, volume_id: int | None, count: int) -> None:
        """So much was placed; at its quota a volume is left for the next."""
        spent = self._spent[volume_id] = self._spent.get(volume_id, 0) + count
        for one in self._volumes.rows:
            mine = self._volumes.key(one) == volume_id and volume_id in self._open
            if mine and one.quota_bytes is not None and one.used_bytes + spent >= one.quota_bytes:
                self._open.remove(volume_id)

    def count(self, connection: psycopg.Connection[Any], rows: Iterable[VersionRow]) -> None:
        """In the transaction of the rows: note how much more lies on which volume."""
        sizes: dict[int | None, int] = {}
        for row in rows:
            sizes[row.volume_id] = sizes.get(row.volume_id, 0) + row.file_bytes
        add_used(connection, self._volumes, sizes)


def add_used(connection: psycopg.Connection[Any], volumes: HomeVolumes, sizes: dict[int | None, int]) -> None:
    """Note that so many bytes more (or fewer) lie on volumes, by what their versions have as `volume_id`."""
    found = sorted((one.id, sizes[key]) for one in volumes.rows if (key := volumes.key(one)) in sizes)
    if found:
        _run(connection, "add_used", ids=[one[0] for one in found], bytes=[one[1] for one in found])


def count_used(connection: psycopg.Connection[Any], volumes: HomeVolumes) -> None:
    """Count exactly what lies on the volumes of a home; looks at every version."""
    if volumes.rows:
        with connection.transaction():
            _run(connection, "count_used", home_id=volumes.rows[0].home_id, own_null=volumes.own is None)


def _run(connection: psycopg.Connection[Any], name: str, /, **values: Any) -> psycopg.Cursor[Any]:
    return connection.execute(database.statements("gantry.intake", "volumes.sql")[name], values)


__all__ = [
    "HOME", "Changes", "HomeVolumes", "Level", "Shelves", "Volume", "VolumeRefused", "add_used", "add_volume", "count_used",
    "get_volume", "home_id", "level", "levels", "list_volumes", "of_home", "remove_volume", "set_volume",
]  # fmt: skip
