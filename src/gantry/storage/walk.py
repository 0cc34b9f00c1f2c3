"""Files below a folder in a fixed order, from a place in that order on: a walk that can be carried on another day."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from pathlib import Path


def walk_after(home: Path, root: str, after: str = "") -> Iterator[tuple[str, os.stat_result]]:
    """Files below `root` (relative to the home) that come behind the path `after`, with their state.

    The order is that of the names, folder by folder. Folders that are gone meanwhile are passed over; memory is that
    of the names of one folder per level.
    """
    behind = after.removeprefix(f"{root}/").split("/") if after.startswith(f"{root}/") else []
    yield from _walk(f"{home}/{root}", root, behind)


def _walk(folder: str, relative: str, after: Sequence[str]) -> Iterator[tuple[str, os.stat_result]]:
    try:
        names = sorted(os.listdir(folder))
    except (FileNotFoundError, NotADirectoryError):
        return
    first = after[0] if after else ""
    for name in names:
        if name < first:
            continue
        path, place = f"{folder}/{name}", f"{relative}/{name}"
        try:
            state = os.stat(path, follow_symlinks=False)
        except FileNotFoundError:
            continue
        if os.path.isdir(path) and not os.path.islink(path):
            yield from _walk(path, place, after[1:] if name == first else ())
        elif name != first:
            yield place, state
