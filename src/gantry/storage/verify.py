"""Every stored file against its digest and the index, both ways; and the verbs that mend."""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Literal

from gantry.storage.errors import ObjectMissing, PathRefused, SlotBusy, from_os_error
from gantry.storage.layout import resolve, slot_paths, spool_root, volume_of
from gantry.storage.records import SegmentName
from gantry.storage.slots import SlotLock
from gantry.storage.spool_names import IncomingName
from gantry.storage.spool_writer import SpoolWriter
from gantry.storage.spooled import digest_of

_BATCH = 1000
#: A file so young may belong to a batch whose rows are being committed right now.
_GRACE_SECONDS = 60.0

#: Where objects lie that are not on another volume.
ROOTS = ("objects", "quarantine")

FindingKind = Literal["ok", "missing", "damaged", "orphan", "leftover"]


@dataclass(frozen=True, slots=True)
class ExpectedFile:
    """What the index says of a stored file; `path` is relative to the home."""

    path: str
    sha256: bytes
    dataset_offset: int
    dataset_bytes: int


@dataclass(frozen=True, slots=True)
class Finding:
    """What was found at `path` (relative to the home), in words for a person."""

    kind: FindingKind
    path: str
    explanation: str


def verify(
    home: Path,
    expected: Iterable[ExpectedFile],
    known: Callable[[Sequence[str]], set[str]],
    *,
    bytes_per_second: float | None = None,
    grace_seconds: float = _GRACE_SECONDS,
    roots: Sequence[str] = ROOTS,
    absent: Collection[int] = (),
) -> Iterator[Finding]:
    """Compare index and files: first every expected file with its digest, then every file with the index.

    `expected` may be any number of rows, `known` gives which of some paths the index has; memory is bounded.
    `bytes_per_second` keeps the reading from taking the disk away from receiving. `roots` are the folders below the
    home in which files are looked for; files on volumes that are `absent` are passed over and counted, one finding each.
    """
    pace = Pace(bytes_per_second)
    passed_over = dict.fromkeys(absent, 0)
    for item in expected:
        volume_id = volume_of(item.path) if absent else None
        if volume_id in passed_over:
            passed_over[volume_id] += 1
            continue
        yield check_file(home, item)
        pace.spend(item.dataset_bytes)
    for volume_id, count in sorted(passed_over.items()):
        yield Finding("missing", f"volumes/{volume_id}", f"the volume is not mounted; {count} files on it were not compared")
    yield from find_orphans(home, known, grace_seconds, roots)
    yield from find_leftovers(home)


class Pace:
    """Keeps reading below so many bytes per second; None: as fast as it goes."""

    def __init__(self, bytes_per_second: float | None) -> None:
        self.rate = bytes_per_second
        self._due = time.monotonic()

    def spend(self, count: int) -> None:
        """Wait as long as `count` bytes take at this rate."""
        time.sleep(self.owed(count))

    def owed(self, count: int) -> float:
        """Note that `count` bytes were read; gives the seconds that are to be waited for them."""
        if self.rate is None:
            return 0.0
        now = time.monotonic()
        self._due = max(self._due, now - 1.0) + count / self.rate
        return max(0.0, self._due - now)


def check_file(home: Path, item: ExpectedFile, *, spend: Callable[[int], None] | None = None) -> Finding:
    """Compare one file with what the index says of it; `spend` as in `digest_of`."""
    try:
        path = resolve(home, item.path)
        size = os.stat(path).st_size
        if size < item.dataset_offset + item.dataset_bytes:
            return Finding("damaged", item.path, f"the file has {size} bytes and should have more")
        if digest_of(path, item.dataset_offset, item.dataset_bytes, spend=spend) != item.sha256:
            return Finding("damaged", item.path, "the digest of its data set is not the one that was received")
    except FileNotFoundError:
        return Finding("missing", item.path, "the index has it, the volume does not")
    except PathRefused as error:
        return Finding("missing", item.path, f"the index names a place that cannot be: {error}")
    except OSError as error:
        return Finding("damaged", item.path, f"the file cannot be read: {error.strerror}")
    return Finding("ok", item.path, "")


