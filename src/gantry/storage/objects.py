"""Reading stored objects: the data set region as memory, never as a copy."""

from __future__ import annotations

import mmap
import os
from pathlib import Path

from gantry.storage.errors import ObjectMissing, StorageFailed, from_os_error
from gantry.storage.layout import resolve
from gantry.storage.spooled import digest_of


class StoredObject:
    """An open stored file. `dataset` is a view of the mapped file, valid until `close`."""

    def __init__(self, path: str, dataset_offset: int, dataset_bytes: int | None = None) -> None:
        self._path = path
        self._offset = dataset_offset
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        try:
            self.file_bytes = os.fstat(descriptor).st_size
            available = self.file_bytes - dataset_offset
            self.size = available if dataset_bytes is None else dataset_bytes
            if dataset_offset < 0 or self.size < 0 or self.size > available:
                raise StorageFailed("the file is shorter than its data set")
            self._map = mmap.mmap(descriptor, 0, prot=mmap.PROT_READ) if self.file_bytes else None
        finally:
            os.close(descriptor)
        self._whole = memoryview(self._map if self._map is not None else b"")
        self.dataset = self._whole[dataset_offset : dataset_offset + self.size]

    @property
    def head(self) -> memoryview:
        """The whole file, prefix included."""
        return self._whole

    def digest(self) -> bytes:
        """SHA-256 of the data set, read anew; StorageFailed when the volume cannot give the bytes.

        Read and not looked at through the map: there a bad sector would be a signal, not an error.
        """
        try:
            return digest_of(self._path, self._offset, self.size)
        except OSError as error:
            raise from_os_error(error, "reading an object") from error

    def close(self) -> None:
        self.dataset.release()
        self._whole.release()
        if self._map is not None:
            self._map.close()

    def __enter__(self) -> StoredObject:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def open_object(home: Path, relative: str, *, dataset_offset: int, dataset_bytes: int | None = None) -> StoredObject:
    """Open a stored object. ObjectMissing, StorageFailed (too short, unreadable), PathRefused."""
    try:
        return StoredObject(resolve(home, relative), dataset_offset, dataset_bytes)
    except FileNotFoundError as error:
        raise ObjectMissing("no file lies at this place") from error
    except OSError as error:
        raise from_os_error(error, "opening an object") from error
