"""The reading side of the journal: records in order, from a live or a sealed segment."""

from __future__ import annotations

import os
from collections.abc import Iterator

from gantry.storage.records import ALIGNMENT, HEADER, Record, aligned, candidates, is_whole, read_header

_CHUNK = 1 << 20


class SegmentReader:
    """Reads one segment from an offset on. `skipped` counts damaged places that were passed over."""

    def __init__(self, path: str, mark: bytes, end: int | None) -> None:
        self._descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        self._mark = mark
        self._end = os.fstat(self._descriptor).st_size if end is None else end
        self._sealed = end is not None
        self._chunk = memoryview(b"")
        self._chunk_at = 0
        self.position = 0
        self.skipped = 0

    def records(self, start: int) -> Iterator[Record]:
        """The whole records from `start` on; `position` is the offset behind the last one given.

        An active segment ends at the first record that is not whole (it is being written). In a sealed one
        a damaged place is passed over, since records behind it may have been acknowledged.
        """
        self.position = start
        while self.position < self._end:
            record = self._at(self.position)
            if record is None:
                if not self._sealed:
                    return
                self.skipped += 1
                record = self._behind_damage(self.position + ALIGNMENT)
                if record is None:
                    self.position = self._end
                    return
            self.position = record.end
            yield record

    def _read(self, offset: int, length: int) -> memoryview:
        """`length` bytes at `offset`, fewer at the end. Bytes given before stay valid."""
        inside = offset - self._chunk_at
        if inside < 0 or inside + length > len(self._chunk):
            # A glance first: at the end of a live segment there is nothing to fetch a large piece for.
            wanted = max(length, _CHUNK) if length > HEADER.size else length
            self._chunk = memoryview(os.pread(self._descriptor, wanted, offset))
            self._chunk_at = offset
            inside = 0
        return self._chunk[inside : inside + length]

    def _at(self, offset: int) -> Record | None:
        fields = read_header(self._read(offset, HEADER.size), self._mark)
        if fields is None:
            return None
        kind, order, prefix_length, length, sha256, prefix_crc = fields
        end = offset + HEADER.size + length
        if end > self._end:
            return None
        payload = self._read(offset, HEADER.size + length)[HEADER.size :]
        if len(payload) != length or not is_whole(payload, prefix_length, sha256, prefix_crc):
            return None
        return Record(kind, order, prefix_length, sha256, payload, aligned(end))

    def _behind_damage(self, start: int) -> Record | None:
        """The next whole record at or behind `start`."""
        at = aligned(start)
        while at < self._end:
            window = os.pread(self._descriptor, _CHUNK + HEADER.size, at)
            for candidate in candidates(window, self._mark):
                if candidate < _CHUNK and (record := self._at(at + candidate)) is not None:
                    return record
            at += _CHUNK
        return None

    def close(self) -> None:
        os.close(self._descriptor)


def valid_end(path: str, mark: bytes) -> int:
    """The offset behind the last whole record of a segment whose writer is gone."""
    reader = SegmentReader(path, mark, os.stat(path).st_size)
    end = 0
    try:
        for record in reader.records(0):
            end = record.end
    finally:
        reader.close()
    return end
