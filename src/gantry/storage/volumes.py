"""Further volumes: a folder on another file system, with a link to it in the home and a mark of ours in it.

`HOME/volumes/<id>` is a symbolic link to the folder, so a place like `volumes/3/objects/...` is a path below the home as
any other, and whoever reads needs to know nothing of volumes. The mark lies on the volume itself: where nothing is
mounted it is not there, and then nothing is written.
"""

from __future__ import annotations

import contextlib
import json
import os
import secrets
from dataclasses import dataclass
from pathlib import Path
from uuid import UUID

from gantry.storage.errors import VolumeMissing, VolumeRefused
from gantry.storage.layout import FILE_MODE, make_directory, volume_link, volume_of
from gantry.storage.volume import free_bytes, sync_path

MARK = ".gantry-volume"
_MARK_LIMIT = 4096


@dataclass(frozen=True, slots=True)
class VolumeMark:
    """What the file MARK on a volume says: the number of its row, a random mark, and the home that writes there."""

    id: int
    mark: UUID
    home: UUID


def read_mark(path: str) -> VolumeMark | None:
    """The mark of a folder; None when it has none of ours."""
    try:
        with open(f"{path}/{MARK}", "rb") as file:
            found = json.loads(file.read(_MARK_LIMIT))
        return VolumeMark(int(found["id"]), UUID(found["mark"]), UUID(found["home"]))
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return None


def prepare_volume(path: Path, mark: VolumeMark, home: Path) -> None:
    """Put our mark into a folder and make `objects/` there, durably. Raises VolumeRefused.

    The folder must exist, be writable, be empty but for `lost+found`, and be neither in the home nor around it: a
    home that is put away or deleted must not take a volume with it.
    """
    place, here = os.path.realpath(path), os.path.realpath(home)
    if not os.path.isdir(place):
        raise VolumeRefused("this is no folder: make it, or mount the volume first")
    if f"{place}/".startswith(f"{here}/") or f"{here}/".startswith(f"{place}/"):
        raise VolumeRefused("a volume must lie outside the home")
    there = read_mark(place)
    if there is not None and there != mark:
        raise VolumeRefused(f"this folder is volume {there.id} of another home or database")
    try:
        foreign = set(os.listdir(place)) - {"lost+found", MARK}
        if there is None and foreign:
            raise VolumeRefused("this folder is not empty; a volume begins as an empty folder")
        write_mark(place, mark)
        for changed in make_directory(f"{place}/objects"):
            sync_path(changed)
    except OSError as error:
        raise VolumeRefused(f"this folder cannot be written: {error.strerror}") from error


def write_mark(place: str, mark: VolumeMark) -> None:
    """Write the mark so that a crash leaves none or a whole one. OSError."""
    draft = f"{place}/{MARK}.{secrets.token_hex(4)}"
    text = json.dumps({"id": mark.id, "mark": str(mark.mark), "home": str(mark.home)}) + "\n"
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, FILE_MODE)
    try:
        os.write(descriptor, text.encode("ascii"))
        os.fsync(descriptor)
        os.rename(draft, f"{place}/{MARK}")
        sync_path(place)
    except BaseException:
        with contextlib.suppress(OSError):
            os.unlink(draft)
        raise
    finally:
        os.close(descriptor)


def link_volume(home: Path, volume_id: int, path: str) -> None:
    """Make, or correct, the link of a volume in the home. OSError."""
    link = volume_link(home, volume_id)
    with contextlib.suppress(OSError):
        if os.readlink(link) == path:
            return
    folder = os.path.dirname(link)
    make_directory(folder)
    draft = f"{folder}/.{volume_id}.{secrets.token_hex(4)}"
    os.symlink(path, draft)
    os.rename(draft, link)
    sync_path(folder)


def is_mounted(home: Path, volume_id: int, mark: UUID | None = None) -> bool:
    """Whether the volume of this number is there, by its own mark."""
    found = read_mark(volume_link(home, volume_id))
    return found is not None and found.id == volume_id and mark in {None, found.mark}


def is_away(home: Path, relative: str) -> bool:
    """Whether a place lies on a volume that is not mounted: what is missing there is not lost."""
    volume_id = volume_of(relative)
    return volume_id is not None and not is_mounted(home, volume_id)


def is_ours(home: Path, relative: str) -> bool:
    """Whether a place lies in the home, or on a volume that the home has or had: another home has volumes of its own."""
    volume_id = volume_of(relative)
    return volume_id is None or os.path.lexists(volume_link(home, volume_id))


class OpenVolume:
    """A volume that is written to: held open, so that it cannot be unmounted meanwhile."""

    def __init__(self, home: Path, volume_id: int, mark: UUID) -> None:
        """Raises VolumeMissing."""
        self._path = volume_link(home, volume_id)
        try:
            self.descriptor = os.open(self._path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        except OSError as error:
            raise VolumeMissing("the volume is not mounted") from error
        # Looked at after it was opened: what has the mark is what we hold.
        if not is_mounted(home, volume_id, mark):
            self.close()
            raise VolumeMissing("the volume is not mounted: the mark of ours is not there")

    def check(self) -> None:
        """Raise VolumeMissing when another folder has come in its place (it was unmounted by force)."""
        try:
            there, mine = os.stat(self._path), os.fstat(self.descriptor)
        except OSError as error:
            raise VolumeMissing("the volume has gone while it was written to") from error
        if (there.st_dev, there.st_ino) != (mine.st_dev, mine.st_ino):
            raise VolumeMissing("the volume has gone while it was written to")

    def close(self) -> None:
        """Let it be unmounted again."""
        os.close(self.descriptor)


def free_on(home: Path, volume_id: int | None) -> int:
    """Free bytes of a volume (None: of the home). OSError."""
    return free_bytes(str(home) if volume_id is None else volume_link(home, volume_id))
