"""One new file in the incoming folder, written in large aligned pieces past the page cache if possible."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
from dataclasses import dataclass, field

from gantry.storage.buffers import BLOCK
from gantry.storage.errors import StorageFull
from gantry.storage.layout import FILE_MODE

_CREATE = os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC


@dataclass(slots=True)
class Folder:
    """An open folder that receives files. `direct` turns False when its volume refuses O_DIRECT."""

    descriptor: int
    durable: bool
    direct: bool = field(default=True)


class SpoolFile:
    """A file that has a `.part` name until it is published. Methods raise OSError; the caller names it."""

    __slots__ = ("_descriptor", "_direct", "_folder", "_name", "size")

    def __init__(self, folder: Folder, name: str, *, large: bool) -> None:
        self._folder = folder
        self._name = name
        # Without a sync the page cache takes bytes faster than the disk, until there are very many of them.
        self._direct = folder.direct and (folder.durable or large)
        self._descriptor = self._create()
        self.size = 0

    def _create(self) -> int:
        if self._direct:
            try:
                return os.open(self._name, _CREATE | os.O_DIRECT, FILE_MODE, dir_fd=self._folder.descriptor)
            except OSError as error:
                if error.errno != errno.EINVAL:
                    raise
                self._refused()
                with contextlib.suppress(FileNotFoundError):  # some kernels create it before they refuse
                    os.unlink(self._name, dir_fd=self._folder.descriptor)
        return os.open(self._name, _CREATE, FILE_MODE, dir_fd=self._folder.descriptor)

    def _refused(self) -> None:
        self._direct = self._folder.direct = False

    def write(self, buffer: memoryview, length: int, offset: int) -> None:
        """Write the first `length` bytes of an aligned buffer at an aligned offset; the end may be padded."""
        padded = -(-length // BLOCK) * BLOCK if self._direct else length
        if padded > length:
            buffer[length:padded] = bytes(padded - length)
        done = 0
        while done < padded:
            try:
                count = os.pwrite(self._descriptor, buffer[done:padded], offset + done)
            except OSError as error:
                if error.errno != errno.EINVAL or not self._direct:
                    raise
                self._leave_direct()
                padded = length
                continue
            if count == 0:
                raise StorageFull("writing an object: the volume takes nothing more")
            done += count
            if self._direct and done % BLOCK:
                self._leave_direct()  # a short write has left us between blocks
                padded = length
        self.size = max(self.size, offset + padded)

    def _leave_direct(self) -> None:
        flags = fcntl.fcntl(self._descriptor, fcntl.F_GETFL)
        fcntl.fcntl(self._descriptor, fcntl.F_SETFL, flags & ~os.O_DIRECT)
        self._direct = False

    def publish(self, name: str, true_size: int) -> None:
        """Give the file its complete name and make it durable."""
        if self.size != true_size:
            os.ftruncate(self._descriptor, true_size)
        folder = self._folder
        # Renamed before the sync: one commit of the file system's journal then covers both. A reader that
        # looks in between sees whole bytes; after a power loss it compares the digest in the name.
        os.rename(self._name, name, src_dir_fd=folder.descriptor, dst_dir_fd=folder.descriptor)
        self._name = name
        if folder.durable:
            os.fdatasync(self._descriptor)
            os.fsync(folder.descriptor)
        self._close()

    def discard(self) -> None:
        """Leave nothing behind, whatever name it has."""
        self._close()
        with contextlib.suppress(OSError):
            os.unlink(self._name, dir_fd=self._folder.descriptor)

    def _close(self) -> None:
        descriptor, self._descriptor = self._descriptor, -1
        if descriptor >= 0:
            os.close(descriptor)
