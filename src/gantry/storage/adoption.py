"""Files that come whole (import, mending): staged one by one, made durable and visible together."""

from __future__ import annotations

import contextlib
import errno
import hashlib
import os
import threading
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from gantry.storage.errors import SourceFailed, StorageFailed, from_os_error
from gantry.storage.layout import FILE_MODE
from gantry.storage.spool_names import complete_name, part_name, sidecar_name
from gantry.storage.volume import sync_path, sync_volume

if TYPE_CHECKING:
    from gantry.storage.incoming import SpoolSlot

_PIECE = 1 << 20
_CREATE = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC


@dataclass(frozen=True, slots=True)
class _Staged:
    part: str
    complete: str
    sidecar: str


class _Region:
    """Hashes the bytes of a stream that lie between two offsets."""

    def __init__(self, start: int, length: int | None) -> None:
        self._hash = hashlib.sha256()
        self._start = start
        self._end = None if length is None else start + length
        self._at = 0

    def update(self, piece: memoryview) -> None:
        begin = max(0, self._start - self._at)
        end = len(piece) if self._end is None else max(0, min(len(piece), self._end - self._at))
        self._at += len(piece)
        if begin < end:
            self._hash.update(piece[begin:end])

    def digest(self) -> bytes:
        if self._at < (self._start if self._end is None else self._end):
            raise SourceFailed("the file is shorter than its data set should be")
        return self._hash.digest()


class Adoption:
    """Files staged for one slot. Safe for several threads."""

    def __init__(self, slot: SpoolSlot) -> None:
        self._slot = slot
        self._staged: list[_Staged] = []
        self._lock = threading.Lock()
        self._volume = slot.folder.descriptor

    def copy(self, source: Path, sidecar: bytes | Callable[[bytes], bytes], offset: int, length: int | None) -> bytes:
        slot = self._slot
        slot.space.check()
        order = next(slot.orders)
        part = part_name(slot.run, order)
        written = [part]
        try:
            digest = self._copy_bytes(source, part, _Region(offset, length))
            complete = complete_name(slot.run, order, offset, digest)
            beside = sidecar_name(complete)
            written.append(beside)
            self._write_small(beside, sidecar if isinstance(sidecar, bytes) else sidecar(digest))
        except BaseException as error:
            self._unlink(written)
            if isinstance(error, OSError):
                raise from_os_error(error, "taking in a file") from error
            raise
        with self._lock:
            self._staged.append(_Staged(part, complete, beside))
        return digest

    def _copy_bytes(self, source: Path, part: str, region: _Region) -> bytes:
        try:
            reading = os.open(source, os.O_RDONLY | os.O_CLOEXEC)
        except OSError as error:
            raise SourceFailed(f"the file cannot be opened: {error.strerror}") from error
        buffer = self._slot.pool.take()
        try:
            writing = os.open(part, _CREATE, FILE_MODE, dir_fd=self._slot.folder.descriptor)
            try:
                while True:
                    count = self._read(reading, buffer.view)
                    if not count:
                        return region.digest()
                    self._slot.space.spend(count)
                    region.update(buffer.view[:count])
                    done = 0
                    while done < count:
                        done += os.write(writing, buffer.view[done:count])
            finally:
                os.close(writing)
        finally:
            self._slot.pool.give_back(buffer)
            os.close(reading)

    def _read(self, descriptor: int, buffer: memoryview) -> int:
        try:
            return os.readv(descriptor, [buffer])
        except OSError as error:
            raise SourceFailed(f"the file cannot be read: {error.strerror}") from error

    def _write_small(self, name: str, data: bytes) -> None:
        descriptor = os.open(name, _CREATE, FILE_MODE, dir_fd=self._slot.folder.descriptor)
        try:
            view = memoryview(data)
            while view:
                view = view[os.write(descriptor, view) :]
        finally:
            os.close(descriptor)

    def move(self, stored: str, sha256: bytes, offset: int) -> None:
        """One rename: the file has either its old place or its name in the spool, whatever happens.

        From another volume it is copied first, and unlinked there when the copy is durable.
        """
        slot = self._slot
        order = next(slot.orders)
        name = complete_name(slot.run, order, offset, sha256)
        try:
            sync_path(stored, data_only=True)
            try:
                os.rename(stored, name, dst_dir_fd=slot.folder.descriptor)
            except OSError as error:
                if error.errno != errno.EXDEV:
                    raise
                self._move_copy(Path(stored), part_name(slot.run, order), name, (sha256, offset))
            os.fsync(slot.folder.descriptor)
            sync_path(os.path.dirname(stored))
        except OSError as error:
            raise from_os_error(error, "moving a stored file") from error
        slot.bell.ring()

    def _move_copy(self, stored: Path, part: str, name: str, expected: tuple[bytes, int]) -> None:
        sha256, offset = expected
        folder = self._slot.folder.descriptor
        try:
            if self._copy_bytes(stored, part, _Region(offset, None)) != sha256:
                raise StorageFailed("moving a stored file: its bytes changed on the way")
            descriptor = os.open(part, os.O_RDONLY | os.O_CLOEXEC, dir_fd=folder)
            try:
                os.fsync(descriptor)
            finally:
                os.close(descriptor)
            os.rename(part, name, src_dir_fd=folder, dst_dir_fd=folder)
            os.fsync(folder)
        except BaseException:
            self._unlink([part])
            raise
        os.unlink(stored)

    def flush(self) -> int:
        """All bytes durable first, then the names: nothing is visible that could still be lost."""
        with self._lock:
            staged, self._staged = self._staged, []
        if not staged:
            return 0
        slot = self._slot
        folder = slot.folder.descriptor
        try:
            if slot.folder.durable:
                self._sync(staged)
            for item in staged:
                os.rename(item.part, item.complete, src_dir_fd=folder, dst_dir_fd=folder)
            if slot.folder.durable:
                os.fsync(folder)
        except OSError as error:
            # What the kernel has of these bytes cannot be trusted any more: all are taken in anew.
            self._unlink([name for item in staged for name in (item.part, item.complete, item.sidecar)])
            raise from_os_error(error, "syncing files that were taken in") from error
        slot.bell.ring()
        return len(staged)

    def _sync(self, staged: list[_Staged]) -> None:
        if len(staged) > 4 and sync_volume(self._volume):
            return
        for item in staged:
            for name in (item.part, item.sidecar):
                descriptor = os.open(name, os.O_RDONLY | os.O_CLOEXEC, dir_fd=self._slot.folder.descriptor)
                try:
                    os.fdatasync(descriptor)
                finally:
                    os.close(descriptor)

    def discard(self) -> None:
        with self._lock:
            staged, self._staged = self._staged, []
        self._unlink([name for item in staged for name in (item.part, item.sidecar)])

    def _unlink(self, names: list[str]) -> None:
        for name in names:
            with contextlib.suppress(OSError):
                os.unlink(name, dir_fd=self._slot.folder.descriptor)
