"""The writing side of the journal: append, and one sync for all who wait (group commit)."""

from __future__ import annotations

import contextlib
import logging
import os
import secrets
import threading
from collections.abc import Callable

from gantry.storage.errors import StorageError, StorageFailed, StorageFull, from_os_error
from gantry.storage.layout import FILE_MODE, make_directory
from gantry.storage.records import SegmentName, aligned, pack_header
from gantry.storage.volume import Space, sync_path

log = logging.getLogger(__name__)

#: The first segment is made before anyone can be served, so it is small; zeros cost about 1 ms per MB.
FIRST_BYTES = 16 << 20
LATER_BYTES = 64 << 20
_SMALLEST_BYTES = 1 << 20
#: A segment takes at most this part of the space above the reserve: small volumes get small segments.
_SHARE_OF_SPACE = 32
_SYNC_EACH_BYTES = 4 << 20
_ZEROS = bytes(1 << 20)


class _Segment:
    """The active segment: bytes below `written` are appended, bytes below `synced` are durable."""

    __slots__ = ("broken", "capacity", "descriptor", "name", "synced", "written")

    def __init__(self, name: SegmentName, descriptor: int, capacity: int) -> None:
        self.name = name
        self.descriptor = descriptor
        self.capacity = capacity
        self.written = 0
        self.synced = 0
        self.broken: OSError | None = None


