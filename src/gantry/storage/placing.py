"""Final places: a hard link for a file of the spool, a copy for a journal record; durable after `sync`.

On another file system than the spool's a file is copied: under a draft name, its digest compared on the way; it gets
its name in `sync`, when its bytes are durable.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import os
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from uuid import UUID

from gantry.storage.errors import ObjectMissing, PlaceTaken, StorageFailed, StorageFull, VolumeMissing, from_os_error
from gantry.storage.layout import FILE_MODE, make_directory
from gantry.storage.spooled import SpooledObject
from gantry.storage.volume import sync_path, sync_volume
from gantry.storage.volumes import OpenVolume

_CREATE = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
_PIECE = 1 << 20
#: Up to so many new files are synced one by one; more, by one syncfs of the volume.
_ONE_BY_ONE = 4


@dataclass(frozen=True, slots=True)
class _Draft:
    """A copy on another volume that has no name yet."""

    object: SpooledObject
    part: str


class Placing:
    """Places objects under one home and on its volumes, and remembers what is not durable yet.

    `marks`: the volumes there are, with what their mark must say.
    """

    def __init__(self, home: Path, *, durable: bool = True) -> None:
        self._home = home
        self._durable = durable
        self._volume = os.open(home, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        self.marks: Mapping[int, UUID] = {}
        self._open: dict[int, OpenVolume] = {}
        self._drafts: dict[str, _Draft] = {}
        self._copies: list[str] = []
        self._others: list[str] = []  # links, and copies that were there already
        self._distrusted: set[str] = set()
        self._folders: set[str] = set()

    def enter(self, volume_id: int) -> None:
        """Have a volume ready for writing until `sync`. Raises VolumeMissing."""
        if volume_id not in self._open:
            mark = self.marks.get(volume_id)
            if mark is None:
                raise VolumeMissing("there is no such volume, or it belongs to another home")
            self._open[volume_id] = OpenVolume(self._home, volume_id, mark)

    def drop(self) -> None:
        """Forget a batch that was given up."""
        drafts, self._drafts = self._drafts, {}
        for draft in drafts.values():
            with contextlib.suppress(OSError):
                os.unlink(draft.part)
        self._leave()

    def _leave(self) -> None:
        opened, self._open = self._open, {}
        for volume in opened.values():
            volume.close()

    def place(self, obj: SpooledObject, path: str) -> None:
        if path in self._drafts:
            if self._drafts[path].object.key != obj.key:
                raise PlaceTaken("another object of this batch has this place")
            return
        try:
            self._put(obj, path)
        except FileExistsError:
            self._settle(obj, path)
        except OSError as error:
            raise from_os_error(error, "placing an object") from error
        self._folders.add(os.path.dirname(path))

    def _put(self, obj: SpooledObject, path: str) -> None:
        try:
            self._create(obj, path)
        except FileNotFoundError:
            self._folders.update(make_directory(os.path.dirname(path)))
            try:
                self._create(obj, path)
            except FileNotFoundError as error:
                raise ObjectMissing("the object has left the spool") from error

    def _create(self, obj: SpooledObject, path: str) -> None:
        if obj.payload is not None:
            self._copy(obj.payload, path)
            return
        try:
            os.link(obj.path, path)
        except OSError as error:
            if error.errno not in {errno.EXDEV, errno.EPERM, errno.EOPNOTSUPP}:
                raise
            if os.path.lexists(path):
                raise FileExistsError(path) from error
            self._draft(obj, path)
        else:
            self._others.append(path)

    def _draft(self, obj: SpooledObject, path: str) -> None:
        """Copy a file of the spool to another volume, under a name that says that it is not whole yet."""
        part = f"{os.path.dirname(path)}/{secrets.token_hex(8)}.part"
        digest = hashlib.sha256()
        reading = os.open(obj.path, os.O_RDONLY | os.O_CLOEXEC)
        try:
            writing = os.open(part, _CREATE, FILE_MODE)
            try:
                _copy_all(reading, writing, digest, obj.dataset_offset)
            finally:
                os.close(writing)
            if digest.digest() != obj.sha256:
                raise StorageFailed("the spool does not give the bytes that were received")
        except BaseException:
            with contextlib.suppress(OSError):
                os.unlink(part)
            raise
        finally:
            os.close(reading)
        self._drafts[path] = _Draft(obj, part)

    def _copy(self, payload: memoryview, path: str) -> None:
        descriptor = os.open(path, _CREATE, FILE_MODE)
        try:
            while payload:
                count = os.write(descriptor, payload)
                if not count:
                    raise StorageFull("placing an object: the volume takes nothing more")
                payload = payload[count:]
        except BaseException:
            with contextlib.suppress(OSError):
                os.unlink(path)
            raise
        finally:
            os.close(descriptor)
        self._copies.append(path)

    def _settle(self, obj: SpooledObject, path: str) -> None:
        """Something lies there: fine when it is the same, replaced when it is a torn copy of the same."""
        try:
            if obj.payload is None:
                same, torn = _same_file(obj.path, path), False
            else:
                same, torn = _compare(obj.payload, obj.dataset_offset, path)
            if obj.payload is not None and (torn or (same and path in self._distrusted)):
                self._replace(obj.payload, path)
            elif not same:
                raise PlaceTaken("another file lies at this place")
        except OSError as error:
            raise from_os_error(error, "placing an object") from error
        self._distrusted.discard(path)
        self._others.append(path)  # possibly from a batch that never reached its sync

    def _replace(self, payload: memoryview, path: str) -> None:
        beside = f"{os.path.dirname(path)}/{secrets.token_hex(8)}.part"
        self._copy(payload, beside)
        self._copies.remove(beside)
        sync_path(beside, data_only=True)
        os.rename(beside, path)

    def sync(self) -> None:
        try:
            if self._drafts:
                self._name_drafts()
            self._sync()
            for volume in self._open.values():
                volume.check()
        finally:
            self._leave()

    def _name_drafts(self) -> None:
        """First the bytes, then the names: what has a name on another volume is whole there."""
        drafts, self._drafts = self._drafts, {}
        named: list[str] = []
        try:
            if self._durable and not (len(drafts) > _ONE_BY_ONE and self._sync_volumes()):
                for draft in drafts.values():
                    sync_path(draft.part, data_only=True)
            for path, draft in drafts.items():
                _give_name(draft.part, path)
                named.append(path)
        except OSError as error:
            for name in (*named, *(draft.part for draft in drafts.values())):
                with contextlib.suppress(OSError):
                    os.unlink(name)
            raise from_os_error(error, "placing an object on another volume") from error
        self._copies += named

    def _sync_volumes(self) -> bool:
        """syncfs of the home's file system and of all that this batch wrote to."""
        return sync_volume(self._volume) and all(sync_volume(one.descriptor) for one in self._open.values())

    def _sync(self) -> None:
        copies, self._copies = self._copies, []
        others, self._others = self._others, []
        folders, self._folders = self._folders, set()
        if not self._durable:
            return  # as the receivers, by the same setting: the system writes when it likes
        count = len(copies) + len(others) + len(folders)
        try:
            if count > _ONE_BY_ONE and self._sync_volumes():
                return
            for path in copies + others:
                sync_path(path, data_only=True)
            for folder in sorted(folders, key=len, reverse=True):
                sync_path(folder)
        except OSError as error:
            # After a failed sync the page cache may show bytes that the volume does not have. New copies go,
            # to be written anew; older files stay, but are not taken for good when they are placed again.
            for path in copies:
                with contextlib.suppress(OSError):
                    os.unlink(path)
            self._distrusted.update(others)
            raise from_os_error(error, "syncing placed objects") from error

    def close(self) -> None:
        self.drop()
        os.close(self._volume)


