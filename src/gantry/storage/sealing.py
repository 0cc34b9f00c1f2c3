"""Tidying a slot whose writer is gone: its journal ends at its last whole record, half-written files go."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable

from gantry.storage.journal_reader import valid_end
from gantry.storage.layout import SlotPaths
from gantry.storage.records import SegmentName
from gantry.storage.spool_names import sidecar_name


def seal_slot(paths: SlotPaths) -> None:
    """Seal the segments an earlier run left active and remove what it left unfinished.

    The caller holds the lock of the slot. Nothing that was acknowledged is touched: an acknowledged record
    lies before the end that is found here, an acknowledged file has its complete name.
    """
    for name in _names(paths.journal):
        segment = SegmentName.parse(name)
        path = f"{paths.journal}/{name}"
        if segment is not None and segment.state == "active":
            end = valid_end(path, segment.mark)
            sealed = SegmentName("sealed", segment.run, segment.number, segment.mark, end)
            os.rename(path, f"{paths.journal}/{sealed.file_name}")
        elif name.startswith("new-") and name.endswith(".part"):
            os.unlink(path)
    names = set(_names(paths.incoming))
    complete = {sidecar_name(name) for name in names if name.endswith(".dcm")}
    for name in names:
        if name.endswith(".part") or (name.endswith(".json") and name not in complete):
            os.unlink(f"{paths.incoming}/{name}")


def remove_slot(paths: SlotPaths) -> bool:
    """Remove a slot that holds nothing any more; False when it still does. The caller holds its lock."""
    kept = _kept(paths.journal, lambda name: name.startswith("free-")) + _kept(paths.incoming, lambda name: False)
    if kept:
        return False
    for name in _names(paths.journal):
        os.unlink(f"{paths.journal}/{name}")
    with contextlib.suppress(FileNotFoundError):
        os.rmdir(paths.journal)
    with contextlib.suppress(FileNotFoundError):
        os.rmdir(paths.incoming)
    # The lock goes last: who opened it before finds that it no longer has a name, and begins again.
    os.unlink(paths.lock)
    with contextlib.suppress(OSError):
        os.rmdir(paths.root)
    return True


def _names(folder: str) -> list[str]:
    try:
        return os.listdir(folder)
    except FileNotFoundError:
        return []


def _kept(folder: str, may_go: Callable[[str], bool]) -> list[str]:
    return [name for name in _names(folder) if not may_go(name)]