def walk(folder: str, relative: str) -> Iterator[tuple[str, os.stat_result]]:
    """Files below `folder`, with bounded memory: open folders, one entry each."""
    try:
        entries = os.scandir(folder)
    except FileNotFoundError:
        return
    with entries:
        for entry in entries:
            name = f"{relative}/{entry.name}"
            with contextlib.suppress(FileNotFoundError):
                if entry.is_dir(follow_symlinks=False):
                    yield from walk(entry.path, name)
                else:
                    yield name, entry.stat(follow_symlinks=False)


def find_orphans(
    home: Path,
    known: Callable[[Sequence[str]], set[str]],
    grace: float,
    roots: Sequence[str] = ROOTS,
    *,
    walked: Iterable[tuple[str, os.stat_result]] | None = None,
) -> Iterator[Finding]:
    """Files that the index does not know, and halves of files; those younger than `grace` seconds are left alone.

    All below `roots`, or those that a walk of the caller gives.
    """
    files = iter(walked) if walked is not None else (pair for root in roots for pair in walk(f"{home}/{root}", root))
    while batch := list(islice(files, _BATCH)):
        here = known([path for path, _ in batch])
        for path, state in batch:
            # Two names: the spool still has it, so the indexer has not finished with it.
            if path in here or (state.st_nlink > 1 and not path.endswith(".part")):
                continue
            if 0 <= time.time() - state.st_ctime < grace:
                continue
            if path.endswith(".part"):
                yield Finding("leftover", path, "half of a copy that a crash interrupted")
            else:
                yield Finding("orphan", path, "the volume has it, the index does not")


def find_leftovers(home: Path) -> Iterator[Finding]:
    """What lies in the spool of writers that are gone and will never be read."""
    try:
        slots = sorted(os.listdir(spool_root(home)))
    except FileNotFoundError:
        return
    for slot in slots:
        try:
            paths = slot_paths(home, slot)
        except PathRefused:
            yield Finding("leftover", f"spool/{slot}", "this is no slot of the spool")
            continue
        lock = SlotLock(paths)
        if not os.path.isdir(paths.root) or not lock.take():
            continue  # its writer lives: what is half-written is being written
        lock.release()
        for folder in ("journal", "incoming"):
            for path, _ in walk(f"{paths.root}/{folder}", f"spool/{slot}/{folder}"):
                if explanation := _leftover(path.rsplit("/", 1)[1]):
                    yield Finding("leftover", path, explanation)


def _leftover(name: str) -> str:
    if name.endswith(".part"):
        return "half-written when its writer ended; it was never acknowledged"
    if name.endswith(".damaged"):
        return "its bytes are not those its name promises"
    segment = SegmentName.parse(name)
    if segment is not None:
        return "a journal segment of which a part cannot be read" if segment.state == "damaged" else ""
    if IncomingName.parse(name) is not None or name.endswith(".json") or name.startswith("free-"):
        return ""
    return "not a file of the spool"


def adopt_orphan(home: Path, path: str, writer: SpoolWriter, *, dataset_offset: int) -> None:
    """Move an orphan that `verify` named back into the spool, to be indexed like a new arrival.

    Raises PathRefused, ObjectMissing, StorageFailed.
    """
    full = resolve(home, path)
    try:
        digest = digest_of(full, dataset_offset)
    except FileNotFoundError as error:
        raise ObjectMissing("no file lies at this place") from error
    except OSError as error:
        raise from_os_error(error, "reading an orphan") from error
    writer.adopt_stored(full, sha256=digest, dataset_offset=dataset_offset)


def remove_leftover(home: Path, path: str) -> None:
    """Remove a leftover that `verify` named (relative to the home).

    Only half-written files are removed (`.part`), in the spool only when the slot has no writer (SlotBusy).
    PathRefused for anything else: what could be a person's data is left to a person.
    """
    if not path.endswith(".part"):
        raise PathRefused("only half-written files are removed")
    parts = path.split("/")
    if parts[0] != "spool":
        os.unlink(resolve(home, path))
        return
    if len(parts) != 4 or parts[2] not in {"journal", "incoming"} or parts[3] in {"", ".part"}:
        raise PathRefused("not a file of the spool")
    lock = SlotLock(slot_paths(home, parts[1]))
    if not lock.take():
        raise SlotBusy("another process writes into this slot")
    try:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(f"{spool_root(home)}/{path.removeprefix('spool/')}")
    finally:
        lock.release()
