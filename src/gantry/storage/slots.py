"""A slot of the spool belongs to one process at a time: a lock that dies with it, and a run number."""

from __future__ import annotations

import contextlib
import fcntl
import os
import re
import time
from types import TracebackType

from gantry.storage.errors import SlotBusy, from_os_error
from gantry.storage.layout import FILE_MODE, SlotPaths, make_directory

_RUN_IN_NAME = re.compile(r"(?:(?:active|sealed|damaged)-)?(\d{8})-", re.ASCII)
_POLL_SECONDS = 0.02


class SlotLock:
    """The lock of a slot; held from `take` to `release` or the death of the process."""

    def __init__(self, paths: SlotPaths) -> None:
        self._paths = paths
        self._descriptor = -1

    def take(self, patience: float = 0.0) -> bool:
        """Take the lock, within `patience` seconds (a reader that tidies up holds it for moments)."""
        deadline = time.monotonic() + patience
        while not self._try():
            if time.monotonic() >= deadline:
                return False
            time.sleep(_POLL_SECONDS)
        return True

    def _try(self) -> bool:
        try:
            make_directory(self._paths.root)
            descriptor = os.open(self._paths.lock, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, FILE_MODE)
        except FileNotFoundError:
            return False  # the reader has just removed the empty slot; make it again
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            # The slot may have been removed between opening and locking: then this lock guards nothing.
            if os.stat(self._paths.lock).st_ino != os.fstat(descriptor).st_ino:
                raise FileNotFoundError
        except (BlockingIOError, FileNotFoundError):
            os.close(descriptor)
            return False
        self._descriptor = descriptor
        return True

    def next_run(self) -> int:
        """The number of a new run: higher than any in the slot, no clock is asked. Durable on return."""
        run = max(self.last_run(), *_runs_in(self._paths.journal), *_runs_in(self._paths.incoming), 0) + 1
        try:
            os.pwrite(self._descriptor, f"{run:08d}\n".encode("ascii"), 0)
            os.fsync(self._descriptor)
        except OSError as error:
            raise from_os_error(error, "starting a run") from error
        return run

    def last_run(self) -> int:
        return _parse_run(os.pread(self._descriptor, 8, 0))

    def release(self) -> None:
        descriptor, self._descriptor = self._descriptor, -1
        if descriptor >= 0:
            os.close(descriptor)

    def __enter__(self) -> SlotLock:
        if not self.take():
            raise SlotBusy("the slot has a writer")
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.release()


def _parse_run(text: bytes) -> int:
    return int(text) if len(text) == 8 and text.isdigit() else 0


def live_run(paths: SlotPaths) -> int:
    """The number of the newest run of a slot, 0 when unknown."""
    try:
        descriptor = os.open(paths.lock, os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return 0
    try:
        return _parse_run(os.pread(descriptor, 8, 0))
    finally:
        os.close(descriptor)


def _runs_in(folder: str) -> list[int]:
    found = [0]
    with contextlib.suppress(FileNotFoundError):
        found += [int(match[1]) for name in os.listdir(folder) if (match := _RUN_IN_NAME.match(name))]
    return found
