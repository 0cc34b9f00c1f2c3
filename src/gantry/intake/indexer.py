"""The indexer: from the spool to final place, rows, fact and queue job, batch by batch. One per home.

For each batch: read the headers, place the bytes, sync; then one transaction with the rows, how far the spool
was read, the associations, what is held, and the fact; then let go of the spool. A crash anywhere leaves the
objects in the spool, and the second time finds the same bytes at the same place and the same digests in the
rows. So nothing that was acknowledged is lost, and nothing is indexed twice.
"""

from __future__ import annotations

import logging
import random
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from threading import Event
from typing import Any
from uuid import UUID, uuid4

import psycopg

from gantry import database, facts, metrics
from gantry.catalogue import Known, associations, lookup_versions
from gantry.catalogue.index import IndexedBatch, index_versions
from gantry.catalogue.moved import note_moved
from gantry.catalogue.rows import column
from gantry.catalogue.settle import settle_due
from gantry.intake import reasons
from gantry.intake.examine import MISTAKES, Examined, examine, say
from gantry.intake.place import place_held, place_version, restore_lost, take_back
from gantry.intake.placing_lock import PlacingLock
from gantry.intake.volumes import Shelves
from gantry.storage import AssociationEnded, RunEnded, RunStarted, SpooledObject, SpoolReader
from gantry.storage.errors import ObjectMissing, StorageError, StorageFailed
from gantry.storage.spooled import SpoolEvent

log = logging.getLogger(__name__)

BATCH = 1000
SETTLE_SECONDS = 0.5
#: While a burst is running, a batch may wait so long to grow: a sync of the volume costs the same for 5 and for 500,
#: and it disturbs the syncs of the receivers. What came last is still indexed within a second.
FILL_SECONDS = 0.4
#: A batch of this size or more, and the next is expected to be as large: a burst.
BURST = 8
FIRST_BACKOFF, LAST_BACKOFF = 0.2, 5.0
#: Two transactions met; the same again will do. A foreign key: the patient was removed at this moment.
RETRIED = (psycopg.errors.DeadlockDetected, psycopg.errors.SerializationFailure, psycopg.errors.ForeignKeyViolation)
_TRIES = 6


@dataclass(frozen=True, slots=True)
class Settling:
    """When a study has settled: the settings of these names."""

    quiet_seconds: float = 10.0
    on_association_end: bool = True


@dataclass(slots=True)
class IndexOutcome:
    """What one batch brought; `events` counts all that was read."""

    events: int = 0
    new: int = 0
    versions: int = 0
    duplicates: int = 0
    held: int = 0

    def __add__(self, other: IndexOutcome) -> IndexOutcome:
        return IndexOutcome(
            self.events + other.events, self.new + other.new, self.versions + other.versions,
            self.duplicates + other.duplicates, self.held + other.held,
        )  # fmt: skip


@dataclass(slots=True)
class _Batch:
    events: Sequence[SpoolEvent]
    objects: list[Examined] = field(default_factory=list)
    left: set[int] = field(default_factory=set)  # id() of objects that stay in the spool
    positions: dict[str, int] = field(default_factory=dict)


