"""Reading one slot: journal records and incoming files, merged into the order in which they arrived."""

from __future__ import annotations

import contextlib
import logging
import os
import sys
import time
from collections import deque
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from uuid import UUID

from gantry.storage.errors import StorageFailed
from gantry.storage.journal_reader import SegmentReader
from gantry.storage.layout import SlotPaths
from gantry.storage.records import KIND_ASSOCIATION_ENDED, KIND_OBJECT, KIND_RUN_STARTED, Record, SegmentName
from gantry.storage.sealing import remove_slot, seal_slot
from gantry.storage.slots import SlotLock, live_run
from gantry.storage.spool_names import IncomingName
from gantry.storage.spooled import (
    AssociationEnded,
    Position,
    RunEnded,
    RunStarted,
    SpooledObject,
    SpoolEvent,
    digest_of,
)

log = logging.getLogger(__name__)

_LOOK_AT_WRITER_SECONDS = 0.5
#: An empty slot of a receiver is kept so long after its writer went (its segments are worth keeping).
_KEEP_EMPTY_SECONDS = 600.0
_FREE_KEPT = 2
_RELIST_TRIES = 5
_Order = tuple[int, int]
_Placed = tuple[_Order, SpoolEvent]
_LAST: _Order = (sys.maxsize, 0)


@dataclass(slots=True)
class Budget:
    """What is left of one batch."""

    items: int
    bytes: int

    def spend(self, size: int) -> None:
        self.items -= 1
        self.bytes -= size

    @property
    def empty(self) -> bool:
        return self.items <= 0 or self.bytes <= 0


