"""C-MOVE to a node: ordered in the delivery ledger, sent by the worker, watched here (PS3.4 C.4.2)."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterator
from uuid import UUID

import psycopg

from dimse.acceptance import AssociationInfo
from dimse.errors import Refused
from dimse.operations import Final, MoveRequest, SubOperations
from dimse.retrieval import failed_list, final_status
from dimse.status import OUT_OF_RESOURCES, SUCCESS
from gantry import database
from gantry.receiver.errors import IndexAway
from gantry.receiver.index import Index
from gantry.receiver.matching import matching
from gantry.transfers.move import MoveProgress, cancel_move, move_failures, move_progress, order_move

log = logging.getLogger("gantry.receiver")
DESTINATION_UNKNOWN, CANNOT_PERFORM, CANCELLED = 0xA801, 0xA702, 0xFE00
#: How often the ledger is asked at least and at most, and how often the asker hears of it, seconds.
POLL_SECONDS, SHORTEST_POLL_SECONDS, PENDING_SECONDS = 0.1, 0.02, 1.0
#: A move that does not advance for so long has failed, seconds: longer than a delivery waits for one answer.
STALLED_SECONDS = 180.0
#: How long a database that went away may take to come back, seconds.
AWAY_SECONDS = 60.0
#: What was taken up when a cancel came may end within so many seconds.
CANCEL_SECONDS = 0.5


def move(
    index: Index, association: AssociationInfo, request: MoveRequest, cancelled: Callable[[], bool]
) -> Iterator[SubOperations | Final]:
    """Counts about every second, then how it ended, counted from the ledger.

    Raises Refused: A900 for a bad identifier, A801 for a destination that is no node, A702 for one that is
    switched off, A700 while the index is away.
    """
    try:
        with index.connection() as connection:
            ordered = _order(connection, association, request)
    except IndexAway as error:
        raise Refused(OUT_OF_RESOURCES, "index is away") from error
    return iter((Final(SUCCESS, counts=SubOperations()),)) if ordered is None else _Watch(index, ordered, request).run(cancelled)


def _order(connection: psycopg.Connection, association: AssociationInfo, request: MoveRequest) -> UUID | None:
    queries = database.statements("gantry.receiver")
    found = connection.execute(queries["destination"], {"aet": request.destination.strip(" ")}).fetchone()
    if found is None:
        raise Refused(DESTINATION_UNKNOWN, "the destination is no node here")
    node_id, name, enabled = found
    if not enabled:
        raise Refused(CANNOT_PERFORM, "the destination is switched off")
    versions = [location.version_id for location in matching(connection, request)]
    if not versions:
        return None
    order = order_move(
        connection, versions, node_id, calling_aet=association.calling_aet.strip(" "), message_id=request.message_id
    )
    log.info("C-MOVE %s: %s instances to node %s", order.id, order.ordered, name)
    return order.id


class _Watch:
    """One C-MOVE under way."""

    def __init__(self, index: Index, move_id: UUID, request: MoveRequest) -> None:
        self._index = index
        self._id = move_id
        self._request = request
        self._began = self._advanced = time.monotonic()
        self._answered = self._advanced
        self._last: MoveProgress | None = None

    def run(self, cancelled: Callable[[], bool]) -> Iterator[SubOperations | Final]:
        """Until nothing remains. When the engine closes us early, what was not taken up is cancelled."""
        ended = False
        try:
            while (progress := self._look()).remaining:
                if cancelled():
                    ended = True
                    yield self._cancel()
                    return
                if progress != self._last:
                    self._last, self._advanced = progress, time.monotonic()
                if time.monotonic() - self._advanced > STALLED_SECONDS:
                    ended = True
                    yield self._stalled()
                    return
                if time.monotonic() - self._answered >= PENDING_SECONDS:
                    self._answered = time.monotonic()
                    yield _counts(progress)
                _pause(self._patience(progress), cancelled)
            ended = True
            yield self._final(progress)
        finally:
            if not ended:
                self._take_back("the asker went away")

    def _patience(self, progress: MoveProgress) -> float:
        """Half of what the rest will take at the pace so far: the end is heard of soon, and few ask meanwhile."""
        took, done = time.monotonic() - self._began, progress.completed + progress.failed + progress.warned
        rest = took * progress.remaining / done if done else took
        return min(POLL_SECONDS, max(SHORTEST_POLL_SECONDS, rest / 2))

    def _look(self) -> MoveProgress:
        """The counts; through a database that is away for a while."""
        deadline = time.monotonic() + AWAY_SECONDS
        while True:
            try:
                with self._index.connection() as connection:
                    return move_progress(connection, self._id)
            except IndexAway:
                if time.monotonic() > deadline:
                    raise Refused(OUT_OF_RESOURCES, "index is away") from None
                time.sleep(POLL_SECONDS * 5)

    def _take_back(self, error: str) -> None:
        try:
            with self._index.connection() as connection:
                cancel_move(connection, self._id, error)
        except IndexAway:
            log.warning("C-MOVE %s could not be cancelled: the index is away", self._id)

    def _cancel(self) -> Final:
        self._take_back("cancelled by the asker")
        # What was taken up has still a moment to end, then its answer no longer counts.
        until = time.monotonic() + CANCEL_SECONDS
        while (progress := self._look()).remaining and time.monotonic() < until:
            time.sleep(POLL_SECONDS)
        return Final(CANCELLED, counts=_counts(progress), data=self._failed_uids())

    def _stalled(self) -> Final:
        self._take_back("it did not advance")
        progress = self._look()
        counts = SubOperations(0, progress.completed, progress.failed + progress.remaining + progress.cancelled, progress.warned)
        return Final(final_status(counts, cancelled=False), "the destination does not answer", (), self._failed_uids(), counts)

    def _final(self, progress: MoveProgress) -> Final:
        counts = SubOperations(0, progress.completed, progress.failed + progress.cancelled, progress.warned)
        if not counts.failed:
            return Final(final_status(counts, cancelled=False), counts=counts)
        with self._index.connection() as connection:
            failures = move_failures(connection, self._id)
        log.info("C-MOVE %s: %s of %s failed", self._id, counts.failed, counts.total)
        data = failed_list([uid for uid, _ in failures], self._request.transfer_syntax_uid)
        return Final(final_status(counts, cancelled=False), "see the delivery ledger", (), data, counts)

    def _failed_uids(self) -> bytes:
        with self._index.connection() as connection:
            failures = move_failures(connection, self._id)
        return failed_list([uid for uid, _ in failures], self._request.transfer_syntax_uid)


def _counts(progress: MoveProgress) -> SubOperations:
    """A cancelled row was never sent: to the asker it remains."""
    return SubOperations(progress.remaining + progress.cancelled, progress.completed, progress.failed, progress.warned)


def _pause(seconds: float, cancelled: Callable[[], bool]) -> None:
    """Until the next look; a cancel is heard in between."""
    until = time.monotonic() + seconds
    while (left := until - time.monotonic()) > 0 and not cancelled():
        time.sleep(min(left, 0.02))
