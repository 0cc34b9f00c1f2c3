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
        self._free = threading.Lock()
        self._go = threading.Semaphore(0)
        self._done = threading.Semaphore(0)
        self._job: tuple[Hash, memoryview] | None = None
        self._thread: threading.Thread | None = None

    @contextlib.contextmanager
    def beside(self, digest: Hash, piece: memoryview) -> Iterator[None]:
        """Hash `piece` while the body of the `with` runs; on leaving, the piece is hashed."""
        if not self._free.acquire(blocking=False):
            digest.update(piece)
            yield
            return
        try:
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="hashing", daemon=True)
                self._thread.start()
            self._job = (digest, piece)
            self._go.release()
            try:
                yield
            finally:
                self._done.acquire()
        finally:
            self._free.release()

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
