"""Whether something is being received right now, seen from the spool alone."""

from __future__ import annotations

import os
import time
from pathlib import Path

from gantry.storage.layout import spool_root

#: Written to so short a time ago is now, seconds.
NOW_SECONDS = 2.0
_LOOK_SECONDS = 0.5


class Load:
    """Answers `is_receiving`, looking at most twice a second."""

    def __init__(self, home: Path) -> None:
        self._root = spool_root(home)
        self._look_again = float("-inf")
        self._answer = False

    def is_receiving(self) -> bool:
        """Whether a receiver, a fetch or an import wrote into the spool within the last NOW_SECONDS."""
        now = time.monotonic()
        if now >= self._look_again:
            self._answer = 0 <= time.time() - _last_write(self._root) < NOW_SECONDS
            self._look_again = now + _LOOK_SECONDS
        return self._answer


def _last_write(root: str) -> float:
    """When something in a slot was last written; 0 when there is nothing."""
    last = 0.0
    try:
        slots = os.listdir(root)
    except OSError:
        return last
    for slot in slots:
        for folder in ("incoming", "journal"):
            try:
                with os.scandir(f"{root}/{slot}/{folder}") as entries:
                    last = max(last, os.stat(f"{root}/{slot}/{folder}").st_mtime)
                    if folder == "journal":  # few files, written in place
                        last = max((last, *(entry.stat().st_mtime for entry in entries)))
            except OSError:
                continue
    return last
