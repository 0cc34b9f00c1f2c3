"""Deliver what is due to one node: claim, send, write results, arrange the next run."""

from __future__ import annotations

import logging
import os
import threading
import time
from contextlib import closing
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from zoneinfo import ZoneInfo

import psycopg

from gantry import config, database
from gantry.nodes.calendar import parse_calendar
from gantry.nodes.echo import EchoResult
from gantry.nodes.errors import NodeError
from gantry.nodes.items import Outcome, SendItem, SendOutcome, SendResult
from gantry.nodes.kinds import FOLDER, is_alive
from gantry.nodes.meter import Meter
from gantry.nodes.parallel import Parallel
from gantry.nodes.pool import AssociationPool, shared_pool
from gantry.nodes.refresh import probe_anew
from gantry.nodes.send import Manner, send
from gantry.storage import is_away, is_ours
from gantry.transfers.errors import LedgerLost
from gantry.transfers.ledger import LEASE_SECONDS, MOVE_CHUNK, Claimed, GivenBack, Ledger, NodeRow, Patience
from gantry.transfers.order import URGENT, defer_later
from gantry.transfers.owner import home_id, process_owner
from gantry.transfers.results import ResultWriter

_log = logging.getLogger(__name__)
#: How long results wait in memory for a database that is away, seconds.
OUTAGE_SECONDS = 60.0
#: When another run of the node is at work, we look again after so many seconds, in case it was just ending.
BUSY_SECONDS = 2.0
#: How often the speed of a node is noted, and how short a run says nothing about it, seconds.
RATE_SECONDS, LEAST_RATE_SECONDS = 5.0, 0.05
#: How long a delivery waits for a volume that is not mounted before it is looked for again.
AWAY_SECONDS = 60.0


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
                _run_on(Ledger(connection, place.owner, home_id(place.home)), node_id, stop, place, run)
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
        if node.paused_until is None and _answers(ledger, node, place, run) and not _send_due(ledger, node, stop, place, run):
            return
        due = ledger.next_due(node_id)
        run.next_at = due.at if due else None
        if due is None:
            return
        if not due.now:
            defer_later(ledger.connection, node_id, at=due.at)
            return
        # Something came due while we were ending. (Or another transaction holds it: then do not spin.)
        stop.wait(0.02)


def _answers(ledger: Ledger, node: NodeRow, place: Delivering, run: DeliveryRun) -> bool:
    """Half-open: a node that could not be reached is asked for a sign of life before real data go out."""
    if node.breaker == "closed":
        return True
    ledger.node_half_open(node.id)
    try:
        sign = is_alive(node.target(place.our_aet, place.home))
    except NodeError as error:
        sign = EchoResult(False, 0.0, None, str(error))
    if sign.ok:
        ledger.node_succeeded(node.id)
        return True
    run.failure = f"{sign.explanation} ({sign.remedy})" if sign.remedy else sign.explanation
    delay = place.patience.draw(node.failure_count + 1)
    _log.warning("node %s still does not answer: %s; next try in %.0f s", node.name, run.failure, delay)
    ledger.node_failed(node.id, run.failure, delay, asked=True)
    return False


def _send_due(ledger: Ledger, node: NodeRow, stop: threading.Event, place: Delivering, run: DeliveryRun) -> bool:
    """Send until nothing is due or the node fails; results and the node's state are in the database after it. False:
    the calendar of the node is closed, and what is left waits for it."""
    try:
        target = node.target(place.our_aet, place.home)
        calendar = parse_calendar(node.bandwidth)
    except NodeError as error:
        # Somebody wrote into its row what cannot be meant: nothing may be sent on a guess.
        run.failure = str(error)
        ledger.node_failed(node.id, run.failure, place.patience.cap, asked=True)
        return True
    writer = ResultWriter(node, place.owner, place.patience, ledger.home)
    meter = Meter(node.id, calendar, ZoneInfo(config.current().time_zone)) if node.bandwidth else None
    source = _Source(ledger, node, stop, place, writer, meter)
    parallel = Parallel(node.max_associations, node.parallel)
    outcome = SendOutcome()
    try:
        outcome = send(
            target, source.claim, source.note,
            associations=node.max_associations, stop=stop, pool=place.pool, manner=Manner(node.transcode, meter),
            parallel=parallel,
        )  # fmt: skip
        delay = _note_failure(node, outcome, place)
        if outcome.untried:
            writer.add(GivenBack([item.key for item in outcome.untried], outcome.failure, delay))
    finally:
        writer.close(wait_seconds=place.outage_seconds)
        if meter is not None:
            meter.close()
    _add(run, outcome)
    if source.broken:
        raise source.broken[0]
    answered = outcome.counts[Outcome.CONFIRMED] + outcome.counts[Outcome.REFUSED]
    if answered:
        ledger.node_succeeded(node.id)
    source.note_rate(outcome.parallel)
    if outcome.differs and probe_anew(ledger.connection, node.id):
        _log.warning("node %s: %s; it is probed again", node.name, outcome.differs)
    if outcome.failure:
        _log.warning("node %s: %s; next try in %.0f s", node.name, outcome.failure, delay)
        ledger.node_failed(node.id, outcome.failure, delay)
    return _wait_for_calendar(ledger, node, meter, run)


