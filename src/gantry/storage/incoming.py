"""One object on its way in: buffered, hashed, and durable when `commit` returns."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from itertools import count
from types import TracebackType
from typing import Final

from gantry.storage.buffers import BLOCK, BufferPool
from gantry.storage.errors import StorageError, StorageFailed, from_os_error
from gantry.storage.hashing import Following, HashingThread
from gantry.storage.journal import Journal
from gantry.storage.records import KIND_OBJECT
from gantry.storage.spool_file import Folder, SpoolFile
from gantry.storage.spool_names import complete_name, part_name
from gantry.storage.volume import Space
from gantry.storage.wake import Bell

#: Objects up to this size (prefix included) go to the journal, larger ones to a file of their own.
#: A record costs a second write when it is placed, a new file costs metadata. Medians of commit + place in
#: ms, one thread, a busy machine: 10 KB 0.09 + 0.35 in the journal, 0.75 + 0.05 in a file; 128 KB 0.35 + 0.47
#: and 1.44 + 0.23; 180 KB 0.33 + 0.44 and 2.5 + 0.06. At 256 KB results scatter; every byte is written twice.
JOURNAL_LIMIT: Final = 160 << 10
#: So much of the data set stays readable through `head` when the buffer has been written out.
HEAD_KEPT: Final = 64 << 10
#: A piece that is worth handing to another thread, bytes (about 60 us of hashing).
AHEAD_BYTES: Final = 96 << 10
_PREFIX_LIMIT: Final = 64 << 10
_DIGEST_DIGITS: Final = 64


@dataclass(frozen=True, slots=True)
class SpoolSlot:
    """What the objects of one writer share."""

    run: int
    orders: count[int]
    folder: Folder
    journal: Journal
    pool: BufferPool
    space: Space
    bell: Bell
    hashing: HashingThread


class IncomingObject:
    """One object, used by one thread. Ends with `commit` or `abort`; as a context it aborts if left open."""

    __slots__ = (
        "_ahead",
        "_at",
        "_buffer",
        "_digest_at",
        "_failure",
        "_file",
        "_first",
        "_hash",
        "_hashed",
        "_head",
        "_order",
        "_prefix_length",
        "_slot",
        "_written",
        "size",
    )

    def __init__(self, slot: SpoolSlot, prefix: bytes, digest_at: int) -> None:
        if len(prefix) > _PREFIX_LIMIT or not 0 <= digest_at <= len(prefix) - _DIGEST_DIGITS:
            raise ValueError("the digits of the digest must lie inside a prefix of at most 64 KB")
        self._slot = slot
        self._order = next(slot.orders)
        self._buffer: memoryview | None = slot.pool.take()
        self._buffer[: len(prefix)] = prefix
        self._prefix_length = len(prefix)
        self._digest_at = digest_at
        self._at = len(prefix)  # fill of the buffer
        self._hashed = len(prefix)  # so much of it went into the digest
        self._written = 0  # bytes of the file that left the buffer
        self._file: SpoolFile | None = None
        self._first = b""
        self._head = b""
        self._ahead: Following | None = None  # the hashing thread, when it works for us
        self._hash = hashlib.sha256()
        slot.hashing.enter()
        self._failure: StorageError | None = None
        self.size = 0

    @property
    def flushed(self) -> bool:
        """Whether the first bytes have left the buffer; views of `head` taken before are void then."""
        return self._written > 0

    @property
    def head(self) -> memoryview:
        """The first bytes of the data set: all so far until `flushed`, then at least 64 KB of them."""
        if self._written or self._buffer is None:
            return memoryview(self._head)
        return self._buffer[self._prefix_length : self._at]

    def write(self, view: memoryview) -> None:
        """Take a fragment of the data set; `view` is not needed afterwards. StorageFull, StorageFailed."""
        buffer = self._usable()
        length = len(view)
        self.size += length
        done = 0
        while (room := len(buffer) - self._at) < length - done:
            self._take(buffer, view[done : done + room])
            done += room
            self._flush(buffer)
        self._take(buffer, view[done:] if done else view)

    def _take(self, buffer: memoryview, piece: memoryview) -> None:
        buffer[self._at : self._at + len(piece)] = piece
        self._at += len(piece)
        if self._written:
            return  # from the first flush on, a buffer at a time beside its write
        if self._ahead is not None:
            self._ahead.extend(self._at)
            return
        hashing = self._slot.hashing
        if hashing.writers == 1 and self._at - self._hashed >= AHEAD_BYTES:
            # With one sender there is a core to spare: hash what is here while the next fragments come.
            self._ahead = hashing.follow(self._hash, buffer, self._hashed)
            if self._ahead is not None:
                self._ahead.extend(self._at)
                return
        self._hash.update(buffer[self._hashed : self._at])
        self._hashed = self._at

    def _settle_hash(self) -> None:
        ahead, self._ahead = self._ahead, None
        if ahead is not None:
            ahead.finish()
            self._hashed = self._at

    def commit(self) -> bytes:
        """Make the object durable and visible to the reader; gives the SHA-256 of its data set.

        Raises StorageFull or StorageFailed; then nothing of it is left.
        """
        buffer = self._usable()
        self._settle_hash()
        if self._hashed < self._at:
            self._hash.update(buffer[self._hashed : self._at])
        digest = self._hash.digest()
        digits = digest.hex().encode("ascii")
        try:
            if self._file is None and self._at <= JOURNAL_LIMIT:
                buffer[self._digest_at : self._digest_at + _DIGEST_DIGITS] = digits
                split = self._prefix_length
                self._slot.journal.append(KIND_OBJECT, buffer[:split], buffer[split : self._at], digest)
            else:
                self._publish(buffer, digest, digits)
        except OSError as error:
            raise self._fail(from_os_error(error, "storing an object")) from error
        except StorageError as error:
            raise self._fail(error) from error.__cause__
        self._give_back()
        self._slot.bell.ring()
        return digest

    def abort(self) -> None:
        """Forget the object. Does nothing after `commit` or a failure."""
        if self._buffer is not None:
            self._fail(StorageFailed("the object was given up"))

    def _usable(self) -> memoryview:
        if self._failure is not None:
            raise self._failure
        if self._buffer is None:
            raise StorageFailed("the object is complete")
        return self._buffer

    def _open_file(self, *, large: bool) -> SpoolFile:
        if self._file is None:
            self._file = SpoolFile(self._slot.folder, part_name(self._slot.run, self._order), large=large)
        return self._file

    def _flush(self, buffer: memoryview) -> None:
        try:
            self._slot.space.spend(self._at)
            file = self._open_file(large=True)
            if not self._written:
                self._first = bytes(buffer[: -(-self._prefix_length // BLOCK) * BLOCK])
                self._head = bytes(buffer[self._prefix_length : self._prefix_length + HEAD_KEPT])
            self._settle_hash()
            with self._slot.hashing.beside(self._hash, buffer[self._hashed : self._at]):
                file.write(buffer, self._at, self._written)
        except OSError as error:
            raise self._fail(from_os_error(error, "writing an object")) from error
        except StorageError as error:
            raise self._fail(error) from error.__cause__
        self._written += self._at
        self._at = self._hashed = 0

    def _publish(self, buffer: memoryview, digest: bytes, digits: bytes) -> None:
        slot, digest_at = self._slot, self._digest_at
        file = self._open_file(large=False)
        slot.space.spend(self._at)
        true_size = self._prefix_length + self.size
        if not self._written:
            buffer[digest_at : digest_at + _DIGEST_DIGITS] = digits
            file.write(buffer, self._at, 0)
        else:
            if self._at:
                file.write(buffer, self._at, self._written)
            # The digest is known at the end, its place is at the beginning: write that block again.
            first = len(self._first)
            buffer[:first] = self._first
            buffer[digest_at : digest_at + _DIGEST_DIGITS] = digits
            file.write(buffer, first, 0)
        file.publish(complete_name(slot.run, self._order, self._prefix_length, digest), true_size)

    def _fail(self, failure: StorageError) -> StorageError:
        self._failure = failure
        if self._file is not None:
            self._file.discard()
        self._give_back()
        return failure

    def _give_back(self) -> None:
        self._settle_hash()
        buffer, self._buffer = self._buffer, None
        self._file = None
        if buffer is not None:
            self._slot.hashing.leave()
            self._slot.pool.give_back(buffer)

    def __enter__(self) -> IncomingObject:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.abort()
