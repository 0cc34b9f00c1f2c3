"""The reading side of the spool: what is pending, placing it, and letting go of it. One per home."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from uuid import UUID

from gantry.storage.errors import PathRefused, from_os_error
from gantry.storage.layout import make_directory, quarantine_path, resolve, slot_paths, spool_root, volume_of
from gantry.storage.placing import Placing
from gantry.storage.slot_reader import Budget, SlotReader
from gantry.storage.spool_names import sidecar_name
from gantry.storage.spooled import SpooledObject, SpoolEvent
from gantry.storage.wake import Ear

#: Journal records of one batch stay in memory until it is placed.
_BATCH_BYTES = 32 << 20


class SpoolReader:
    """Reads all slots of a home, those of dead writers too. Used by one thread of one process."""

    def __init__(self, home: Path, *, durable: bool = True) -> None:
        self._home = home
        make_directory(spool_root(home))
        self._ear = Ear(home)
        self._placing = Placing(home, durable=durable)
        self._slots: dict[str, SlotReader] = {}
        self._turn = 0

    def pending(self, positions: Mapping[str, int], limit: int) -> list[SpoolEvent]:
        """At most `limit` events, in the order of arrival within a slot; never blocks.

        `positions` maps "<slot>/<segment>" to the offset up to which a journal segment is done. What was
        given and not released is given again. Raises StorageFailed.
        """
        self._placing.drop()
        try:
            self._find_slots()
            names = sorted(self._slots)
            self._turn += 1
            budget = Budget(limit, _BATCH_BYTES)
            found: list[SpoolEvent] = []
            for index in range(len(names)):
                if budget.empty:
                    break
                # Another slot is first each time, so that a busy one does not starve the others.
                slot = self._slots[names[(index + self._turn) % len(names)]]
                found += slot.pending(positions, budget)
        except OSError as error:
            raise from_os_error(error, "reading the spool") from error
        return found

    def _find_slots(self) -> None:
        names = set(os.listdir(spool_root(self._home)))
        for name in list(self._slots):
            if name not in names or self._slots[name].remove_if_over():
                del self._slots[name]
                names.discard(name)
        for name in names - self._slots.keys():
            with contextlib.suppress(PathRefused):
                self._slots[name] = SlotReader(slot_paths(self._home, name))

    def place(self, obj: SpooledObject, relative: str) -> None:
        """Give the object its final place under the home or on one of its volumes; durable, and there, after `sync`.

        Placing the same bytes again is fine. Raises PlaceTaken when another file lies there, PathRefused,
        StorageFull, StorageFailed, ObjectMissing, VolumeMissing.
        """
        path, volume_id = resolve(self._home, relative), volume_of(relative)
        if volume_id is not None:
            self._placing.enter(volume_id)
        self._placing.place(obj, path)

    def use_volumes(self, marks: Mapping[int, UUID]) -> None:
        """The volumes that may be written to, with what the mark on each must say."""
        self._placing.marks = dict(marks)

    def move_to_quarantine(self, obj: SpooledObject, identifier: UUID) -> str:
        """Like `place`, into the quarantine; gives the path relative to the home."""
        relative = quarantine_path(identifier)
        self.place(obj, relative)
        return relative

    def sync(self) -> None:
        """Make durable what was placed since the last call. After an error of the tree place it again."""
        self._placing.sync()

    def release(self, done: Sequence[SpooledObject], positions: Mapping[str, int]) -> list[str]:
        """Let go of objects whose rows are committed; gives the segments whose positions are of no use now.

        A crash inside leaves objects that are given again, nothing else.
        """
        try:
            for obj in done:
                if obj.kind == "file":
                    if obj.slot in self._slots:
                        self._slots[obj.slot].released(obj)
                    for path in (obj.path, sidecar_name(obj.path)):
                        with contextlib.suppress(FileNotFoundError):
                            os.unlink(path)
            return [key for slot in self._slots.values() for key in slot.recycle(positions)]
        except OSError as error:
            raise from_os_error(error, "releasing spooled objects") from error

    def segments(self) -> set[str]:
        """The position keys of all segments there are; rows of others can be deleted."""
        self._find_slots()
        return {key for slot in self._slots.values() for key in slot.segment_keys()}

    def wait(self, timeout: float) -> None:
        """Return when a writer rang since the last call, or after `timeout` seconds."""
        self._ear.wait(timeout)

    def close(self) -> None:
        self._ear.close()
        self._placing.close()

    def __enter__(self) -> SpoolReader:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
