"""One new file in the incoming folder, written in large aligned pieces past the page cache if possible."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
from dataclasses import dataclass, field

from gantry.storage.ahead import Ahead, Piece
from gantry.storage.buffers import BLOCK
from gantry.storage.errors import StorageFull
from gantry.storage.layout import FILE_MODE

#: The end of a file is set ahead in steps of this.
_REACH = 8 << 20
_CREATE = os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC


def whole_blocks(length: int) -> int:
    """`length` rounded up to blocks."""
    return -(-length // BLOCK) * BLOCK


@dataclass(slots=True)
class Folder:
    """An open folder that receives files. `direct` turns False when its volume refuses O_DIRECT."""

    descriptor: int
    durable: bool
    direct: bool = field(default=True)

    @property
    def runs_ahead(self) -> bool:
        """Whether objects of one buffer are written past the page cache."""
        return self.direct and self.durable


class SpoolFile:
    """A file that has a `.part` name until it is published. Methods raise OSError; the caller names it."""

    __slots__ = ("_descriptor", "_direct", "_folder", "_name", "size")

    def __init__(self, folder: Folder, name: str, *, large: bool) -> None:
        self._folder = folder
        self._name = name
        # Without a sync the page cache takes bytes faster than the disk, until there are very many of them.
        self._direct = folder.direct and (folder.durable or large)
        self._descriptor = self._create()
        #: Where the file ends now.
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

    def start(self, ahead: Ahead, piece: Piece) -> bool:
        """Begin to write whole blocks from the buffer of `ahead`; False when `write` has to do it."""
        if not self._direct:
            return False
        if piece.offset + piece.end - piece.start > self.size:
            # Asynchronous only below the end of the file, so that lies ahead; `publish` sets the true one.
            self.size = (piece.offset // _REACH + 1) * _REACH
            os.ftruncate(self._descriptor, self.size)
        return ahead.start(self._descriptor, piece)

    def finish(self, ahead: Ahead, buffer: memoryview) -> None:
        """Wait for what was started; what failed is written again here, which says why when it fails again."""
        for piece in ahead.finish():
            self.write(buffer, piece.start, piece.end, piece.offset)

    def write(self, buffer: memoryview, start: int, end: int, offset: int) -> None:
        """Write `start` to `end` of an aligned buffer at an aligned offset; the end may be padded."""
        padded = whole_blocks(end) if self._direct else end
        if padded > end:
            buffer[end:padded] = bytes(padded - end)
        self.size = max(self.size, offset + padded - start)
        while start < padded:
            try:
                count = os.pwrite(self._descriptor, buffer[start:padded], offset)
            except OSError as error:
                if error.errno != errno.EINVAL or not self._direct:
                    raise
                self._leave_direct()
                padded = end
                continue
            if count == 0:
                raise StorageFull("writing an object: the volume takes nothing more")
            start += count
            offset += count
            if self._direct and start % BLOCK:
                self._leave_direct()  # a short write has left us between blocks
                padded = end

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
