"""Waking the reader of the spool: one byte through a FIFO in HOME/run.

A FIFO and not a socket, since the address of a socket is limited to 108 bytes and a home may lie deeper.
A lost wake-up costs a delay, never an object: the reader also looks by itself.
"""

from __future__ import annotations

import contextlib
import os
import select
import stat
import threading
import time
from pathlib import Path

from gantry.storage.layout import make_directory

_NAME = "spool.fifo"
_REOPEN_SECONDS = 0.5
_DRAIN_BYTES = 65536


def _fifo(home: Path) -> str:
    make_directory(f"{home}/run")
    path = f"{home}/run/{_NAME}"
    with contextlib.suppress(FileExistsError):
        os.mkfifo(path, 0o600)
    return path


class Bell:
    """The writer's end. `ring()` never blocks and never fails."""

    def __init__(self, home: Path) -> None:
        self._home = home
        self._descriptor = -1
        self._lock = threading.Lock()
        self._retry_at = 0.0

    def ring(self) -> None:
        descriptor = self._descriptor
        if descriptor >= 0:
            try:
                os.write(descriptor, b"\0")
            except BlockingIOError:
                return  # full of bells: the reader will wake anyway
            except OSError:
                pass  # the reader is gone, or the FIFO was replaced
            else:
                return
        if time.monotonic() >= self._retry_at:
            self._reopen()

    def _reopen(self) -> None:
        with self._lock:
            self._retry_at = time.monotonic() + _REOPEN_SECONDS
            self._close()
            try:
                descriptor = os.open(_fifo(self._home), os.O_WRONLY | os.O_NONBLOCK | os.O_CLOEXEC | os.O_NOFOLLOW)
            except OSError:
                return  # nobody listens
            if not stat.S_ISFIFO(os.fstat(descriptor).st_mode):
                os.close(descriptor)
                return
            self._descriptor = descriptor
            with contextlib.suppress(OSError):
                os.write(descriptor, b"\0")

    def _close(self) -> None:
        descriptor, self._descriptor = self._descriptor, -1
        if descriptor >= 0:
            os.close(descriptor)

    def close(self) -> None:
        with self._lock:
            self._close()


class Ear:
    """The reader's end."""

    def __init__(self, home: Path) -> None:
        # Opened for both directions, so that it never reads as ended when the last writer goes.
        self._descriptor = os.open(_fifo(home), os.O_RDWR | os.O_NONBLOCK | os.O_CLOEXEC)

    def wait(self, timeout: float) -> bool:
        """Return at a bell (True) or after `timeout` seconds (False). Bells rung before count."""
        poll = select.poll()
        poll.register(self._descriptor, select.POLLIN)
        if not poll.poll(max(0.0, timeout) * 1000):
            return False
        with contextlib.suppress(BlockingIOError):
            while len(os.read(self._descriptor, _DRAIN_BYTES)) == _DRAIN_BYTES:
                pass
        return True

    def close(self) -> None:
        os.close(self._descriptor)
