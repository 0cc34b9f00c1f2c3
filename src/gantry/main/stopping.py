"""Hear the signals that end a process, without a trap: a handler may interrupt itself.

`Event.set` in a handler takes a lock; a second signal that arrives while the first handler holds it (a supervisor's
SIGTERM and the kernel's, at the death of a parent) would wait for itself for ever. So the handler
only writes a byte, and a thread does the rest.

Python runs a handler in the main thread, between two of its instructions. A signal that another thread was given, or that
came in the moment before the main thread went to sleep, would be heard when it wakes up, which may be never. So the byte is
written by the interpreter itself too (`set_wakeup_fd`), at once and in any thread.
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

    heeded = numbers or (signal.SIGTERM, signal.SIGINT)

    def heard(number: int, _: object) -> None:
        # An event loop of the main thread puts a descriptor of its own in place of ours, and runs handlers.
        with contextlib.suppress(BlockingIOError):
            os.write(writer, bytes([number]))

    def wait() -> None:
        while os.read(reader, 1)[0] not in heeded:
            pass  # a signal that somebody else in this process has a handler for
        stop.set()

    threading.Thread(target=wait, name="signals", daemon=True).start()
    signal.set_wakeup_fd(writer, warn_on_full_buffer=False)
    for number in heeded:
        signal.signal(number, heard)
    # Python's end puts the default action back: a late signal would then kill a process that is ending in order.
    atexit.register(_ignore, heeded)
    return stop


def _ignore(numbers: tuple[signal.Signals, ...]) -> None:
    for number in numbers:
        signal.signal(number, signal.SIG_IGN)
