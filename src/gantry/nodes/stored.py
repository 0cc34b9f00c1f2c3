"""The data set bytes of a stored file, ready to send: read or mapped, with their digest."""

from __future__ import annotations

import hashlib
import mmap
import os
from types import TracebackType

from gantry.nodes.items import SendItem

#: Below this a read() is cheaper than a mapping (page table, fault per 4 KB), bytes.
READ_BELOW = 64 * 1024


class Damaged(Exception):
    """The stored bytes are missing, short or not those of the digest; the message says which."""


class StoredDataSet:
    """A data set opened for one send. Close it always; its view must not be used after that.

    Raises Damaged. The digest is compared here, before a byte can go out.
    """

    __slots__ = ("_map", "sha256", "view")

    def __init__(self, item: SendItem) -> None:
        self._map: mmap.mmap | None = None
        self.view = memoryview(b"")
        try:
            self._open(item)
            self.sha256 = hashlib.sha256(self.view).digest()
            if item.sha256 is not None and self.sha256 != item.sha256:
                raise Damaged("the stored bytes are not those that were received (SHA-256 differs)")
        except OSError as error:
            self.close()
            raise Damaged(f"the stored file cannot be read: {error.strerror}") from error
        except BaseException:
            self.close()
            raise

    def _open(self, item: SendItem) -> None:
        size, offset = item.dataset_bytes, item.dataset_offset
        descriptor = os.open(item.path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
        try:
            if size < READ_BELOW:
                data = os.pread(descriptor, size, offset)
                if len(data) != size:
                    raise Damaged(f"the stored file is too short: {len(data)} of {size} bytes")
                self.view = memoryview(data)
                return
            have = os.fstat(descriptor).st_size - offset
            if have < size:
                raise Damaged(f"the stored file is too short: {max(have, 0)} of {size} bytes")
            begin = offset - offset % mmap.ALLOCATIONGRANULARITY
            self._map = mmap.mmap(descriptor, offset - begin + size, mmap.MAP_SHARED, mmap.PROT_READ, offset=begin)
            self._map.madvise(mmap.MADV_SEQUENTIAL)
            self.view = memoryview(self._map)[offset - begin :]
        finally:
            os.close(descriptor)

    def close(self) -> None:
        """Give the mapping back."""
        self.view.release()
        if self._map is not None:
            self._map.close()
            self._map = None

    def __enter__(self) -> StoredDataSet:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
