"""A second pair of hands for hashing: large pieces are hashed while their writer waits for the volume."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterator
from typing import Protocol


class Hash(Protocol):
    def update(self, data: memoryview, /) -> None: ...


class HashingThread:
    """Helps one writer at a time; a writer that finds it busy hashes for itself.

    With one association this hides the hashing behind the write; with more, the cores are busy anyway.
    """

    def __init__(self) -> None:
        #: Objects in progress in this process.
        self.writers = 0
        self._counting = threading.Lock()
        self._free = threading.Lock()
        self._go = threading.Semaphore(0)
        self._done = threading.Semaphore(0)
        self._job: tuple[Hash, memoryview] | None = None
        self._thread: threading.Thread | None = None

    def enter(self) -> None:
        """An object begins."""
        with self._counting:
            self.writers += 1

    def leave(self) -> None:
        """An object has ended."""
        with self._counting:
            self.writers -= 1

    def begin(self, digest: Hash, piece: memoryview) -> bool:
        """Start hashing `piece`, if the thread is free. Then `done` or `wait` has to follow, and `piece` must stay."""
        if not self._free.acquire(blocking=False):
            return False
        if self._thread is None:
            self._thread = threading.Thread(target=self._run, name="hashing", daemon=True)
            self._thread.start()
        self._job = (digest, piece)
        self._go.release()
        return True

    def done(self) -> bool:
        """Whether the piece of `begin` is hashed; if so, the thread is free again."""
        if not self._done.acquire(blocking=False):
            return False
        self._free.release()
        return True

    def wait(self) -> None:
        """Until the piece of `begin` is hashed; the thread is free again."""
        self._done.acquire()
        self._free.release()

    @contextlib.contextmanager
    def beside(self, digest: Hash, piece: memoryview) -> Iterator[None]:
        """Hash `piece` while the body of the `with` runs; on leaving, the piece is hashed."""
        if not self.begin(digest, piece):
            digest.update(piece)
            yield
            return
        try:
            yield
        finally:
            self.wait()

    def _run(self) -> None:
        while True:
            self._go.acquire()
            job, self._job = self._job, None
            if job is None:
                return
            job[0].update(job[1])
            self._done.release()

    def close(self) -> None:
        with self._free:
            thread, self._thread = self._thread, None
            if thread is not None:
                self._go.release()
                thread.join()
