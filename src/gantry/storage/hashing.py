"""A second pair of hands for hashing: a whole buffer of a large object is hashed while the next one fills.

Worth it for pieces of a megabyte only. Measured for objects of half a megabyte: waking a thread for each fragment costs
more than the hashing that it takes away.
"""

from __future__ import annotations

import threading
from typing import Protocol

_CLOSE_SECONDS = 1.0


class Hash(Protocol):
    def update(self, data: memoryview, /) -> None: ...


class HashingThread:
    """Hashes one piece at a time, for whoever comes first; who finds it busy hashes for himself."""

    def __init__(self) -> None:
        self._free = threading.Lock()
        self._go = threading.Semaphore(0)
        self._done = threading.Semaphore(0)
        self._job: tuple[Hash, memoryview] | None = None
        self._thread: threading.Thread | None = None

    def start(self, digest: Hash, piece: memoryview) -> bool:
        """Begin to hash `piece`; False when the thread is busy. After True the caller has to call `wait`."""
        if not self._free.acquire(blocking=False):
            return False
        if self._thread is None:
            self._thread = threading.Thread(target=self._run, name="hashing", daemon=True)
            self._thread.start()
        self._job = (digest, piece)
        self._go.release()
        return True

    def wait(self) -> None:
        """Return when the piece is hashed; the thread is free again."""
        self._done.acquire()
        self._free.release()

    def _run(self) -> None:
        while True:
            self._go.acquire()
            job, self._job = self._job, None
            if job is None:
                return
            digest, piece = job
            digest.update(piece)
            self._done.release()

    def close(self) -> None:
        """End the thread; one that works for an object that was never ended is left to the end of the process."""
        if not self._free.acquire(timeout=_CLOSE_SECONDS):
            return
        try:
            thread, self._thread = self._thread, None
            if thread is not None:
                self._go.release()
                thread.join()
        finally:
            self._free.release()
