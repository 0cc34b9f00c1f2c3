"""What a transcoded data set is made of: small made bytes, and views of the source or of an unlinked file."""

from __future__ import annotations

import mmap
import os
import tempfile
from array import array
from collections.abc import Iterable
from contextlib import suppress
from struct import Struct
from types import TracebackType

from gantry.dataset.transcode_errors import TooMuch

#: Values up to here are copied, larger ones are referenced, bytes.
COPIED = 2048
#: Most bytes that are made in memory for one data set; pixels are not among them.
MAX_MADE = 128 << 20
#: Made pixels above this lie in an unlinked file, bytes.
IN_MEMORY = 1 << 20
#: Of whole bytes and words of each VR; a multiple of 8.
STEP = 1 << 20
#: Most bytes that one data set may come to.
MAX_BYTES = 64 << 30

_LENGTH = Struct("<I")
_CODES = {2: "H", 4: "I", 8: "Q"}


class Scratch:
    """Unlinked files and their mappings; closed together. They go with the process, however that ends."""

    def __init__(self, folder: str | None = None) -> None:
        self._folder = folder
        self._maps: list[mmap.mmap] = []
        self._views: list[memoryview] = []

    def file(self) -> int:
        """Descriptor of a new file without a name; the caller closes it."""
        with tempfile.TemporaryFile(prefix="gantry-transcode-", dir=self._folder, buffering=0) as file:
            return os.dup(file.fileno())

    def mapped(self, descriptor: int) -> memoryview:
        """The whole content of a file; the descriptor may be closed."""
        size = os.fstat(descriptor).st_size
        if not size:
            return memoryview(b"")
        mapping = mmap.mmap(descriptor, size, mmap.MAP_SHARED, mmap.PROT_READ)
        self._maps.append(mapping)
        view = memoryview(mapping)
        self._views.append(view)
        return view

    def kept(self, chunks: Iterable[bytes], expected: int) -> memoryview:
        """What comes, in memory when `expected` is small, else in a file. Raises TooMuch."""
        if expected <= IN_MEMORY:
            return memoryview(b"".join(chunks))
        descriptor = self.file()
        try:
            written = 0
            for chunk in chunks:
                written += write_all(descriptor, chunk)
                if written > MAX_BYTES:
                    raise TooMuch(f"the data set would have more than {MAX_BYTES >> 30} GB")
            return self.mapped(descriptor)
        finally:
            os.close(descriptor)

    def close(self) -> None:
        """Give everything back; views of it must not be used any more."""
        for view in self._views:
            view.release()
        for mapping in self._maps:
            unmap(mapping)
        self._views.clear()
        self._maps.clear()

    def __enter__(self) -> Scratch:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()


def unmap(mapping: mmap.mmap) -> None:
    """Close a mapping. Where an error on its way up still holds a view, the mapping goes with that."""
    with suppress(BufferError):
        mapping.close()


def write_all(descriptor: int, chunk: bytes | memoryview) -> int:
    """Write all of it; gives the number of bytes. Raises OSError."""
    view = memoryview(chunk)
    done = 0
    while done < len(view):
        done += os.write(descriptor, view[done:])
    return done


def swapped(value: memoryview, unit: int) -> Iterable[bytes]:
    """The value with the bytes of each word of `unit` turned round, piece by piece; its length is a multiple of `unit`."""
    for start in range(0, len(value), STEP):
        words = array(_CODES[unit])
        words.frombytes(value[start : start + STEP])
        words.byteswap()
        yield words.tobytes()


class Pieces:
    """Bytes in order: appended, referenced, or patched later."""

    def __init__(self) -> None:
        self._made = bytearray()
        self._order: list[tuple[int, int] | memoryview] = []
        self._run = 0
        self.total = 0

    def add(self, data: bytes | memoryview) -> None:
        """Bytes that are copied. Raises TooMuch."""
        self._made += data
        self.total += len(data)
        if len(self._made) > MAX_MADE:
            raise TooMuch(f"the data set has more than {MAX_MADE >> 20} MB of small elements")

    def refer(self, view: memoryview) -> None:
        """A value: large ones are not copied."""
        if len(view) <= COPIED:
            self.add(view)
            return
        self._close_run()
        self._order.append(view)
        self.total += len(view)

    def later(self) -> int:
        """Leave room for a 32 bit length, little endian; gives where it is."""
        self.add(b"\0\0\0\0")
        return len(self._made) - 4

    def patch(self, place: int, length: int) -> None:
        """Write a length that was left out. Raises TooMuch."""
        if length >= 0xFFFFFFFE:
            raise TooMuch("a sequence would have more than 4 GB")
        _LENGTH.pack_into(self._made, place, length)

    def _close_run(self) -> None:
        if len(self._made) > self._run:
            self._order.append((self._run, len(self._made)))
            self._run = len(self._made)

    def views(self) -> list[memoryview]:
        """All of it in order; nothing may be added after."""
        self._close_run()
        made = memoryview(self._made).toreadonly()
        return [made[part[0] : part[1]] if isinstance(part, tuple) else part for part in self._order]
