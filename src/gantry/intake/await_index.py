"""See to it that what was put into the spool gets indexed: by the running indexer, or by this process."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

from gantry.intake.serve import indexer, leave_indexing, take_indexing

_SHORT, _LONG = 0.02, 0.25


def await_index(home: Path, is_done: Callable[[], bool]) -> None:
    """Return when `is_done`, or when this process itself has indexed all there was.

    Only one process indexes a home at a time. While another one has the right, this one asks `is_done` now and
    then; if that one goes away, it takes over. Raises psycopg and storage errors: the spool keeps everything.
    """
    pause = _SHORT
    while True:
        right = take_indexing(home)
        if right is not None:
            try:
                with indexer(home) as made:
                    made.drain()
            finally:
                leave_indexing(right)
            return
        if is_done():
            return
        time.sleep(pause)
        pause = min(pause * 1.5, _LONG)
