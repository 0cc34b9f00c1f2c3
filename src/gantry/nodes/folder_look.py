"""Whether a folder still has what was written there: the file at the place of its keywords, with the digest of its data set."""

from __future__ import annotations

import errno
import hashlib
import os
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from gantry.dataset import DatasetError, read_part10
from gantry.nodes.folder_path import path_of
from gantry.nodes.folder_write import FolderTrouble, explain, opened
from gantry.nodes.items import FolderTarget

_READ = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
#: What is read at once, and at first to find where the data set begins, bytes.
_STEP, _HEAD = 1 << 20, 1 << 20
#: Something else than a file or folder of ours lies there, or nothing.
_NOT_THERE = frozenset({errno.ENOENT, errno.ENOTDIR, errno.ELOOP, errno.EISDIR, errno.ENXIO})


def holds(target: FolderTarget, values: Mapping[str, Any], sha256: bytes) -> bool:
    """Whether the file of an instance is there with these data set bytes (SHA-256). `values`: its indexed keywords.

    Raises FolderTrouble when the folder as a whole cannot be looked at, or is empty: then nothing is known.
    """
    names = path_of(target.template, values)
    with opened(target.root) as root:
        try:
            if not any(True for _ in os.scandir(root)):
                raise FolderTrouble(f"the folder {target.root} is empty (is its volume mounted?)")
            with _folder(root, names[:-1]) as folder:
                return any(_has(folder, name, sha256) for name in _candidates(folder, names[-1]))
        except OSError as error:
            if error.errno in _NOT_THERE:
                return False
            raise FolderTrouble(explain(error, target.root)) from error


@contextmanager
def _folder(root: int, names: list[str]) -> Iterator[int]:
    """No link on the way is followed, as when it was written."""
    at = os.dup(root)
    try:
        for name in names:
            inside = os.open(name, _DIRECTORY, dir_fd=at)
            os.close(at)
            at = inside
        yield at
    finally:
        os.close(at)


def _candidates(folder: int, name: str) -> Iterator[str]:
    """Its name, and those with a part of a digest that it has where the name was taken (`folder_write`)."""
    yield name
    stem, dot, end = name.rpartition(".")
    longer = re.compile(re.escape(stem or name) + "-[0-9a-f]{16}" + re.escape(f"{dot}{end}" if stem else ""))
    with os.scandir(folder) as entries:
        yield from (entry.name for entry in entries if longer.fullmatch(entry.name))


def _has(folder: int, name: str, sha256: bytes) -> bool:
    try:
        file = os.open(name, _READ, dir_fd=folder)
    except OSError as error:
        if error.errno in _NOT_THERE:
            return False
        raise
    try:
        total = os.fstat(file).st_size
        try:
            at = read_part10(memoryview(os.pread(file, _HEAD, 0)), total=total).dataset_offset
        except DatasetError:
            return False
        digest = hashlib.sha256()
        while chunk := os.pread(file, _STEP, at):
            digest.update(chunk)
            at += len(chunk)
        return digest.digest() == sha256
    finally:
        os.close(file)