@dataclass
class SlotReader:
    """One slot as the reader knows it between calls."""

    paths: SlotPaths
    files: deque[tuple[_Order, str]] = field(default_factory=deque)
    live: bool = True
    run: int = 0
    looked_at: float = float("-inf")
    idle_since: float | None = None
    end_told: bool = False
    #: Segments with damage: where the last whole record ends -> the end of the segment.
    passed_over: dict[str, tuple[int, int]] = field(default_factory=dict)
    #: Names of files that were given and not released.
    given: set[str] = field(default_factory=set)
    #: Ends of associations that are told again, behind files that are given again.
    retold: deque[_Placed] = field(default_factory=deque)
    listed: bool = False

    def pending(self, positions: Mapping[str, int], budget: Budget) -> list[SpoolEvent]:
        """The next events of this slot, within `budget`."""
        self._look_at_writer()
        records, all_read = self._read_journal(positions, budget)
        if not records and not all_read:
            return []
        if self.files:
            # Files of an earlier listing go on, but not past an event: whether something that was complete
            # before the event is missing in that listing, only a new one can tell.
            found = self._merge(*_until_event(records), budget)
            if found:
                return found
        # Listed after the journal was read: a file that was complete before its association ended is seen,
        # and comes before that end.
        self._list_again(positions)
        found = self._merge(records, None, budget)
        if found or not all_read:
            self.idle_since = None
            return found
        return self._idle()

    def _look_at_writer(self) -> None:
        now = time.monotonic()
        if now - self.looked_at < _LOOK_AT_WRITER_SECONDS:
            return
        self.looked_at = now
        lock = SlotLock(self.paths)
        if lock.take():
            try:
                self.run = lock.last_run()
                if self.live or self.idle_since is None:
                    seal_slot(self.paths)
                self.live = False
            finally:
                lock.release()
            return
        self.live, self.end_told = True, False
        self.run = live_run(self.paths)

    def _segments(self) -> list[SegmentName]:
        try:
            names = os.listdir(self.paths.journal)
        except FileNotFoundError:
            return []
        found = [segment for name in names if (segment := SegmentName.parse(name)) is not None and segment.state != "damaged"]
        return sorted(found, key=lambda segment: (segment.run, segment.number, segment.state == "sealed"))

    def position_key(self, segment: SegmentName) -> str:
        return f"{self.paths.name}/{segment.identity}"

    def _read_journal(self, positions: Mapping[str, int], budget: Budget) -> tuple[list[_Placed], bool]:
        """Records behind `positions`, and whether these were all."""
        for _ in range(_RELIST_TRIES):
            found: list[_Placed] = []
            size = 0
            try:
                for segment in self._segments():
                    start = positions.get(self.position_key(segment), 0)
                    if segment.end is not None and start >= segment.end:
                        continue
                    for record in self._read_segment(segment, start):
                        found.append(((segment.run, record.order), self._event(segment, record)))
                        size += len(record.payload)
                        if len(found) >= budget.items or size >= budget.bytes:
                            return found, False
            except FileNotFoundError:
                continue  # sealed under another name meanwhile: list again
            return found, True
        return [], False

    def _read_segment(self, segment: SegmentName, start: int) -> Iterator[Record]:
        reader = SegmentReader(f"{self.paths.journal}/{segment.file_name}", segment.mark, segment.end)
        try:
            last = start
            for record in reader.records(start):
                last = record.end
                yield record
            key = self.position_key(segment)
            if reader.skipped and segment.end is not None:
                if key not in self.passed_over:
                    log.error("slot %s: %d places of a journal segment are damaged", self.paths.name, reader.skipped)
                self.passed_over[key] = (last, segment.end)
        finally:
            reader.close()

    def _event(self, segment: SegmentName, record: Record) -> SpoolEvent:
        slot, key = self.paths.name, self.position_key(segment)
        position = (key, record.end)
        if record.kind == KIND_OBJECT:
            size = len(record.payload)
            return SpooledObject(
                slot,
                f"{key}/{record.end}",
                "journal",
                size,
                record.prefix_length,
                record.sha256,
                position,
                record.payload,
            )
        if record.kind == KIND_ASSOCIATION_ENDED:
            return self._ended(record, position)
        if record.kind == KIND_RUN_STARTED:
            return RunStarted(slot, f"{slot}/{bytes(record.payload).decode('ascii')}", position)
        raise StorageFailed("the journal holds a record of a kind this version does not know")

    def _list_incoming(self) -> list[tuple[_Order, str]]:
        try:
            names = os.listdir(self.paths.incoming)
        except FileNotFoundError:
            return []
        parsed = ((IncomingName.parse(name), name) for name in names)
        return sorted(((name.run, name.order), text) for name, text in parsed if name is not None)

    def _list_again(self, positions: Mapping[str, int]) -> None:
        self.files = deque(self._list_incoming())
        again = [place for place, name in self.files if not self.listed or name in self.given]
        self.listed = True
        self.given.intersection_update(name for _, name in self.files)
        if again:
            # Their batch was committed, or not, and never released. If it was, the end of their association
            # was read with it: whoever opens the association once more must hear of its end once more.
            self.retold = deque(self._ends_before(positions, again[0]))

    def _ends_before(self, positions: Mapping[str, int], first: _Order) -> Iterator[_Placed]:
        """Ends of associations that are behind `first` in the order and before `positions`."""
        with contextlib.suppress(FileNotFoundError):
            for segment in self._segments():
                done = positions.get(self.position_key(segment), 0)
                for record in self._read_segment(segment, 0) if done and segment.run >= first[0] else ():
                    if record.end > done:
                        break
                    place = (segment.run, record.order)
                    if record.kind == KIND_ASSOCIATION_ENDED and place > first:
                        yield place, self._ended(record, None)

    def _ended(self, record: Record, position: Position | None) -> AssociationEnded:
        return AssociationEnded(self.paths.name, UUID(bytes=bytes(record.payload)), position)

    def released(self, obj: SpooledObject) -> None:
        self.given.discard(os.path.basename(obj.path))

    def _merge(self, records: list[_Placed], before: _Order | None, budget: Budget) -> list[SpoolEvent]:
        events: list[SpoolEvent] = []
        waiting = deque(records)
        while not budget.empty:
            event: SpoolEvent | None
            file = self.files[0][0] if self.files and (before is None or self.files[0][0] < before) else _LAST
            record = waiting[0][0] if waiting else _LAST
            end = self.retold[0][0] if self.retold else _LAST
            first = min(file, record, end)
            if first == _LAST:
                break
            if first == file:
                event = self._file(self.files.popleft()[1])
            else:
                event = (waiting if first == record else self.retold).popleft()[1]
            if event is not None:
                in_memory = event.size if isinstance(event, SpooledObject) and event.payload is not None else 0
                budget.spend(in_memory)
                events.append(event)
        return events

    def _file(self, name: str) -> SpooledObject | None:
        parsed = IncomingName.parse(name)
        assert parsed is not None
        path = f"{self.paths.incoming}/{name}"
        try:
            size = os.stat(path).st_size
            # A file of a run that is over may have been renamed and never synced (power loss): such a file
            # was never acknowledged. What the live writer has named is whole.
            if (not self.live or parsed.run != self.run) and digest_of(path, parsed.dataset_offset) != parsed.sha256:
                os.rename(path, f"{path}.damaged")
                log.warning(
                    "slot %s: a file of run %d is not whole; kept with the ending .damaged",
                    self.paths.name,
                    parsed.run,
                )
                return None
        except FileNotFoundError:
            return None  # released meanwhile, or given up by its writer
        key = f"{self.paths.name}/{name}"
        self.given.add(name)
        return SpooledObject(self.paths.name, key, "file", size, parsed.dataset_offset, parsed.sha256, None, None, path)

    def _idle(self) -> list[SpoolEvent]:
        """Nothing is left. Of a slot without writer that is told once, then the slot goes."""
        if self.live:
            return []
        if self.idle_since is None:
            self.idle_since = time.monotonic()
        if self.end_told:
            return []
        self.end_told = True
        return [RunEnded(self.paths.name)]

    def recycle(self, positions: Mapping[str, int]) -> list[str]:
        """Free the sealed segments that were read to their end; gives their position keys."""
        freed = []
        free = sum(name.startswith("free-") for name in self._journal_names())
        for segment in self._segments():
            key = self.position_key(segment)
            if segment.end is None or self._position(key, positions) < segment.end:
                continue
            path = f"{self.paths.journal}/{segment.file_name}"
            if key in self.passed_over:
                damaged = SegmentName("damaged", segment.run, segment.number, segment.mark, segment.end)
                os.rename(path, f"{self.paths.journal}/{damaged.file_name}")
                log.error("slot %s: a part of a journal segment cannot be read; kept as damaged", self.paths.name)
            elif free < _FREE_KEPT:
                os.rename(path, f"{self.paths.journal}/free-{segment.mark.hex()}.seg")
                free += 1
            else:
                os.unlink(path)
            freed.append(key)
        return freed

    def _position(self, key: str, positions: Mapping[str, int]) -> int:
        reached = positions.get(key, 0)
        last, end = self.passed_over.get(key, (-1, 0))
        return end if reached == last else reached

    def _journal_names(self) -> list[str]:
        try:
            return os.listdir(self.paths.journal)
        except FileNotFoundError:
            return []

    def segment_keys(self) -> set[str]:
        return {self.position_key(segment) for segment in self._segments()}

    def remove_if_over(self) -> bool:
        """Remove the slot when its writer is gone for good and nothing is in it."""
        if self.live or self.idle_since is None or not self.end_told:
            return False
        if not self.paths.name.startswith(("import-", "mend-")) and time.monotonic() - self.idle_since < _KEEP_EMPTY_SECONDS:
            return False
        lock = SlotLock(self.paths)
        if not lock.take():
            return False
        try:
            return remove_slot(self.paths)
        finally:
            lock.release()


def _until_event(records: list[_Placed]) -> tuple[list[_Placed], _Order | None]:
    """The objects before the first event, and the place of that event."""
    for index, (place, event) in enumerate(records):
        if not isinstance(event, SpooledObject):
            return records[:index], place
    return records, None
