"""Page-aligned memory for objects on their way in: reused, and bounded whatever the number of senders."""

from __future__ import annotations

import mmap
import threading
from collections import deque

#: What O_DIRECT asks for: memory, offsets and lengths in multiples of this.
BLOCK = 4096
LARGE_BYTES = 1 << 20
SMALL_BYTES = 256 << 10
_SMALL_KEPT = 32


class BufferPool:
    """Gives a large buffer while fewer than `large` are out, then small ones; only used pages cost memory."""

    def __init__(self, large: int = 32) -> None:
        self._large: deque[memoryview] = deque()
        self._small: deque[memoryview] = deque(maxlen=_SMALL_KEPT)
        self._unmade = large
        self._lock = threading.Lock()

    def take(self) -> memoryview:
        try:
            return self._large.pop()
        except IndexError:
            pass
        with self._lock:
            make = self._unmade > 0
            self._unmade -= make
        if make:
            return memoryview(mmap.mmap(-1, LARGE_BYTES))
        try:
            return self._small.pop()
        except IndexError:
            return memoryview(mmap.mmap(-1, SMALL_BYTES))

    def give_back(self, buffer: memoryview) -> None:
        (self._large if len(buffer) == LARGE_BYTES else self._small).append(buffer)
