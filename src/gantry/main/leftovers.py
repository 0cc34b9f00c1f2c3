"""Processes that a killed supervisor has left behind: they were told to end, and may still be finishing instances."""

from __future__ import annotations

import contextlib
import logging
import os
import signal
import time
from pathlib import Path

log = logging.getLogger("gantry.supervisor")
#: A receiver finishes what is under way for a few seconds; then it is ended, as its senders will send again.
PATIENCE_SECONDS = 8.0


def await_leftovers(run_folder: Path, patience: float = PATIENCE_SECONDS) -> None:
    """Wait until the processes of an earlier run of this home are gone, so that ports and slots are free.

    Only for the holder of the home's claim. What has not ended after `patience` seconds is killed.
    """
    left = _living(run_folder)
    if not left:
        return
    log.warning("waiting for %d processes of an earlier run to end", len(left))
    for pid in left:
        _signal(pid, signal.SIGTERM)
    deadline = time.monotonic() + patience
    while (left := _living(run_folder)) and time.monotonic() < deadline:
        time.sleep(0.05)
    for pid in left:
        _signal(pid, signal.SIGKILL)
    while _living(run_folder) and time.monotonic() < deadline + 5:
        time.sleep(0.05)


def _living(run_folder: Path) -> list[int]:
    """Process ids in run/*.pid that are processes of ours still (a number may belong to somebody else by now)."""
    found = []
    for path in run_folder.glob("*.pid"):
        try:
            pid = int(path.read_text(encoding="ascii"))
            words = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
        except (OSError, ValueError):
            continue
        if b"gantry.main.cli" in words and b"serve" in words:
            found.append(pid)
    return found


def _signal(pid: int, number: int) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, number)
