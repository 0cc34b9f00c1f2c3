"""The C-MOVEs of one fetch into our own receiver, and what came with them.

An instance came with a move of ours when its C-STORE names us and the message id of that move (PS3.7 9.3.1.1). A node that
names nobody is believed by the UIDs that it announced.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Collection
from contextlib import closing, suppress
from time import monotonic
from typing import Any, Protocol, runtime_checkable

import psycopg

from gantry import database
from gantry.catalogue.moved import await_move, brought_by, forget_moves, moved_after, moved_count

#: How long the first instance may take, where nothing says that there is one, seconds.
_FIRST_SECONDS = 5.0


class Moves:
    """Thread-safe. A `look` costs one or two small queries, whatever the number of instances."""

    def __init__(self, await_index: Callable[[Callable[[], bool]], None]) -> None:
        """`await_index` as in `gantry.nodes.into`."""
        self._await_index = await_index
        self._stopped = False
        self._ids: list[int] = []
        self._senders: set[str] = set()
        self._seen: set[int] = set()
        self._last = 0
        self._lock = threading.Lock()
        #: What came: the digests by SOP Instance UID, and the study that the data set names.
        self.came: dict[str, set[bytes]] = {}
        self.studies: dict[str, str] = {}

    @property
    def any(self) -> bool:
        """Whether a move was asked for."""
        return bool(self._ids)

    def expect(self, aet: str, sender: str) -> int:
        """Say that `aet` is about to ask the node `sender` for a move; gives the message id to ask with."""
        with closing(_connect()) as connection:
            awaited = await_move(connection, aet)
        with self._lock:
            self._ids.append(awaited.id)
            self._senders.add(sender)
        return awaited.message_id

    def look(self, connection: psycopg.Connection[Any]) -> None:
        """Read what has come since the last time."""
        with self._lock:
            if not self._ids:
                return
            self._read(connection, self._last)
            if moved_count(connection, self._ids) != len(self._seen):  # an id below the last one was committed later
                self._read(connection, 0)

    def _read(self, connection: psycopg.Connection[Any], after: int) -> None:
        for one in moved_after(connection, self._ids, after):
            self._seen.add(one.id)
            self._last = max(self._last, one.id)
            self.came.setdefault(one.sop_instance_uid, set()).add(one.sha256)
            self.studies[one.sop_instance_uid] = one.study_instance_uid

    def here(self, connection: psycopg.Connection[Any], uids: Collection[str], *, patient: bool) -> set[str]:
        """Those of `uids` that came with our moves, after a `look`.

        Where nothing names a move of ours, the node does not name moves, or nothing has come yet: what the node brought
        counts, and unless `patient` whatever is here (some nodes send under another AE title than their own).
        """
        if self.came:
            return self.came.keys() & set(uids)
        found = brought_by(connection, uids, self._senders)
        return {uid for uid, by_the_node in found.items() if by_the_node or not patient}

    def await_count(self, count: int, studies: Collection[str], idle_seconds: float) -> list[str]:
        """Wait for `count` instances of these studies, as long as more of them come; gives those that came."""
        with closing(_connect()) as connection:
            found: list[str] = []
            quiet_since = monotonic()

            def is_done() -> bool:
                nonlocal found, quiet_since
                self.look(connection)
                before, found = len(found), [uid for uid, study in self.studies.items() if study in studies]
                if len(found) != before:
                    quiet_since = monotonic()
                # A node that names no move would keep us waiting for nothing.
                limit = idle_seconds if found else min(idle_seconds, _FIRST_SECONDS)
                return len(found) >= count or self._stopped or monotonic() - quiet_since > limit

            if not is_done():
                self._await_index(is_done)
                is_done()
        return found

    def stop(self) -> None:
        """A wait shall wait no longer."""
        self._stopped = True

    def close(self) -> None:
        """Await nothing more."""
        with self._lock:
            ids, self._ids = self._ids, []
        if ids:
            # Else it is forgotten some days later.
            with suppress(psycopg.Error), closing(_connect()) as connection:
                forget_moves(connection, ids)


@runtime_checkable
class Receives(Protocol):
    """A place for fetched instances that our receiver fills as well."""

    moves: Moves


def _connect() -> psycopg.Connection[Any]:
    return database.connect(autocommit=True, application="gantry-fetch")