class Indexer:
    """Indexes what the spool of a home holds. Used by one thread; owns the connection it opens."""

    def __init__(
        self,
        home: Path,
        reader: SpoolReader,
        *,
        connect: Callable[[], psycopg.Connection[Any]] = database.connect,
        settling: Settling | None = None,
        batch: int = BATCH,
    ) -> None:
        self._home = home
        self._reader = reader
        self._connect = connect
        self._settling = settling or Settling()
        self._limit = batch
        self._shelves = Shelves(home)
        self._lock = PlacingLock(home)
        self._connection: psycopg.Connection[Any] | None = None
        self._positions: dict[str, int] = {}
        self._sql = database.statements("gantry.intake")

    # Driving

    def run(self, stop: Event) -> None:
        """Index and settle until `stop`; survives a database that goes away and a volume that is full."""
        backoff = FIRST_BACKOFF
        settle_at = 0.0
        while not stop.is_set():
            try:
                outcome = self.run_once()
                if time.monotonic() >= settle_at:
                    self.settle()
                    settle_at = time.monotonic() + SETTLE_SECONDS
                backoff = FIRST_BACKOFF
            except (psycopg.Error, StorageError, OSError) as error:
                # No message: psycopg's may hold values of the row.
                log.warning("indexing waits %.1f s: %s", backoff, say(error))
                self._disconnect()
                stop.wait(backoff * random.uniform(0.8, 1.2))  # noqa: S311  spreads retries, protects nothing
                backoff = min(backoff * 2, LAST_BACKOFF)
                continue
            if not outcome.events:
                self._reader.wait(max(0.01, settle_at - time.monotonic()))
            elif BURST <= outcome.events < self._limit:
                stop.wait(FILL_SECONDS)
        self.close()

    def drain(self) -> IndexOutcome:
        """Index until the spool has nothing more; gives the sum. Errors are raised."""
        total = IndexOutcome()
        while True:
            outcome = self.run_once()
            if not outcome.events:
                return total
            total += outcome

    def close(self) -> None:
        """Close the connection."""
        self._disconnect()
        self._lock.close()

    def _disconnect(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.close()

    def _open(self) -> psycopg.Connection[Any]:
        if self._connection is not None and not self._connection.closed:
            return self._connection
        connection = self._connect()
        try:
            # Read anew each time: after a lost connection it is open whether the last commit came through.
            self._positions = {row[0]: row[1] for row in connection.execute(self._sql["positions"])}
            connection.commit()
        except BaseException:
            connection.close()
            raise
        self._connection = connection
        return connection

    # One batch

    def run_once(self) -> IndexOutcome:
        """Index what waits, at most one batch; never waits for more. Raises psycopg and storage errors; call again."""
        connection = self._open()
        events = self._reader.pending(self._positions, self._limit)
        if not events:
            return IndexOutcome()
        self._reader.use_volumes(self._shelves.look(connection))
        # Between placing and commit nobody may unlink files whose rows are gone: we may be using one of them again.
        with metrics.index_batch_seconds.time(), self._lock.shared():
            outcome = self._index(connection, events)
        for name, count in (("new", outcome.new), ("version", outcome.versions), ("duplicate", outcome.duplicates),
                            ("quarantined", outcome.held)):  # fmt: skip
            if count:
                metrics.indexed_instances.labels(name).inc(count)
        return outcome

    def _index(self, connection: psycopg.Connection[Any], events: Sequence[SpoolEvent]) -> IndexOutcome:
        batch = self._prepare(connection, events)
        try:
            indexed = self._commit(connection, batch)
        except (psycopg.Error, *MISTAKES) as error:
            if connection.closed or not is_about_data(error):
                raise
            connection.rollback()
            return self._isolate(connection, events, batch, error)
        self._positions.update(batch.positions)
        self._finish(connection, batch, indexed)
        return _count(batch, indexed)

    def _isolate(
        self, connection: psycopg.Connection[Any], events: Sequence[SpoolEvent], batch: _Batch, error: Exception
    ) -> IndexOutcome:
        """One of these cannot be indexed. Halve until it is alone, in order, then hold it and go on with the rest."""
        if len(events) > 1:
            middle = len(events) // 2
            return self._index(connection, events[:middle]) + self._index(connection, events[middle:])
        if not batch.objects or batch.objects[0].row is None:
            raise error
        log.error("an object cannot be indexed (%s); it is held", say(error))
        again = self._prepare(connection, events, refused=type(error).__name__)
        indexed = self._commit(connection, again)
        again.objects[0].placed = batch.objects[0].placed
        self._positions.update(again.positions)
        self._finish(connection, again, indexed)
        return _count(again, indexed)

    def _prepare(self, connection: psycopg.Connection[Any], events: Sequence[SpoolEvent], refused: str = "") -> _Batch:
        """Headers read, bytes placed and durable, nothing in the database yet."""
        batch = _Batch(events)
        for event in events:
            if isinstance(event, SpooledObject):
                try:
                    batch.objects.append(examine(event))
                except ObjectMissing:
                    log.warning("an object has left the spool before it was indexed")
                except StorageFailed:
                    log.error("an object in the spool cannot be read; it stays there")
                    batch.left.add(id(event))
            position = getattr(event, "position", None)
            if position is not None:
                batch.positions[position[0]] = position[1]
        if refused:
            for found in batch.objects:
                found.hold(reasons.NOT_INDEXABLE, f"{reasons.NOT_INDEXABLE.text}: {refused}")
        known = lookup_versions(connection, {found.row.sop_instance_uid for found in batch.objects if found.row})
        connection.commit()
        fresh: set[tuple[str, bytes]] = set()
        for found in batch.objects:
            if found.row is not None:
                self._place(found, known, fresh)
        for found in batch.objects:
            if found.reason is not None:
                found.held = place_held(self._home, self._reader, found)
        self._reader.sync()
        return batch

    def _place(self, found: Examined, known: Mapping[str, Known], fresh: set[tuple[str, bytes]]) -> None:
        row = found.row
        assert row is not None
        there = known.get(row.sop_instance_uid)
        path = there.digests.get(row.sha256) if there else None
        key = (row.sop_instance_uid, row.sha256)
        try:
            if path is not None:
                restore_lost(self._home, self._reader, found, path, self._shelves)
            elif key not in fresh:
                fresh.add(key)
                place_version(self._home, self._reader, found, known, self._shelves)
        except ObjectMissing:
            log.warning("an object has left the spool before it was placed")
            found.row = None

    def _commit(self, connection: psycopg.Connection[Any], batch: _Batch) -> IndexedBatch:
        for tried in range(1, _TRIES + 1):
            try:
                with connection.transaction():
                    return self._write(connection, batch)
            except RETRIED:
                if tried == _TRIES:
                    raise
                time.sleep(random.uniform(0.01, 0.05) * tried)  # noqa: S311  spreads retries, protects nothing
        raise AssertionError

    def _write(self, connection: psycopg.Connection[Any], batch: _Batch) -> IndexedBatch:
        """All rows of a batch and its fact, in one transaction."""
        now, batch_id = datetime.now(UTC), uuid4()
        rows = [found.row for found in batch.objects if found.row is not None]
        indexed = index_versions(connection, rows, batch_id=batch_id, now=now) if rows else IndexedBatch([], {}, 0)
        note_moved(connection, rows)
        for found in batch.objects:
            if found.held is not None:
                connection.execute(self._sql["hold"], _held_columns(found, now))
            if found.restored:
                log.warning("a stored file was missing; the same bytes came again and took its place")
                offset, size = found.object.dataset_offset, found.object.size
                path, volume_id = found.placed_again
                values = {"path": found.restored, "dataset_offset": offset, "file_bytes": size}
                connection.execute(self._sql["restored"], {**values, "now_path": path, "volume_id": volume_id})
        self._note_associations(connection, batch, indexed, now)
        if batch.positions:
            values = {"segments": list(batch.positions), "offsets": list(batch.positions.values()), "now": now}
            connection.execute(self._sql["advance"], values)
        if indexed.written:
            self._shelves.count(
                connection, (row for row, what in zip(rows, indexed.outcomes, strict=True) if what != "duplicate")
            )
            facts.publish(connection, facts.Arrived(batch_id, indexed.written))
        return indexed

    def _note_associations(
        self, connection: psycopg.Connection[Any], batch: _Batch, indexed: IndexedBatch, now: datetime
    ) -> None:
        """What is open after the batch; its events are in the order in which they happened."""
        brought: set[tuple[UUID, int, str]] = set()
        over: set[UUID] = set()
        slots: set[str] = set()
        objects = {id(found.object): found for found in batch.objects}
        for event in batch.events:
            if isinstance(event, AssociationEnded):
                over.add(event.association_id)
                brought = {entry for entry in brought if entry[0] != event.association_id}
            elif isinstance(event, RunStarted | RunEnded):
                slots.add(event.slot)
                brought = {entry for entry in brought if entry[2] != event.slot}
            elif (found := objects.get(id(event))) and found.row and found.association_id:
                study_id = indexed.study_ids.get(found.row.study_instance_uid)
                if study_id is not None:
                    brought.add((found.association_id, study_id, event.slot))
        associations.restarted(connection, slots)
        associations.ended(connection, over)
        associations.opened(connection, brought, now)

    def _finish(self, connection: psycopg.Connection[Any], batch: _Batch, indexed: IndexedBatch) -> None:
        """After the commit: no file without a row, then the spool lets go."""
        outcomes = iter(indexed.outcomes)
        placed = [
            found.placed for found in batch.objects if (found.row is None or next(outcomes) == "duplicate") and found.placed
        ]
        if placed:
            known = {row[0] for row in connection.execute(self._sql["known_paths"], {"paths": placed})}
            connection.commit()
            for relative in placed:
                if relative not in known:
                    take_back(self._home, relative)
        done = [event for event in batch.events if isinstance(event, SpooledObject) and id(event) not in batch.left]
        freed = self._reader.release(done, self._positions)
        if freed:
            connection.execute(self._sql["forget_positions"], {"segments": freed})
            connection.commit()
            for segment in freed:
                self._positions.pop(segment, None)

    # Settling

    def settle(self) -> int:
        """Publish `Settled` for the studies that have gone quiet; gives their number."""
        connection = self._open()
        settling = self._settling
        with connection.transaction():
            studies = settle_due(connection, settling.quiet_seconds, settling.on_association_end, datetime.now(UTC))
            facts.publish(connection, *(facts.Settled(study) for study in studies))
        return len(studies)


def is_about_data(error: Exception) -> bool:
    """Whether these rows are at fault (22 data, 23 constraint, 54 limit), not the connection or the server."""
    if not isinstance(error, psycopg.Error):
        return True
    state = error.sqlstate or ""
    return state[:2] in {"22", "23", "54"} or (not state and isinstance(error, psycopg.DataError))


def _held_columns(found: Examined, now: datetime) -> dict[str, Any]:
    assert found.reason is not None
    assert found.held is not None
    path, offset, size = found.held
    return {
        "id": found.quarantine_id,
        "reason": found.reason.code,
        "explanation": column(found.explanation),
        "origin": found.origin,
        "calling_aet": column(found.calling_aet),
        "called_aet": column(found.called_aet),
        "remote_address": column(found.remote_address),
        "transfer_syntax_uid": column(found.transfer_syntax_uid),
        "sha256": found.object.sha256,
        "file_path": path,
        "file_bytes": size,
        "dataset_offset": offset,
        "received_at": found.received_at,
        "now": now,
    }


def _count(batch: _Batch, indexed: IndexedBatch) -> IndexOutcome:
    held = sum(1 for found in batch.objects if found.reason is not None)
    new, versions = indexed.outcomes.count("new"), indexed.outcomes.count("version")
    read = len(batch.events) - len(batch.left)
    return IndexOutcome(read, new, versions, indexed.outcomes.count("duplicate"), held)
