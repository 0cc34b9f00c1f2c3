"""One thread of a `send` and what the threads share. A kind of node derives its lane: how one item is delivered."""

from __future__ import annotations

import logging
import math
import threading
from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Protocol

from gantry.nodes.feed import Feed
from gantry.nodes.items import AnyTarget, Outcome, SendItem, SendOutcome, SendResult, Transcode
from gantry.nodes.outgoing import Outgoing, Unsendable
from gantry.nodes.parallel import Parallel
from gantry.nodes.stored import Damaged, ReadBuffer, StoredDataSet

if TYPE_CHECKING:
    from gantry.nodes.meter import Meter

#: Associations that may break one after another, without any answer between, before we give up for now.
LOSS_LIMIT = 3
_log = logging.getLogger(__name__)
OnResult = Callable[[SendResult], None]
#: DIMSE statuses with which a node says that it is too much for it (PS3.4 table B.2-1, PS3.7 C).
_TOO_MUCH = (range(0xA700, 0xA800), range(0x0213, 0x0214))


@dataclass(frozen=True, slots=True)
class Manner:
    """How a node is served: what it may be given instead of the stored bytes, and how fast."""

    transcode: Transcode = "never"
    meter: Meter | None = None


class MakeLane(Protocol):
    """Makes the lane of one thread."""

    def __call__(self, run: Run, /) -> Lane: ...


class Run:
    """One call of `send`: what its threads share."""

    def __init__(self, target: AnyTarget, on_result: OnResult, stop: threading.Event, parallel: Parallel, manner: Manner) -> None:
        self.target = target
        self.stop = stop
        self.manner = manner
        self.parallel = parallel
        self.feed = Feed(stop)
        self.make_lane: MakeLane | None = None
        self._on_result = on_result
        self._lock = threading.Lock()
        self._outcome = SendOutcome()
        self._losses = 0
        self._failure = ""
        self._threads: list[threading.Thread] = []
        self._working = 0
        self._made = 0
        self._closed = False

    def start(self) -> None:
        """As many threads as there is work for and the node likes; one that ended because the node gives no more is
        not replaced at once."""
        with self._lock:
            while not self._closed and self._working < min(self.parallel.limit, len(self.feed) + self._working):
                thread = threading.Thread(target=self._work, name=f"send-{self._made}", daemon=True)
                self._made += 1
                self._working += 1
                self.feed.enter()
                self._threads.append(thread)
                thread.start()

    def _work(self) -> None:
        assert self.make_lane is not None
        lane = self.make_lane(self)
        try:
            lane.run()
        finally:
            with self._lock:
                self._working -= not lane.retired
            self.feed.leave()

    def retire(self) -> bool:
        """Whether the lane that asks is one more than the node likes; then it ends, and is not counted any more."""
        with self._lock:
            retired = self._working > self.parallel.limit
            self._working -= retired
            return retired

    def others(self) -> int:
        """How many lanes work beside the one that asks."""
        with self._lock:
            return self._working - 1

    def join(self) -> None:
        """Wait for all threads; no more are started."""
        self.feed.end()
        while True:
            with self._lock:
                self._closed = not self._working
                thread = self._threads.pop() if self._threads else None
            if thread is None:
                return
            thread.join()

    def record(self, result: SendResult) -> None:
        """Count and hand on."""
        with self._lock:
            self._outcome.counts[result.outcome] += 1
            if result.outcome is Outcome.CONFIRMED:
                self._outcome.bytes_confirmed += result.item.dataset_bytes
            if result.dimse_status is not None:
                self._losses = 0
        status = result.dimse_status
        if status is not None and any(status in some for some in _TOO_MUCH):
            self.parallel.refused()
        elif status is not None and self.parallel.answered(result.item.dataset_bytes):
            self.start()
        self._on_result(result)

    def lost(self, explanation: str) -> bool:
        """An association broke; True when it is enough."""
        self.parallel.refused()
        with self._lock:
            self._losses += 1
            self._failure = explanation
            return self._losses >= LOSS_LIMIT

    def unreachable(self, explanation: str) -> None:
        """No association could be had, or the node as a whole takes nothing now."""
        others = self.others()
        if others:
            self.parallel.refused(others)
        with self._lock:
            self._failure = explanation

    def differs(self, words: str) -> None:
        """The node does otherwise than its profile says."""
        with self._lock:
            self._outcome.differs = self._outcome.differs or words

    def finish(self) -> SendOutcome:
        """Called when all threads have ended."""
        outcome = self._outcome
        outcome.untried = self.feed.drain()
        outcome.parallel = self.parallel.limit
        # A failure that others made good (everything was tried) is none; nor is one beside a wish to stop.
        if (outcome.untried and not self.stop.is_set()) or self._losses >= LOSS_LIMIT:
            outcome.failure = self._failure
        return outcome


class Lane(ABC):
    """One thread."""

    def __init__(self, run: Run) -> None:
        self.joint = run
        self.retired = False
        self._buffer = ReadBuffer()

    def run(self) -> None:
        """Until the feed ends, the node takes no more, or one lane less is better."""
        try:
            while not self._retires() and (item := self.joint.feed.take()) is not None:
                try:
                    going = self._guarded(item)
                except Exception as error:
                    # A fault of ours must neither lose the item nor stop the others.
                    _log.exception("an instance could not be sent")
                    self.drop()
                    text = f"internal error: {type(error).__name__} (we try again; the log of the worker says more)"
                    self.record(item, Outcome.FAILED, datetime.now(UTC), text)
                    going = not self.joint.lost(text)
                if not going:
                    return
        finally:
            self.close()

    def _retires(self) -> bool:
        self.retired = self.joint.retire()
        return self.retired

    def _guarded(self, item: SendItem) -> bool:
        started = datetime.now(UTC)
        try:
            data = StoredDataSet(item, self._buffer)
        except Damaged as error:
            self.record(item, Outcome.DAMAGED, started, str(error), permanent=True)
            return True
        with data:
            try:
                return self.one(item, data, started)
            except Unsendable as error:
                self.record(item, Outcome.REFUSED, started, str(error), permanent=True)
                return True

    @abstractmethod
    def one(self, item: SendItem, data: StoredDataSet, started: datetime) -> bool:
        """Deliver one item; False when this thread is to end. May raise Unsendable."""

    @abstractmethod
    def drop(self) -> None:
        """Give up the connection, whatever its state."""

    @abstractmethod
    def close(self) -> None:
        """The thread ends."""

    def wait_for_room(self, item: SendItem, size: int) -> float | None:
        """Until the bandwidth allows; gives the pace, bytes per second. None: not now, the item was pushed back."""
        meter = self.joint.manner.meter
        if meter is None:
            return math.inf
        rate = meter.take(size, item.priority, self.joint.stop.is_set)
        if rate is None:
            self.joint.feed.push_back(item)
        return rate

    def record(
        self,
        item: SendItem,
        outcome: Outcome,
        started: datetime,
        text: str,
        *,
        permanent: bool = False,
        status: int | None = None,
        out: Outgoing | None = None,
    ) -> None:
        """The item was tried."""
        self.joint.record(
            SendResult(
                item, outcome, status, text, permanent, out.sha256 if out else None, started, datetime.now(UTC),
                out.changed if out else "",
                out.transfer_syntax_uid if out and out.transfer_syntax_uid != item.transfer_syntax_uid else "",
            )
        )  # fmt: skip
