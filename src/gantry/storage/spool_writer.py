"""The writing side of the spool: one per process and slot."""

from __future__ import annotations

import contextlib
import hashlib
import os
from collections.abc import Callable
from itertools import count
from pathlib import Path
from typing import Literal
from uuid import UUID

from gantry.storage.adoption import Adoption
from gantry.storage.buffers import BufferPool
from gantry.storage.errors import SlotBusy, StorageFailed, from_os_error
from gantry.storage.hashing import HashingThread
from gantry.storage.incoming import IncomingObject, SpoolSlot
from gantry.storage.journal import Journal
from gantry.storage.layout import make_directory, slot_paths
from gantry.storage.records import KIND_ASSOCIATION_ENDED, KIND_RUN_STARTED
from gantry.storage.sealing import seal_slot
from gantry.storage.slots import SlotLock
from gantry.storage.spool_file import Folder
from gantry.storage.volume import Space, sync_path
from gantry.storage.wake import Bell

Durability = Literal["disk", "os"]
#: A reader that tidies up holds the lock of a slot for moments.
_PATIENCE_SECONDS = 2.0


class SpoolWriter:
    """Writes objects into `HOME/spool/<slot>`; its methods may be called by many threads.

    `durability`: "disk" syncs before `commit` returns, "os" leaves that to the system. `reserve_bytes` of
    free space are kept on the volume; below them `begin` raises StorageFull.
    """

    def __init__(self, home: Path, slot: str, *, durability: Durability, reserve_bytes: int) -> None:
        self._home = home
        self._paths = slot_paths(home, slot)
        self._durable = durability == "disk"
        self._reserve = reserve_bytes
        self._lock = SlotLock(self._paths)
        self._slot: SpoolSlot | None = None
        self._adoption: Adoption | None = None

    def open(self) -> None:
        """Take the slot, tidy up after an earlier run, begin a new one.

        Raises SlotBusy, StorageFull, StorageFailed.
        """
        if self._slot is not None:
            raise SlotBusy("this writer is open already")
        try:
            if not self._lock.take(_PATIENCE_SECONDS):
                raise SlotBusy("another process writes into this slot")
            self._slot = self._begin_run()
        except BaseException as error:
            self._lock.release()
            if isinstance(error, OSError):
                raise from_os_error(error, "opening the spool") from error
            raise
        self._adoption = Adoption(self._slot)
        run = f"{self._slot.run:08d}".encode("ascii")
        self._slot.journal.append(KIND_RUN_STARTED, b"", run, hashlib.sha256(run).digest(), sync=False)
        self._slot.bell.ring()

    def _begin_run(self) -> SpoolSlot:
        for folder in (self._paths.journal, self._paths.incoming):
            for changed in make_directory(folder):
                sync_path(changed)
        seal_slot(self._paths)
        run = self._lock.next_run()
        orders = count(1)
        space = Space(self._paths.root, self._reserve)
        journal = Journal(self._paths.journal, run, orders.__next__, space, durable=self._durable)
        journal.open()
        descriptor = os.open(self._paths.incoming, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        folder_open = Folder(descriptor, self._durable)
        return SpoolSlot(run, orders, folder_open, journal, BufferPool(), space, Bell(self._home), HashingThread())

    def begin(self, prefix: bytes, digest_at: int) -> IncomingObject:
        """Begin an object: `prefix` comes before its data set, the digest (hexadecimal) in it at `digest_at`.

        Raises StorageFull when the volume is below the reserve.
        """
        slot = self._opened()
        slot.space.check()
        return IncomingObject(slot, prefix, digest_at)

    def adopt_file(
        self,
        source: Path,
        sidecar: bytes | Callable[[bytes], bytes],
        *,
        dataset_offset: int,
        dataset_bytes: int | None = None,
    ) -> bytes:
        """Copy a whole file into the spool, every byte kept; gives the SHA-256 of its data set region.

        `sidecar` is what is known about it, or a function that gives it for the digest. Nothing is durable or
        visible before `flush`. Raises SourceFailed, StorageFull, StorageFailed.
        """
        self._opened()
        assert self._adoption is not None
        return self._adoption.copy(source, sidecar, dataset_offset, dataset_bytes)

    def adopt_stored(self, stored: str, *, sha256: bytes, dataset_offset: int) -> None:
        """Move a stored file (a full path on this volume) back into the spool. StorageFull, StorageFailed."""
        self._opened()
        assert self._adoption is not None
        self._adoption.move(stored, sha256, dataset_offset)

    def flush(self) -> int:
        """Make durable and visible what was adopted since the last call; gives the number of files."""
        self._opened()
        assert self._adoption is not None
        return self._adoption.flush()

    def note_association_end(self, association_id: UUID) -> None:
        """Tell the reader that this association brings nothing more. Not synced by itself."""
        slot = self._opened()
        body = association_id.bytes
        slot.journal.append(KIND_ASSOCIATION_ENDED, b"", body, hashlib.sha256(body).digest(), sync=False)
        slot.bell.ring()

    def close(self) -> None:
        """End the run. Objects that were not committed are lost, what was adopted and not flushed too."""
        slot, self._slot = self._slot, None
        if slot is None:
            return
        try:
            if self._adoption is not None:
                self._adoption.discard()
            slot.hashing.close()
            slot.journal.close()
        finally:
            with contextlib.suppress(OSError):
                os.close(slot.folder.descriptor)
            self._lock.release()
            slot.bell.ring()
            slot.bell.close()

    def _opened(self) -> SpoolSlot:
        if self._slot is None:
            raise StorageFailed("the spool is not open")
        return self._slot

    def __enter__(self) -> SpoolWriter:
        self.open()
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
