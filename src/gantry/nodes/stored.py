"""The data set bytes of a stored file, ready to send: read or mapped, with their digest."""

from __future__ import annotations

import hashlib
import mmap
import os
from types import TracebackType

from gantry.nodes.items import SendItem

#: Up to here the data set is read into the thread's buffer: hashed and sent from the cache of the processor it is
#: 15 % cheaper than a mapping, whose pages must be faulted in. Above, memory would grow with the instance. Bytes.
READ_UP_TO = 1 << 20
_STEP = 256 * 1024

_REMEDY = "look at its volume; the scrubber fetches it again from a node that has it; then retry"


class Damaged(Exception):
    """The stored bytes are missing, short or not those of the digest; the message says which."""


class ReadBuffer:
    """Memory of one sending thread, used again for each instance; it grows to what was needed, at most READ_UP_TO."""

    __slots__ = ("_bytes",)

    def __init__(self) -> None:
        self._bytes = bytearray(64 * 1024)

    def room(self, size: int) -> memoryview:
        """A view of `size` bytes."""
        if size > len(self._bytes):
            self._bytes = bytearray(min(READ_UP_TO, 1 << (size - 1).bit_length()))
        return memoryview(self._bytes)[:size]


class StoredDataSet:
    """A data set opened for one send. Close it always; its view must not be used after that.

    Raises Damaged. The digest is compared here, before a byte can go out; without `verify` it is not even computed,
    and `sha256` is empty.
    """

    __slots__ = ("_map", "sha256", "view")

    def __init__(self, item: SendItem, buffer: ReadBuffer, *, verify: bool = True) -> None:
        self._map: mmap.mmap | None = None
        self.view = memoryview(b"")
        try:
            self.sha256 = self._open(item, buffer, verify=verify)
            if verify and item.sha256 is not None and self.sha256 != item.sha256:
                raise Damaged(f"the stored bytes are not those that were received: SHA-256 differs ({_REMEDY})")
        except OSError as error:
            self.close()
            raise Damaged(f"the stored file cannot be read: {error.strerror} ({_REMEDY})") from error
        except BaseException:
            self.close()
            raise

    def _open(self, item: SendItem, buffer: ReadBuffer, *, verify: bool) -> bytes:
        descriptor = os.open(item.path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
        try:
            if item.dataset_bytes <= READ_UP_TO:
                self.view = buffer.room(item.dataset_bytes)
                return _read(descriptor, self.view, item, verify=verify)
            self._map_file(descriptor, item)
            return hashlib.sha256(self.view).digest() if verify else b""
        finally:
            os.close(descriptor)

    def _map_file(self, descriptor: int, item: SendItem) -> None:
        size, offset = item.dataset_bytes, item.dataset_offset
        have = os.fstat(descriptor).st_size - offset
        if have < size:
            raise _too_short(max(have, 0), size)
        begin = offset - offset % mmap.ALLOCATIONGRANULARITY
        self._map = mmap.mmap(descriptor, offset - begin + size, mmap.MAP_SHARED, mmap.PROT_READ, offset=begin)
        self._map.madvise(mmap.MADV_SEQUENTIAL)
        self.view = memoryview(self._map)[offset - begin :]

    def close(self) -> None:
        """Give the mapping back."""
        self.view.release()
        if self._map is not None:
            self._map.close()
            self._map = None

    def __enter__(self) -> StoredDataSet:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()


def _read(descriptor: int, view: memoryview, item: SendItem, *, verify: bool) -> bytes:
    """Fill the view and hash it step by step, while what was read is in the cache."""
    digest = hashlib.sha256() if verify else None
    done, size = 0, item.dataset_bytes
    while done < size:
        count = os.preadv(descriptor, [view[done : done + _STEP]], item.dataset_offset + done)
        if not count:
            raise _too_short(done, size)
        if digest is not None:
            digest.update(view[done : done + count])
        done += count
    return digest.digest() if digest is not None else b""


def _too_short(have: int, size: int) -> Damaged:
    return Damaged(f"the stored file is too short: {have} of {size} bytes ({_REMEDY})")
