"""The files below some paths, in order, each once; what cannot be read is told and not fatal."""

from __future__ import annotations

import os
import stat
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class FoundFile:
    """A regular file to look at, or a path with the reason why it is not looked at."""

    path: str
    problem: str = ""
    failed: bool = False


def walk_files(paths: Iterable[str | os.PathLike[str]], *, leave_out: Collection[str] = ()) -> Iterator[FoundFile]:
    """Files below `paths`, folders sorted by name; links are followed, a folder is entered once.

    `leave_out` are folders that are not entered. Devices, sockets and FIFOs are never opened.
    """
    seen: set[tuple[int, int]] = set()
    for folder in leave_out:
        try:
            state = os.stat(folder)
        except OSError:
            continue
        seen.add((state.st_dev, state.st_ino))
    for given in paths:
        waiting = [os.fspath(given)]
        while waiting:
            path = waiting.pop()
            try:
                state = os.stat(path)
                if stat.S_ISDIR(state.st_mode):
                    key = (state.st_dev, state.st_ino)
                    if key not in seen:
                        seen.add(key)
                        waiting += (os.path.join(path, name) for name in sorted(os.listdir(path), reverse=True))
                    continue
            except (OSError, ValueError) as error:
                yield FoundFile(path, f"cannot be read: {getattr(error, 'strerror', None) or error}", failed=True)
                continue
            if stat.S_ISREG(state.st_mode):
                yield FoundFile(path)
            else:
                yield FoundFile(path, "not a file")
