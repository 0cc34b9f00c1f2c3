"""Hear the signals that end a process, without a trap: a handler may interrupt itself.

`Event.set` in a handler takes a lock; a second signal that arrives while the first handler holds it (a supervisor's
SIGTERM and the kernel's, at the death of a parent) would wait for itself for ever. So the handler
only writes a byte, and a thread does the rest.
"""

from __future__ import annotations

import atexit
import contextlib
import os
import signal
import threading


def stop_event(*numbers: signal.Signals) -> threading.Event:
    """An event that is set by any of the signals (SIGTERM and SIGINT without arguments). Main thread only."""
    stop = threading.Event()
    reader, writer = os.pipe()
    os.set_blocking(writer, False)

    def heard(*_: object) -> None:
        with contextlib.suppress(BlockingIOError):
            os.write(writer, b"\0")

    def wait() -> None:
        os.read(reader, 1)
        stop.set()

    threading.Thread(target=wait, name="signals", daemon=True).start()
    heeded = numbers or (signal.SIGTERM, signal.SIGINT)
    for number in heeded:
        signal.signal(number, heard)
    # Python's end puts the default action back: a late signal would then kill a process that is ending in order.
    atexit.register(_ignore, heeded)
    return stop


def _ignore(numbers: tuple[signal.Signals, ...]) -> None:
    for number in numbers:
        signal.signal(number, signal.SIG_IGN)
