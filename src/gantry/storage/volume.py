"""The volume under the home: free space with a reserve, and making everything on it durable."""

from __future__ import annotations

import ctypes
import os
import threading
import time

from gantry.storage.errors import StorageFull

#: Free space is looked up again after this many seconds, or after this many bytes were written.
_CACHED_SECONDS = 1.0
_CACHED_BYTES = 32 << 20


def free_bytes(path: str) -> int:
    """Bytes that we may still write on the volume of `path`; 0 when it has no inodes left."""
    state = os.statvfs(path)
    if state.f_files and not state.f_favail:
        return 0
    return state.f_bavail * state.f_frsize


class Space:
    """Answers "may we write?" without asking the kernel each time. Safe for many threads."""

    def __init__(self, path: str, reserve_bytes: int) -> None:
        self._path = path
        self._reserve = reserve_bytes
        self._lock = threading.Lock()
        self._free = 0
        self._look_again = 0.0
        self._spent = 0

    def check(self, wanted: int = 0) -> None:
        """Raise StorageFull when `wanted` more bytes would touch the reserve."""
        # No is said only after a fresh look: when space returns, the next object gets it.
        if self._is_short(wanted):
            self._look()
            if self._is_short(wanted):
                raise StorageFull("free space is below the reserve")

    def _is_short(self, wanted: int) -> bool:
        available = self.available()
        return available < wanted or (self._reserve > 0 and available <= 0)

    def available(self) -> int:
        """Bytes above the reserve, at most about a second old; may be negative."""
        if time.monotonic() >= self._look_again or self._spent > _CACHED_BYTES:
            self._look()
        return self._free - self._spent - self._reserve

    def _look(self) -> None:
        with self._lock:
            self._free = free_bytes(self._path)
            self._spent = 0
            self._look_again = time.monotonic() + _CACHED_SECONDS

    def spend_quietly(self, count: int) -> None:
        """Note that `count` bytes were written."""
        # A lost update of this counter by another thread only makes the next look a little later.
        self._spent += count

    def spend(self, count: int) -> None:
        """Note that `count` bytes are written; StorageFull when the reserve is reached."""
        self._spent += count
        if self._reserve:
            self.check()


def sync_path(path: str, *, data_only: bool = False) -> None:
    """Make a file or folder durable by its name."""
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        (os.fdatasync if data_only else os.fsync)(descriptor)
    finally:
        os.close(descriptor)


def sync_volume(descriptor: int) -> bool:
    """syncfs(2) on the volume of an open file. False when this system has no syncfs; OSError when it failed.

    Linux reports write errors since the descriptor was opened (5.8 and later), so keep it open between calls.
    """
    syncfs = getattr(ctypes.CDLL(None, use_errno=True), "syncfs", None)
    if syncfs is None:
        return False
    if syncfs(descriptor) != 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))
    return True
