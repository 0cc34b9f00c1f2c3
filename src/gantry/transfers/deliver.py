"""Deliver what is due to one node: claim, send, write results, arrange the next run."""

from __future__ import annotations

import logging
import threading
import time
from contextlib import closing
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path

import psycopg

from gantry import config, database
from gantry.nodes.items import Outcome, SendItem, SendOutcome, SendResult
from gantry.nodes.pool import AssociationPool, shared_pool
from gantry.nodes.send import send
from gantry.transfers.errors import LedgerLost
from gantry.transfers.ledger import LEASE_SECONDS, MOVE_CHUNK, GivenBack, Ledger, NodeRow, Patience
from gantry.transfers.order import defer_later
from gantry.transfers.owner import process_owner
from gantry.transfers.results import ResultWriter

_log = logging.getLogger(__name__)
#: How long results wait in memory for a database that is away, seconds.
OUTAGE_SECONDS = 60.0
#: When another run of the node is at work, we look again after so many seconds, in case it was just ending.
BUSY_SECONDS = 2.0


@dataclass(slots=True)
class DeliveryRun:
    """What one run did. `failure` says why the node could not be reached; `next_at` when the next run is due."""

    counts: dict[Outcome, int] = field(default_factory=lambda: dict.fromkeys(Outcome, 0))
    bytes_confirmed: int = 0
    failure: str = ""
    next_at: datetime | None = None
    busy: bool = False


@dataclass(slots=True)
class Delivering:
    """Where a run works; the defaults are those of this process."""

    home: Path = field(default_factory=lambda: config.current().home)
    our_aet: str = field(default_factory=lambda: config.current().aet)
    owner: str = field(default_factory=process_owner)
    patience: Patience = field(
        default_factory=lambda: Patience(config.current().retry_first_seconds, config.current().retry_max_seconds)
    )
    outage_seconds: float = OUTAGE_SECONDS
    pool: AssociationPool = field(default_factory=shared_pool)


def deliver(node_id: int, stop: threading.Event, place: Delivering | None = None) -> DeliveryRun:
    """Send every due delivery of a node until none is left, the node fails, or `stop` is set.

    Rows are marked `sent` before their bytes go out and get their result after the answer. When the database goes
    away, what was answered is kept in memory and written when it is back; after `outage_seconds` LedgerLost is
    raised, and those rows will be sent again (twice on the wire perhaps, confirmed once).
    """
    place = place or Delivering()
    run = DeliveryRun()
    deadline: float | None = None
    while True:
        try:
            with closing(database.connect(application="gantry-deliver", autocommit=True)) as connection:
                deadline = None
                _run_on(Ledger(connection, place.owner), node_id, stop, place, run)
            return run
        except psycopg.OperationalError as error:
            deadline = deadline or time.monotonic() + place.outage_seconds
            if time.monotonic() > deadline or stop.wait(0.5):
                raise LedgerLost("the database is away; deliveries go on when it is back") from error


def _run_on(ledger: Ledger, node_id: int, stop: threading.Event, place: Delivering, run: DeliveryRun) -> None:
    if not ledger.try_lock(node_id):
        run.busy = True
        defer_later(ledger.connection, node_id, seconds=BUSY_SECONDS)
        return
    while (node := ledger.node(node_id)) is not None and node.enabled and not stop.is_set():
        if node.paused_until is None:
            _send_due(ledger, node, stop, place, run)
        due = ledger.next_due(node_id)
        run.next_at = due.at if due else None
        if due is None:
            return
        if not due.now:
            defer_later(ledger.connection, node_id, at=due.at)
            return
        # Something came due while we were ending. (Or another transaction holds it: then do not spin.)
        stop.wait(0.02)


def _send_due(ledger: Ledger, node: NodeRow, stop: threading.Event, place: Delivering, run: DeliveryRun) -> None:
    """Send until nothing is due or the node fails; results and the node's state are in the database after it."""
    writer = ResultWriter(node, place.owner, place.patience)
    broken: list[psycopg.Error] = []
    moving = _Moving()

    def claim(limit: int) -> list[SendItem]:
        moving.wait(stop)
        try:
            claimed = ledger.claim(node.id, limit, place.home)
        except psycopg.OperationalError as error:
            # Those in flight are finished and their results kept; the caller connects again.
            broken.append(error)
            return []
        writer.hold({key: attempts for key, (_, attempts) in claimed.items()})
        items = [item for item, _ in claimed.values()]
        moving.claimed(items)
        return items

    def note(result: SendResult) -> None:
        moving.ended(result.item)
        writer.add(result)

    outcome = SendOutcome()
    try:
        outcome = send(
            node.target(place.our_aet, place.home), claim, note,
            associations=node.max_associations, stop=stop, pool=place.pool,
        )  # fmt: skip
        delay = _note_failure(node, outcome, place)
        if outcome.untried:
            writer.add(GivenBack([item.key for item in outcome.untried], outcome.failure, delay))
    finally:
        writer.close(wait_seconds=place.outage_seconds)
    _add(run, outcome)
    if broken:
        raise broken[0]
    answered = outcome.counts[Outcome.CONFIRMED] + outcome.counts[Outcome.REFUSED]
    if answered:
        ledger.node_succeeded(node.id)
    if outcome.failure:
        _log.warning("node %s: %s; next try in %.0f s", node.name, outcome.failure, delay)
        ledger.node_failed(node.id, outcome.failure, delay)


class _Moving:
    """Instances of C-MOVEs that were taken up and have not ended: few, so that a cancel has something left to stop."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._in_hand = 0

    def claimed(self, items: list[SendItem]) -> None:
        """These are ours now."""
        with self._changed:
            self._in_hand += sum(item.move_originator is not None for item in items)

    def ended(self, item: SendItem) -> None:
        """This one was tried."""
        if item.move_originator is not None:
            with self._changed:
                self._in_hand -= 1
                self._changed.notify_all()

    def wait(self, stop: threading.Event) -> None:
        """Until few are left; not for ever, a node that hangs has its own limits."""
        until = time.monotonic() + LEASE_SECONDS / 4
        with self._changed:
            while self._in_hand > MOVE_CHUNK and not stop.is_set() and time.monotonic() < until:
                self._changed.wait(0.05)


def _note_failure(node: NodeRow, outcome: SendOutcome, place: Delivering) -> float:
    if not outcome.failure:
        return 0.0
    answered = outcome.counts[Outcome.CONFIRMED] + outcome.counts[Outcome.REFUSED]
    return place.patience.draw(1 if answered else node.failure_count + 1)


def _add(run: DeliveryRun, outcome: SendOutcome) -> None:
    for kind, number in outcome.counts.items():
        run.counts[kind] += number
    run.bytes_confirmed += outcome.bytes_confirmed
    run.failure = outcome.failure
