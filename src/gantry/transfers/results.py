"""Write results into the ledger in batches, from a thread and connection of its own, through outages."""

from __future__ import annotations

import logging
import threading
import time
from collections import Counter
from collections.abc import Iterable
from contextlib import closing

import psycopg

from gantry import database, metrics
from gantry.facts.kinds import Delivered, DeliveryFailed, Fact
from gantry.facts.publish import publish
from gantry.nodes.items import Outcome, SendResult
from gantry.nodes.kinds import FOLDER
from gantry.transfers.errors import LedgerLost
from gantry.transfers.ledger import LEASE_SECONDS, GivenBack, Ledger, NodeRow, Patience

_log = logging.getLogger(__name__)
FLUSH_SECONDS = 0.1
FLUSH_ROWS = 200
#: A node is asked for what it confirmed after so many seconds, four times as long after each time it did not have it.
VERIFY_SECONDS = 20.0
_RECONNECT_SECONDS = 0.5


class ResultWriter:
    """Takes results from the sending threads and writes them every 100 ms or 200 rows.

    While the database is away, results are kept (there are never more than rows claimed) and written when it is
    back. `close` waits for that, but not for ever. `home` writes into folders.
    """

    def __init__(self, node: NodeRow, owner: str, patience: Patience, home: str = "") -> None:
        self._node = node
        self._home = home if node.kind == FOLDER else ""
        self._owner = owner
        self._patience = patience
        self._changed = threading.Condition()
        self._entries: list[SendResult | GivenBack] = []
        self._attempts: dict[int, int] = {}
        self._closing = False
        self._deadline = float("inf")
        self._lost = False
        self._thread = threading.Thread(target=self._run, name=f"ledger-{node.name}", daemon=True)
        self._thread.start()

    def hold(self, attempts: dict[int, int]) -> None:
        """Rows were claimed: id -> attempts. Their leases are renewed until a result comes."""
        with self._changed:
            self._attempts.update(attempts)

    def held(self, ids: Iterable[int]) -> set[int]:
        """Those of these rows whose result is still to come."""
        with self._changed:
            return {key for key in ids if key in self._attempts}

    def forget(self, ids: Iterable[int]) -> None:
        """These rows are no longer ours."""
        with self._changed:
            for key in ids:
                self._attempts.pop(key, None)

    def add(self, entry: SendResult | GivenBack) -> None:
        """Have a result written soon."""
        with self._changed:
            self._entries.append(entry)
            if len(self._entries) in {1, FLUSH_ROWS}:
                self._changed.notify()

    def close(self, *, wait_seconds: float) -> None:
        """Write everything. Raises LedgerLost when the database stayed away for `wait_seconds`."""
        with self._changed:
            self._closing = True
            self._deadline = time.monotonic() + wait_seconds
            self._changed.notify()
        self._thread.join()
        if self._lost:
            raise LedgerLost(
                f"results of {len(self._entries)} deliveries to node {self._node.name} could not be written; "
                "they stay 'sent' and will be sent again"
            )

    def _run(self) -> None:
        while not self._finished():
            try:
                with closing(database.connect(application="gantry-ledger", autocommit=True)) as connection:
                    self._serve(Ledger(connection, self._owner, self._home))
            except psycopg.Error as error:
                if not isinstance(error, psycopg.OperationalError | psycopg.InterfaceError):
                    _log.error("the ledger refuses results of node %s: %s", self._node.name, type(error).__name__)
                with self._changed:
                    self._changed.wait_for(lambda: False, _RECONNECT_SECONDS)

    def _finished(self) -> bool:
        with self._changed:
            if self._closing and not self._entries:
                return True
            self._lost = time.monotonic() > self._deadline
            return self._lost

    def _serve(self, ledger: Ledger) -> None:
        renewed = time.monotonic()
        while not self._finished():
            with self._changed:
                self._changed.wait_for(lambda: self._entries or self._closing, LEASE_SECONDS / 8)
                if self._entries:
                    self._changed.wait_for(lambda: len(self._entries) >= FLUSH_ROWS or self._closing, FLUSH_SECONDS)
                batch = list(self._entries)
                held = list(self._attempts)
            if batch:
                self._write(ledger, batch)
            if held and time.monotonic() - renewed > LEASE_SECONDS / 4:
                ledger.renew(held)
                renewed = time.monotonic()

    def _write(self, ledger: Ledger, batch: list[SendResult | GivenBack]) -> None:
        results = [entry for entry in batch if isinstance(entry, SendResult)]
        confirmed = [result for result in results if result.outcome is Outcome.CONFIRMED]
        failed = [result for result in results if result.outcome is not Outcome.CONFIRMED]
        delays = [self._patience.draw(self._attempts.get(result.item.key, 1)) for result in failed]
        with ledger.connection.transaction():
            studies = ledger.confirm(confirmed, VERIFY_SECONDS if self._node.verified_by else None)
            dead = ledger.fail(self._node.id, failed, delays, self._node.max_attempts)
            facts: list[Fact] = [Delivered(study_id, self._node.id) for study_id in ledger.done(self._node.id, studies)]
            if dead:
                facts.append(DeliveryFailed(self._node.id))
            publish(ledger.connection, *facts)
            for entry in batch:
                if isinstance(entry, GivenBack):
                    ledger.give_back(self._node.id, entry)
        with self._changed:
            # Only now may they be forgotten: the commit has returned.
            del self._entries[: len(batch)]
            for entry in batch:
                for key in entry.ids if isinstance(entry, GivenBack) else (entry.item.key,):
                    self._attempts.pop(key, None)
        _count(results)


def _count(results: Iterable[SendResult]) -> None:
    outcomes = Counter(result.outcome.value for result in results)
    for outcome, number in outcomes.items():
        metrics.delivered_instances.labels(outcome=outcome).inc(number)
    sent = sum(result.item.dataset_bytes for result in results if result.outcome is Outcome.CONFIRMED)
    if sent:
        metrics.delivered_bytes.inc(sent)
