"""Page-aligned memory for objects on their way in: reused, and bounded whatever the number of senders."""

from __future__ import annotations

import mmap
import threading
from collections import deque

from gantry.storage.ahead import Ahead

#: What O_DIRECT asks for: memory, offsets and lengths in multiples of this.
BLOCK = 4096
LARGE_BYTES = 1 << 20
SMALL_BYTES = 256 << 10
_SMALL_KEPT = 32


class Buffer:
    """A piece of aligned memory and the writes from it that are in flight."""

    __slots__ = ("ahead", "view")

    def __init__(self, size: int) -> None:
        self.view = memoryview(mmap.mmap(-1, size))
        self.ahead = Ahead(self.view)


class BufferPool:
    """Gives a large buffer while fewer than `large` are out, then small ones; only used pages cost memory."""

    def __init__(self, large: int = 32) -> None:
        self._large: deque[Buffer] = deque()
        self._small: deque[Buffer] = deque(maxlen=_SMALL_KEPT)
        self._unmade = large
        self._lock = threading.Lock()

    def take(self) -> Buffer:
        try:
            return self._large.pop()
        except IndexError:
            pass
        with self._lock:
            make = self._unmade > 0
            self._unmade -= make
        if make:
            return Buffer(LARGE_BYTES)
        try:
            return self._small.pop()
        except IndexError:
            return Buffer(SMALL_BYTES)

    def give_back(self, buffer: Buffer) -> None:
        """For the next object; nothing may be in flight from it."""
        (self._large if len(buffer.view) == LARGE_BYTES else self._small).append(buffer)
