"""Final places: a hard link for a file of the spool, a copy for a journal record; durable after `sync`."""

from __future__ import annotations

import contextlib
import os
import secrets
from pathlib import Path

from gantry.storage.errors import ObjectMissing, PlaceTaken, StorageFull, from_os_error
from gantry.storage.layout import FILE_MODE, make_directory
from gantry.storage.spooled import SpooledObject
from gantry.storage.volume import sync_path, sync_volume

_CREATE = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
_PIECE = 1 << 20
#: Up to so many new files are synced one by one; more, by one syncfs of the volume.
_ONE_BY_ONE = 4


class Placing:
    """Places objects under one home and remembers what is not durable yet."""

    def __init__(self, home: Path, *, durable: bool = True) -> None:
        self._durable = durable
        self._volume = os.open(home, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        self._copies: list[str] = []
        self._others: list[str] = []  # links, and copies that were there already
        self._distrusted: set[str] = set()
        self._folders: set[str] = set()

    def place(self, obj: SpooledObject, path: str) -> None:
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
        if obj.payload is None:
            os.link(obj.path, path)
            self._others.append(path)
        else:
            self._copy(obj.payload, path)

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
        copies, self._copies = self._copies, []
        others, self._others = self._others, []
        folders, self._folders = self._folders, set()
        if not self._durable:
            return  # as the receivers, by the same setting: the system writes when it likes
        count = len(copies) + len(others) + len(folders)
        try:
            if count > _ONE_BY_ONE and sync_volume(self._volume):
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
        os.close(self._volume)


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
