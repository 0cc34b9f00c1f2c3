"""Send instances to a DIMSE peer: several associations, each in its thread, stored bytes verbatim (PS3.4 annex B)."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Sequence
from contextlib import suppress
from datetime import UTC, datetime

from dimse.errors import AssociationFailure, ContextNotAccepted, DimseError, RemoteProtocolError
from dimse.requesting import StoreResult
from gantry.nodes.explain import explain, explain_status
from gantry.nodes.feed import Feed
from gantry.nodes.items import Outcome, SendItem, SendOutcome, SendResult, SendTarget
from gantry.nodes.pool import AssociationPool, Leased, release
from gantry.nodes.stored import Damaged, ReadBuffer, StoredDataSet

#: Asked of the source at first and at most; the first answer comes soon, later ones are worth their transaction.
FIRST_CHUNK, LARGEST_CHUNK = 32, 512
#: Associations that may break one after another, without any answer between, before we give up for now.
LOSS_LIMIT = 3

_log = logging.getLogger(__name__)
Source = Callable[[int], Sequence[SendItem]]
OnResult = Callable[[SendResult], None]


def send(
    target: SendTarget,
    source: Source,
    on_result: OnResult,
    *,
    associations: int,
    stop: threading.Event,
    pool: AssociationPool | None = None,
) -> SendOutcome:
    """Send what `source(n)` gives (at most n at a time) until it gives nothing.

    Before each send the SHA-256 of the stored bytes is compared with the item's; what differs is never sent. The
    peer's Success or Warning makes an item confirmed. `on_result` is called once for each item that was tried, from
    the sending threads; the rest is `untried` in the outcome. Never raises for what the peer does.
    """
    run = _Run(target, on_result, stop, pool)
    threads: list[threading.Thread] = []
    size = FIRST_CHUNK
    try:
        while not stop.is_set():
            items = source(size)
            if not items:
                break
            run.feed.put(items)
            run.start(threads, associations)
            if not run.feed.wait_below(max(size, associations)):
                break
            size = min(size * 2, LARGEST_CHUNK)
    finally:
        run.feed.end()
        for thread in threads:
            thread.join()
    return run.finish()


class _Run:
    """One call of `send`: what its threads share."""

    def __init__(self, target: SendTarget, on_result: OnResult, stop: threading.Event, pool: AssociationPool | None) -> None:
        self.target = target
        self.stop = stop
        self.feed = Feed(stop)
        self.pool = pool or AssociationPool(0)
        self._on_result = on_result
        self._lock = threading.Lock()
        self._outcome = SendOutcome()
        self._losses = 0
        self._failure = ""
        self._opening = 0

    def open(self, get: Callable[..., Leased], item: SendItem) -> Leased:
        """An association by `lease` or `open` of the pool. Raises what they raise."""
        with self._lock:
            self._opening += 1
        try:
            return get(self.target, item.context, list(self.feed.contexts))
        finally:
            with self._lock:
                self._opening -= 1

    def give_back(self, leased: Leased) -> None:
        """Keep an association for the next run, unless another thread of this one still waits for the peer: many
        serve one association at a time."""
        with self._lock:
            awaited = self._opening > 0
        if awaited:
            release(leased)
        else:
            self.pool.give_back(leased)

    def start(self, threads: list[threading.Thread], associations: int) -> None:
        """As many threads as there is work for; one that ended because the peer gives no more is not replaced."""
        while len(threads) < min(associations, len(self.feed) + len(threads)):
            thread = threading.Thread(target=self._work, name=f"send-{len(threads)}", daemon=True)
            self.feed.enter()
            threads.append(thread)
            thread.start()

    def _work(self) -> None:
        try:
            _Sender(self).run()
        finally:
            self.feed.leave()

    def record(self, result: SendResult) -> None:
        """Count and hand on."""
        with self._lock:
            self._outcome.counts[result.outcome] += 1
            if result.outcome is Outcome.CONFIRMED:
                self._outcome.bytes_confirmed += result.item.dataset_bytes
            if result.dimse_status is not None:
                self._losses = 0
        self._on_result(result)

    def lost(self, explanation: str) -> bool:
        """An association broke; True when it is enough."""
        with self._lock:
            self._losses += 1
            self._failure = explanation
            return self._losses >= LOSS_LIMIT

    def unreachable(self, explanation: str) -> None:
        """No association could be had."""
        with self._lock:
            self._failure = explanation

    def finish(self) -> SendOutcome:
        """Called when all threads have ended."""
        outcome = self._outcome
        outcome.untried = self.feed.drain()
        # A failure that others made good (everything was tried) is none; nor is one beside a wish to stop.
        if (outcome.untried and not self.stop.is_set()) or self._losses >= LOSS_LIMIT:
            outcome.failure = self._failure
        return outcome


class _Sender:
    """One thread with one association at a time."""

    def __init__(self, run: _Run) -> None:
        self._run = run
        self._leased: Leased | None = None
        self._buffer = ReadBuffer()

    def run(self) -> None:
        """Until the feed ends, the peer gives no association, or too many broke."""
        try:
            while (item := self._run.feed.take()) is not None:
                try:
                    going = self._one(item)
                except Exception as error:
                    # A fault of ours must neither lose the item nor stop the others.
                    _log.exception("an instance could not be sent")
                    self._drop()
                    text = f"internal error: {type(error).__name__}"
                    self._record(item, Outcome.FAILED, datetime.now(UTC), text)
                    going = not self._run.lost(text)
                if not going:
                    return
        finally:
            if self._leased is not None:
                self._run.give_back(self._leased)

    def _one(self, item: SendItem) -> bool:
        """Try one item; False when this thread is to end."""
        started = datetime.now(UTC)
        try:
            data = StoredDataSet(item, self._buffer)
        except Damaged as error:
            self._record(item, Outcome.DAMAGED, started, str(error), permanent=True)
            return True
        with data:
            try:
                leased = self._association(item)
            except (DimseError, OSError) as error:
                self._run.feed.push_back(item)
                self._run.unreachable(str(explain(error, self._run.target)))
                return False
            if not leased.accepts(item.context):
                self._record(item, Outcome.REFUSED, started, _context_text(leased, item), permanent=True)
                return True
            return self._store(leased, item, data, started)

    def _association(self, item: SendItem, *, fresh: bool = False) -> Leased:
        leased = self._leased
        if leased is not None and not fresh:
            if item.context in leased.proposed:
                return leased
            # The batch has grown by a context: a new association that has it too.
            self._leased = None
            release(leased)
        get = self._run.pool.open if fresh else self._run.pool.lease
        self._leased = self._run.open(get, item)
        return self._leased

    def _store(self, leased: Leased, item: SendItem, data: StoredDataSet, started: datetime) -> bool:
        try:
            answer = _store(leased, item, data)
        except AssociationFailure as error:
            self._drop()
            if leased.reused:
                # It died while it was idle; that says nothing about the item nor about the peer.
                return self._again(item, data, started)
            return self._lost(error, item, data, started)
        except (RemoteProtocolError, OSError) as error:
            self._drop()
            return self._lost(error, item, data, started)
        except (DimseError, ValueError) as error:
            self._drop()
            text = f"cannot be sent as it is: {error}"
            self._record(item, Outcome.REFUSED, started, text, permanent=True, sha256=data.sha256)
            return True
        leased.reused = False
        self._answered(answer, item, data, started)
        return True

    def _again(self, item: SendItem, data: StoredDataSet, started: datetime) -> bool:
        try:
            leased = self._association(item, fresh=True)
        except (DimseError, OSError) as error:
            self._run.feed.push_back(item)
            self._run.unreachable(str(explain(error, self._run.target)))
            return False
        if not leased.accepts(item.context):
            self._record(item, Outcome.REFUSED, started, _context_text(leased, item), permanent=True)
            return True
        return self._store(leased, item, data, started)

    def _lost(self, error: Exception, item: SendItem, data: StoredDataSet, started: datetime) -> bool:
        text = str(explain(error, self._run.target))
        self._record(item, Outcome.FAILED, started, text, sha256=data.sha256)
        return not self._run.lost(text)

    def _answered(self, answer: StoreResult, item: SendItem, data: StoredDataSet, started: datetime) -> None:
        if answer.status == 0:
            self._record(item, Outcome.CONFIRMED, started, "", status=0, sha256=data.sha256)
            return
        why = explain_status(answer.status, answer.comment)
        outcome = Outcome.CONFIRMED if answer.stored else Outcome.REFUSED
        self._record(
            item,
            outcome,
            started,
            str(why),
            permanent=why.permanent,
            status=answer.status,
            sha256=data.sha256,
        )

    def _drop(self) -> None:
        leased, self._leased = self._leased, None
        if leased is not None:
            with suppress(DimseError, OSError):
                leased.association.abort()

    def _record(
        self,
        item: SendItem,
        outcome: Outcome,
        started: datetime,
        text: str,
        *,
        permanent: bool = False,
        status: int | None = None,
        sha256: bytes | None = None,
    ) -> None:
        ended = datetime.now(UTC)
        self._run.record(SendResult(item, outcome, status, text, permanent, sha256, started, ended))


def _store(leased: Leased, item: SendItem, data: StoredDataSet) -> StoreResult:
    return leased.association.store(
        sop_class_uid=item.sop_class_uid,
        sop_instance_uid=item.sop_instance_uid,
        transfer_syntax_uid=item.transfer_syntax_uid,
        data=data.view,
        move_originator=item.move_originator,
    )


def _context_text(leased: Leased, item: SendItem) -> str:
    why = explain(ContextNotAccepted(""), leased.target)
    accepted = leased.association.accepted
    if any(sop_class == item.sop_class_uid for sop_class, _ in accepted):
        return f"the peer takes SOP class {item.sop_class_uid}, but not in transfer syntax {item.transfer_syntax_uid}"
    return f"the peer does not take SOP class {item.sop_class_uid} ({why.remedy})"
