"""A second pair of hands for hashing: a piece is hashed while its writer receives the next or waits for the volume."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterator
from typing import Protocol

_CLOSE_SECONDS = 1.0


class Hash(Protocol):
    def update(self, data: memoryview, /) -> None: ...


class Following:
    """The hashing of one buffer that is still being filled. Used by one writer."""

    __slots__ = ("_buffer", "_digest", "_end", "_hashed", "_over", "_owner")

    def __init__(self, owner: HashingThread, digest: Hash, buffer: memoryview, start: int) -> None:
        self._owner = owner
        self._digest = digest
        self._buffer = buffer
        self._hashed = self._end = start
        self._over = False

    def extend(self, end: int) -> None:
        """The buffer is filled up to `end` now; what is below does not change any more."""
        self._end = end
        self._owner.go.release()

    def finish(self) -> None:
        """Wait until all of it is hashed; the thread is free again."""
        self._over = True
        self._owner.go.release()
        self._owner.finished.acquire()
        self._owner.free.release()

    def work(self) -> bool:
        """Hash what is new (the thread's side); True when nothing more will come."""
        over = self._over  # read before the end, which does not move once it is over
        end = self._end
        if end > self._hashed:
            self._digest.update(self._buffer[self._hashed : end])
            self._hashed = end
        return over


class HashingThread:
    """Helps one writer at a time; a writer that finds it busy hashes for itself.

    With one association this hides the hashing; with more, the cores are busy anyway.
    """

    def __init__(self) -> None:
        #: Objects in progress in this process.
        self.writers = 0
        self._counting = threading.Lock()
        self.free = threading.Lock()
        self.go = threading.Semaphore(0)
        self.finished = threading.Semaphore(0)
        self._job: Following | None = None
        self._thread: threading.Thread | None = None
        self._closing = False

    def enter(self) -> None:
        """An object begins."""
        with self._counting:
            self.writers += 1

    def leave(self) -> None:
        """An object has ended."""
        with self._counting:
            self.writers -= 1

    def follow(self, digest: Hash, buffer: memoryview, start: int) -> Following | None:
        """Hash `buffer` from `start` on as it fills; None when the thread is busy. `Following.finish` has to be called."""
        if not self.free.acquire(blocking=False):
            return None
        if self._thread is None:
            self._thread = threading.Thread(target=self._run, name="hashing", daemon=True)
            self._thread.start()
        self._job = Following(self, digest, buffer, start)
        return self._job

    @contextlib.contextmanager
    def beside(self, digest: Hash, piece: memoryview) -> Iterator[None]:
        """Hash `piece` while the body of the `with` runs; on leaving, the piece is hashed."""
        following = self.follow(digest, piece, 0)
        if following is None:
            digest.update(piece)
            yield
            return
        following.extend(len(piece))
        try:
            yield
        finally:
            following.finish()

    def _run(self) -> None:
        while True:
            self.go.acquire()
            if self._closing:
                return
            # A wake-up that is left over from the job before finds none, or the next one with nothing new.
            job = self._job
            if job is not None and job.work():
                self._job = None
                self.finished.release()

    def close(self) -> None:
        """End the thread; one that still works for an object that was never ended is left to the end of the process."""
        if not self.free.acquire(timeout=_CLOSE_SECONDS):
            return
        try:
            thread, self._thread = self._thread, None
            self._closing = True
            if thread is not None:
                self.go.release()
                thread.join()
        finally:
            self.free.release()
