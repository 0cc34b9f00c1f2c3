"""One lock per home between placing files and unlinking files whose rows are gone."""

from __future__ import annotations

import contextlib
import fcntl
import os
from collections.abc import Iterator
from pathlib import Path


class PlacingLock:
    """Shared by who places and commits, exclusive for who unlinks. Dies with its process."""

    def __init__(self, home: Path) -> None:
        self._home = home
        self._descriptor = -1

    @contextlib.contextmanager
    def shared(self) -> Iterator[None]:
        """Nobody unlinks meanwhile. Waits."""
        with self._held(fcntl.LOCK_SH):
            yield

    @contextlib.contextmanager
    def exclusive(self) -> Iterator[None]:
        """Nobody places meanwhile. Waits for the end of the batch at hand."""
        with self._held(fcntl.LOCK_EX):
            yield

    @contextlib.contextmanager
    def _held(self, how: int) -> Iterator[None]:
        if self._descriptor < 0:
            os.makedirs(self._home / "run", mode=0o700, exist_ok=True)
            self._descriptor = os.open(self._home / "run" / "placing.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        fcntl.flock(self._descriptor, how)
        try:
            yield
        finally:
            fcntl.flock(self._descriptor, fcntl.LOCK_UN)

    def close(self) -> None:
        """Let go of the file."""
        descriptor, self._descriptor = self._descriptor, -1
        if descriptor >= 0:
            os.close(descriptor)
