"""What the reader of the spool gives: objects and events, each with its place in the order of its slot."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Literal
from uuid import UUID

from gantry.storage.errors import ObjectMissing, StorageFailed, from_os_error
from gantry.storage.spool_names import sidecar_name

_PIECE = 256 << 10
#: A sidecar is written by us and small; a larger one is not ours.
_SIDECAR_LIMIT = 1 << 20

Position = tuple[str, int]


@dataclass(frozen=True)
class SpooledObject:
    """A received object: `size` bytes, of which the data set begins at `dataset_offset`.

    `key` is unique for ever. `position` is (segment, offset behind the record) for a journal record and None
    for a file. `sha256` is of the data set. Not valid after `release`.
    """

    slot: str
    key: str
    kind: Literal["journal", "file"]
    size: int
    dataset_offset: int
    sha256: bytes
    position: Position | None
    payload: memoryview | None = None  # whole bytes of a journal record
    path: str = ""  # of a file

    def head(self, count: int) -> bytes:
        """The first `count` bytes, prefix included; fewer when the object is smaller."""
        if self.payload is not None:
            return bytes(self.payload[:count])
        try:
            descriptor = os.open(self.path, os.O_RDONLY | os.O_CLOEXEC)
            try:
                # It was written past the page cache: without this the kernel reads ahead what nobody wants.
                os.posix_fadvise(descriptor, 0, 0, os.POSIX_FADV_RANDOM)
                return os.pread(descriptor, min(count, self.size), 0)
            finally:
                os.close(descriptor)
        except FileNotFoundError as error:
            raise ObjectMissing("the object has left the spool") from error
        except OSError as error:
            raise from_os_error(error, "reading the spool") from error

    def digest(self) -> bytes:
        """SHA-256 of the data set as it lies there now, in bounded memory."""
        if self.payload is not None:
            return hashlib.sha256(self.payload[self.dataset_offset :]).digest()
        try:
            return digest_of(self.path, self.dataset_offset)
        except FileNotFoundError as error:
            raise ObjectMissing("the object has left the spool") from error
        except OSError as error:
            raise from_os_error(error, "reading the spool") from error

    @cached_property
    def sidecar(self) -> dict[str, Any] | None:
        """What was noted beside a file that was taken in, None for received objects."""
        if not self.path:
            return None
        try:
            with open(sidecar_name(self.path), "rb") as file:
                text = file.read(_SIDECAR_LIMIT + 1)
            found = json.loads(text) if len(text) <= _SIDECAR_LIMIT else None
        except FileNotFoundError:
            return None
        except OSError as error:
            raise from_os_error(error, "reading the spool") from error
        except ValueError as error:
            raise StorageFailed("what was noted beside a file is damaged") from error
        if not isinstance(found, dict):
            raise StorageFailed("what was noted beside a file is damaged")
        return found


@dataclass(frozen=True, slots=True)
class AssociationEnded:
    """All objects of this association have been given before.

    `position` is None when it is told again, behind objects that are given again.
    """

    slot: str
    association_id: UUID
    position: Position | None


@dataclass(frozen=True, slots=True)
class RunStarted:
    """The slot has a new writer; every association of an earlier run is over."""

    slot: str
    run_id: str
    position: Position


@dataclass(frozen=True, slots=True)
class RunEnded:
    """The slot has no writer and holds nothing more; all its associations are over. Given once per reader."""

    slot: str


SpoolEvent = SpooledObject | AssociationEnded | RunStarted | RunEnded


def digest_of(path: str, offset: int, length: int | None = None, *, spend: Callable[[int], None] | None = None) -> bytes:
    """SHA-256 of a region of a file, in pieces. OSError; a region that ends early gives another digest.

    `spend` is told the bytes of each piece, and may wait: for reading that shall not disturb. Then the file is dropped
    from the cache, too, and what others need stays there.
    """
    digest = hashlib.sha256()
    buffer = memoryview(bytearray(_PIECE))
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        left = length
        while left is None or left > 0:
            wanted = buffer if left is None or left > _PIECE else buffer[:left]
            count = os.preadv(descriptor, [wanted], offset)
            if not count:
                break
            digest.update(buffer[:count])
            offset += count
            left = None if left is None else left - count
            if spend is not None:
                spend(count)
        if spend is not None:
            os.posix_fadvise(descriptor, 0, 0, os.POSIX_FADV_DONTNEED)
    finally:
        os.close(descriptor)
    return digest.digest()
