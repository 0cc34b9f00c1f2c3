"""One object on its way in: buffered, hashed, and durable when `commit` returns."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from itertools import count
from types import TracebackType
from typing import Final

from gantry.storage.ahead import Piece
from gantry.storage.buffers import BLOCK, Buffer, BufferPool
from gantry.storage.errors import StorageError, StorageFailed, from_os_error
from gantry.storage.hashing import HashingThread
from gantry.storage.journal import Journal
from gantry.storage.records import KIND_OBJECT
from gantry.storage.spool_file import Folder, SpoolFile, whole_blocks
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
#: So many bytes are worth a write of their own while the next ones come (with 128 KB 3 % slower, with 512 KB 8 %).
AHEAD_BYTES: Final = 256 << 10
#: A piece that is worth waking another thread for (about 0.3 ms of hashing).
HELP_BYTES: Final = 512 << 10
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
        "_at",
        "_begun",
        "_buffer",
        "_digest_at",
        "_failure",
        "_file",
        "_first",
        "_hash",
        "_hashed",
        "_head",
        "_helped",
        "_order",
        "_prefix_length",
        "_slot",
        "_spare",
        "_written",
        "size",
    )

    def __init__(self, slot: SpoolSlot, prefix: bytes, digest_at: int) -> None:
        length = len(prefix)
        if length > _PREFIX_LIMIT or not 0 <= digest_at <= length - _DIGEST_DIGITS:
            raise ValueError("the digits of the digest must lie inside a prefix of at most 64 KB")
        self._slot = slot
        self._order = next(slot.orders)
        buffer = slot.pool.take()
        buffer.view[:length] = prefix
        self._buffer: Buffer | None = buffer
        self._spare: Buffer | None = None  # the other one of a large object, perhaps still being written
        self._prefix_length = length
        self._digest_at = digest_at
        self._at = length  # fill of the buffer
        self._hashed = length  # so much of it went into the digest
        self._begun = whole_blocks(length)  # so much of it is on its way to the file; the prefix goes last
        self._written = 0  # bytes of the file before the buffer
        self._file: SpoolFile | None = None
        self._first = b""
        self._head = b""
        self._helped = False  # the hashing thread works for us
        self._hash = hashlib.sha256()
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
        return self._buffer.view[self._prefix_length : self._at]

    def write(self, view: memoryview) -> None:
        """Take a fragment of the data set; `view` is not needed afterwards. StorageFull, StorageFailed."""
        buffer = self._usable()
        length = len(view)
        self.size += length
        done = 0
        while (room := len(buffer.view) - self._at) < length - done:
            self._take(buffer, view[done : done + room])
            done += room
            buffer = self._flush(buffer)
        self._take(buffer, view[done:] if done else view)

    def _take(self, buffer: Buffer, piece: memoryview) -> None:
        at = self._at + len(piece)
        buffer.view[self._at : at] = piece
        self._at = at
        if self._written:
            return  # from the second buffer on, a buffer at a time
        if at > JOURNAL_LIMIT and at - self._begun >= AHEAD_BYTES and self._slot.folder.runs_ahead:
            self._run_ahead(buffer, at // BLOCK * BLOCK)
        self._hash.update(buffer.view[self._hashed : at])
        self._hashed = at

    def _run_ahead(self, buffer: Buffer, end: int) -> None:
        """Have whole blocks written while we go on; what cannot be begun is written later."""
        try:
            if self._file is None:
                self._slot.space.spend(end)
            if self._open_file(large=False).start(buffer.ahead, Piece(self._begun, end, self._written + self._begun)):
                self._begun = end
        except OSError as error:
            raise self._fail(from_os_error(error, "writing an object")) from error
        except StorageError as error:
            raise self._fail(error) from error.__cause__

    def _hash_rest(self, buffer: Buffer) -> None:
        """Hash what is not yet, by the hashing thread when it is much; `_settle_hash` waits for that."""
        self._settle_hash()
        piece = buffer.view[self._hashed : self._at]
        if len(piece) >= HELP_BYTES and self._slot.hashing.start(self._hash, piece):
            self._helped = True
        elif piece:
            self._hash.update(piece)
        self._hashed = self._at

    def _settle_hash(self) -> None:
        if self._helped:
            self._helped = False
            self._slot.hashing.wait()

    def commit(self) -> bytes:
        """Make the object durable and visible to the reader; gives the SHA-256 of its data set.

        Raises StorageFull or StorageFailed; then nothing of it is left.
        """
        buffer = self._usable()
        try:
            if self._file is None and self._at <= JOURNAL_LIMIT:
                digest = self._digest_into(buffer)
                view, split = buffer.view, self._prefix_length
                self._slot.journal.append(KIND_OBJECT, view[:split], view[split : self._at], digest)
            else:
                digest = self._publish(buffer)
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

    def _digest_into(self, buffer: Buffer) -> bytes:
        """The digest, its digits put to their place in the prefix at the beginning of `buffer`."""
        digest = self._hash.digest()
        buffer.view[self._digest_at : self._digest_at + _DIGEST_DIGITS] = digest.hex().encode("ascii")
        return digest

    def _usable(self) -> Buffer:
        if self._failure is not None:
            raise self._failure
        if self._buffer is None:
            raise StorageFailed("the object is complete")
        return self._buffer

    def _open_file(self, *, large: bool) -> SpoolFile:
        if self._file is None:
            self._file = SpoolFile(self._slot.folder, part_name(self._slot.run, self._order), large=large)
        return self._file

    def _flush(self, buffer: Buffer) -> Buffer:
        """Send a full buffer off; gives the one to go on with. Of two, one is filled while the other is written and hashed."""
        try:
            self._slot.space.spend(self._at)
            file = self._open_file(large=True)
            if not self._written:
                self._first = bytes(buffer.view[: whole_blocks(self._prefix_length)])
                self._head = bytes(buffer.view[self._prefix_length : self._prefix_length + HEAD_KEPT])
            self._send_off(file, buffer)
            self._hash_rest(buffer)
            following = self._spare or self._slot.pool.take()
            self._spare, self._buffer = buffer, following
            file.finish(following.ahead, following.view)
        except OSError as error:
            raise self._fail(from_os_error(error, "writing an object")) from error
        except StorageError as error:
            raise self._fail(error) from error.__cause__
        self._written += self._at
        self._at = self._hashed = self._begun = 0
        return following

    def _send_off(self, file: SpoolFile, buffer: Buffer) -> None:
        """Begin to write the rest of a buffer, or write it."""
        begun, at = self._begun, self._at
        if begun >= at:
            return
        padded = whole_blocks(at)
        if padded > at:
            buffer.view[at:padded] = bytes(padded - at)
        if not file.start(buffer.ahead, Piece(begun, padded, self._written + begun)):
            file.write(buffer.view, begun, at, self._written + begun)

    def _publish(self, buffer: Buffer) -> bytes:
        """Complete the file; gives the digest."""
        slot = self._slot
        true_size = self._prefix_length + self.size
        file = self._file
        if file is None:  # all of it lies here: one write
            slot.space.spend(self._at)
            digest = self._digest_into(buffer)
            file = self._open_file(large=False)
            file.write(buffer.view, 0, self._at, 0)
        else:
            self._send_off(file, buffer)
            self._hash_rest(buffer)
            self._settle_hash()
            file.finish(buffer.ahead, buffer.view)
            if self._spare is not None:
                file.finish(self._spare.ahead, self._spare.view)
            # The digest is known at the end, its place is at the beginning: that block goes last.
            first = whole_blocks(self._prefix_length)
            if self._written:
                buffer.view[:first] = self._first
            digest = self._digest_into(buffer)
            file.write(buffer.view, 0, first, 0)
        file.publish(complete_name(slot.run, self._order, self._prefix_length, digest), true_size)
        return digest

    def _fail(self, failure: StorageError) -> StorageError:
        self._failure = failure
        file = self._file
        self._give_back()
        if file is not None:
            file.discard()
        return failure

    def _give_back(self) -> None:
        self._settle_hash()
        buffers = (self._buffer, self._spare)
        self._buffer = self._spare = self._file = None
        for buffer in buffers:
            if buffer is not None:
                buffer.ahead.finish()  # nothing may be written from memory that somebody else fills
                self._slot.pool.give_back(buffer)

    def __enter__(self) -> IncomingObject:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.abort()