def _copy_all(reading: int, writing: int, digest: hashlib._Hash, offset: int) -> None:
    """Copy a file from its beginning; `digest` takes what lies behind `offset`."""
    buffer = memoryview(bytearray(_PIECE))
    at = 0
    while count := os.preadv(reading, [buffer], at):
        digest.update(buffer[max(0, min(count, offset - at)) : count])
        at += count
        piece = buffer[:count]
        while piece:
            written = os.write(writing, piece)
            if not written:
                raise StorageFull("placing an object: the volume takes nothing more")
            piece = piece[written:]


def _give_name(part: str, path: str) -> None:
    """Give a draft its name unless something has it. FileExistsError, OSError."""
    try:
        os.link(part, path)
    except OSError as error:
        # A file system without hard links. Only this process gives names below this home.
        if error.errno not in {errno.EPERM, errno.EOPNOTSUPP, errno.EMLINK} or os.path.lexists(path):
            raise
        os.rename(part, path)
    else:
        os.unlink(part)


def _same_file(ours: str, theirs: str) -> bool:
    mine, other = os.stat(ours), os.stat(theirs)
    if (mine.st_dev, mine.st_ino) == (other.st_dev, other.st_ino):
        return True
    if mine.st_size != other.st_size:
        return False
    with open(ours, "rb") as left, open(theirs, "rb") as right:
        while piece := left.read(_PIECE):
            if piece != right.read(_PIECE):
                return False
    return True


def _compare(payload: memoryview, prefix_length: int, path: str) -> tuple[bool, bool]:
    """(the file holds these bytes, the file is a torn copy of these bytes).

    A torn copy lacks its end or has zeros where bytes should be. Only a file that has our prefix (it names
    this one arrival) or no prefix at all is taken for one: nothing else that lies there is ever replaced.
    """
    with open(path, "rb") as file:
        found = file.read(len(payload) + 1)
    if found == payload:
        return True, False
    if len(found) > len(payload):
        return False, False
    prefix = found[:prefix_length]
    return False, prefix == payload[:prefix_length] or not prefix.strip(b"\0")