def _wait_for_calendar(ledger: Ledger, node: NodeRow, meter: Meter | None, run: DeliveryRun) -> bool:
    """False when the calendar is closed: the next run is at its opening (what is urgent has its own)."""
    if meter is None or meter.rate() > 0:
        return True
    opens = meter.opens_at()
    if opens is not None and ledger.next_due(node.id) is not None:
        run.next_at = opens
        defer_later(ledger.connection, node.id, at=opens)
    return False


class _Source:
    """Claims what is due while `send` asks for more, and takes its results."""

    def __init__(
        self,
        ledger: Ledger,
        node: NodeRow,
        stop: threading.Event,
        place: Delivering,
        writer: ResultWriter,
        meter: Meter | None,
    ) -> None:
        self.broken: list[psycopg.Error] = []
        self._ledger = ledger
        self._node = node
        self._stop = stop
        self._place = place
        self._writer = writer
        self._meter = meter
        self._moving = _Moving()
        self._lock = threading.Lock()
        self._confirmed = 0
        self._began = time.monotonic()
        self._parallel = node.parallel or 1

    def claim(self, limit: int) -> list[SendItem]:
        """Up to `limit` items whose files are here."""
        self._moving.wait(self._stop)
        least = URGENT if self._meter is not None and self._meter.rate() == 0 else 0
        try:
            while True:
                claimed = self._ledger.claim(
                    self._node.id, limit, self._place.home, least=least, values=self._node.kind == FOLDER
                )
                # Being sent just now: their leases ran out under us, because the clock was set forward.
                held = self._writer.held(claimed)
                claimed = {key: one for key, one in claimed.items() if key not in held}
                self._writer.hold({key: one.attempts for key, one in claimed.items()})
                items = self._here(claimed)
                if items or not claimed or self._stop.is_set():
                    break
            if time.monotonic() - self._began > RATE_SECONDS:
                self.note_rate(self._parallel)
        except psycopg.OperationalError as error:
            # Those in flight are finished and their results kept; the caller connects again.
            self.broken.append(error)
            return []
        self._moving.claimed(items)
        return items

    def _here(self, claimed: dict[int, Claimed]) -> list[SendItem]:
        """Without those whose files lie on a volume that is not mounted, or in another home."""
        items: list[SendItem] = []
        elsewhere: dict[tuple[str, ...], list[int]] = {}
        others: list[str] | None = None
        for key, one in claimed.items():
            if os.path.lexists(one.item.path):
                items.append(one.item)
                continue
            away, next_home = is_away(self._place.home, one.file_path), None
            asked = (self._ledger.home, *(home for home in one.homes if home != self._ledger.home))
            if not away or not is_ours(self._place.home, one.file_path):
                others = self._ledger.other_homes() if others is None else others
                next_home = next((home for home in others if home not in asked), None)
            if next_home is not None:
                elsewhere.setdefault((next_home, *asked), []).append(key)
            elif away:
                text = "its volume is not mounted (mount it; it is sent by itself then)"
                self._writer.add(GivenBack([key], text, AWAY_SECONDS))
            else:
                items.append(one.item)  # lost: it will be told so
        for homes, keys in elsewhere.items():
            self._ledger.pass_away(keys, homes)
            self._writer.forget(keys)
        return items

    def note(self, result: SendResult) -> None:
        """From the sending threads."""
        self._moving.ended(result.item)
        if result.outcome is Outcome.CONFIRMED:
            with self._lock:
                self._confirmed += result.item.dataset_bytes
        self._writer.add(result)

    def note_rate(self, parallel: int) -> None:
        """Tell how fast it went since the last time, if that was long enough to tell anything."""
        now = time.monotonic()
        with self._lock:
            took, done = now - self._began, self._confirmed
            if not done or took < LEAST_RATE_SECONDS:
                return
            self._began, self._confirmed = now, 0
        self._parallel = parallel
        self._ledger.note_rate(self._node.id, done / took, parallel)


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