class Journal:
    """The journal of one slot, used by all threads of its writer."""

    def __init__(self, directory: str, run: int, next_order: Callable[[], int], space: Space, *, durable: bool) -> None:
        self._directory = directory
        self._run = run
        self._next_order = next_order
        self._space = space
        self._durable = durable
        self._turn = threading.Condition(threading.Lock())
        self._syncing = False
        self._active: _Segment | None = None
        self._number = 0
        self._preparing: threading.Thread | None = None
        self._closed = False

    def open(self) -> None:
        """Make the first segment ready; StorageFull or StorageFailed."""
        with self._turn:
            self._activate(FIRST_BYTES)

    def append(
        self,
        kind: int,
        prefix: bytes | memoryview,
        body: bytes | memoryview,
        sha256: bytes,
        *,
        sync: bool = True,
    ) -> None:
        """Append one record; with `sync` it is durable on return. Raises StorageFull or StorageFailed.

        The first thread that waits syncs for all that appended before it began; the others wait for it.
        A failed sync is not tried again on the same bytes, as the kernel may have dropped them: the segment
        is given up behind its last durable record, and everyone in it is told.
        """
        turn = self._turn
        with turn:
            segment = self._write(kind, prefix, body, sha256)
            end = segment.written
            if not (sync and self._durable):
                return
            while segment.synced < end:
                if segment.broken is not None:
                    raise from_os_error(segment.broken, "syncing the journal") from segment.broken
                if self._syncing:
                    turn.wait()
                else:
                    self._sync_for_all(segment)

    def _write(self, kind: int, prefix: bytes | memoryview, body: bytes | memoryview, sha256: bytes) -> _Segment:
        length = len(prefix) + len(body)
        segment = self._with_room(aligned(length + 128))
        order = self._next_order()
        header = pack_header(segment.name.mark, kind, order, prefix, length, sha256)
        offset = segment.written
        try:
            # One call under the lock: records lie in the order of their numbers, without holes.
            count = os.pwritev(segment.descriptor, [header, prefix, body], offset)
        except OSError as error:
            raise from_os_error(error, "writing the journal") from error
        if count != len(header) + length:
            # A short write is how a full or failing volume begins; the next record overwrites what is there.
            raise StorageFull("writing the journal: the volume took a part only")
        segment.written = aligned(offset + count)
        self._space.spend_quietly(count)
        if segment.written > segment.capacity // 2:
            self._prepare_in_background()
        return segment

    def _sync_for_all(self, segment: _Segment) -> None:
        turn = self._turn
        target = segment.written
        self._syncing = True
        turn.release()
        failure: OSError | None = None
        try:
            os.fdatasync(segment.descriptor)
        except OSError as error:
            failure = error
        finally:
            turn.acquire()
            self._syncing = False
            turn.notify_all()
        if failure is None:
            segment.synced = target
            return
        segment.broken = failure
        self._retire(segment, segment.synced)

    def _with_room(self, wanted: int) -> _Segment:
        while True:
            if self._closed:
                raise StorageFailed("the journal is closed")
            segment = self._active
            if segment is not None and segment.written + wanted <= segment.capacity:
                return segment
            if self._syncing:
                self._turn.wait()
                continue
            if segment is not None:
                self._finish(segment)
                continue
            self._activate(LATER_BYTES)

    def _finish(self, segment: _Segment) -> None:
        """Sync what others still wait for, then seal."""
        if self._durable and segment.synced < segment.written:
            try:
                os.fdatasync(segment.descriptor)
            except OSError as error:
                segment.broken = error
                self._retire(segment, segment.synced)
                self._turn.notify_all()
                return
            segment.synced = segment.written
            self._turn.notify_all()
        self._retire(segment, segment.written)

    def _retire(self, segment: _Segment, end: int) -> None:
        if self._active is segment:
            self._active = None
        os.close(segment.descriptor)
        old = segment.name
        sealed = SegmentName("sealed", old.run, old.number, old.mark, end)
        try:
            os.rename(f"{self._directory}/{old.file_name}", f"{self._directory}/{sealed.file_name}")
        except OSError as error:
            # It stays active by name; the next run, or the reader when we are gone, seals it.
            log.error("a journal segment could not be sealed: %s", error.strerror)

    def _activate(self, wanted: int) -> None:
        """Make a free segment the active one. Its name must be durable before the first record is."""
        thread = self._preparing
        if thread is not None and thread.is_alive() and not self._free_names():
            while thread.is_alive():
                self._turn.wait(0.005)
        free = self._free_names()
        name = free[0] if free else self._create(wanted)
        self._number += 1
        active = SegmentName("active", self._run, self._number, secrets.token_bytes(8))
        target = f"{self._directory}/{active.file_name}"
        try:
            os.rename(f"{self._directory}/{name}", target)
            descriptor = os.open(target, os.O_RDWR | os.O_CLOEXEC)
            try:
                if self._durable:
                    sync_path(self._directory)
                capacity = os.fstat(descriptor).st_size
            except OSError:
                os.close(descriptor)
                raise
        except OSError as error:
            raise from_os_error(error, "beginning a journal segment") from error
        self._active = _Segment(active, descriptor, capacity)

    def _free_names(self) -> list[str]:
        return sorted(name for name in os.listdir(self._directory) if name.startswith("free-") and name.endswith(".seg"))

    def _create(self, wanted: int) -> str:
        """Write a new segment full of zeros; StorageFull when the space above the reserve does not do."""
        available = self._space.available()
        size = min(wanted, max(_SMALLEST_BYTES, aligned(available // _SHARE_OF_SPACE, _SMALLEST_BYTES)))
        self._space.check(size)
        mark = secrets.token_hex(8)
        part, name = f"{self._directory}/new-{mark}.part", f"free-{mark}.seg"
        try:
            descriptor = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, FILE_MODE)
            try:
                for offset in range(0, size, len(_ZEROS)):
                    if os.pwrite(descriptor, _ZEROS, offset) != len(_ZEROS):
                        raise StorageFull("making a journal segment: no space left")
                    if self._durable and offset % _SYNC_EACH_BYTES == 0:
                        os.fdatasync(descriptor)  # in small steps, so that objects do not queue behind it
                if self._durable:
                    os.fsync(descriptor)
            finally:
                os.close(descriptor)
            os.rename(part, f"{self._directory}/{name}")
        except (OSError, StorageError) as error:
            with contextlib.suppress(OSError):
                os.unlink(part)
            if isinstance(error, OSError):
                raise from_os_error(error, "making a journal segment") from error
            raise
        self._space.spend_quietly(size)
        return name

    def _prepare_in_background(self) -> None:
        thread = self._preparing
        if thread is not None and thread.is_alive():
            return
        segment = self._active
        if thread is not None and segment is not None and thread.name == segment.name.identity:
            return  # tried for this segment already
        name = segment.name.identity if segment is not None else ""
        self._preparing = threading.Thread(target=self._prepare, name=name, daemon=True)
        self._preparing.start()

    def _prepare(self) -> None:
        try:
            if not self._free_names():
                self._create(LATER_BYTES)
        except (StorageError, OSError) as error:
            log.warning("the next journal segment could not be prepared: %s", error)

    def close(self) -> None:
        """Sync and seal. Later appends fail."""
        with self._turn:
            while self._syncing:
                self._turn.wait()
            self._closed = True
            if self._active is not None:
                self._finish(self._active)
        thread = self._preparing
        if thread is not None:
            thread.join()


def make_journal_directory(path: str) -> None:
    """The folder of a journal, durable with its parents."""
    for changed in make_directory(path):
        sync_path(changed)
