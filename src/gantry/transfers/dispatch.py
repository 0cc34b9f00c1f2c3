"""Which node is served when: each in a thread of its own, so that a slow or dead one never takes the place of another."""

from __future__ import annotations

import logging
import socket
import threading
import time
from collections.abc import Callable
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path

import psycopg

from gantry import config, database
from gantry.transfers import measure
from gantry.transfers.deliver import Delivering, deliver
from gantry.transfers.errors import TransferError
from gantry.transfers.failover import pass_on
from gantry.transfers.owner import home_id
from gantry.transfers.reconcile import nodes_to_reconcile, reconcile
from gantry.transfers.recover import sweep
from gantry.transfers.set_back import put_right

_log = logging.getLogger(__name__)
#: How often we look for nodes with something due when nobody wakes us, and for what others left behind, seconds.
LOOK_SECONDS, SWEEP_SECONDS, MEASURE_SECONDS = 2.0, 10.0, 20.0
#: A clock that was set forth and back again between two looks of this process, or on another host, is found in the tables.
CLOCK_SECONDS = 30.0
#: Nodes served at once; each needs two or three connections to the database.
MOST_NODES = 20
_LONGEST_PAUSE = 30.0


Work = Callable[[int], None]


class Dispatcher:
    """One in each worker process. `stop` ends it and what it runs."""

    def __init__(self, home: Path, stop: threading.Event) -> None:
        self._home = home
        self._id = home_id(home)
        self._stop = stop
        self._changed = threading.Condition()
        self._woken: set[int] = set()
        self._running: dict[tuple[str, int], threading.Thread] = {}
        #: By the clock that nobody sets.
        self._not_before: dict[int, float] = {}
        self._thread = threading.Thread(target=self._run, name="dispatch", daemon=True)

    def start(self) -> Dispatcher:
        """Begin."""
        self._thread.start()
        return self

    def wake(self, node_id: int) -> None:
        """Something was ordered for this node."""
        with self._changed:
            self._woken.add(node_id)
            self._not_before.pop(node_id, None)
            self._changed.notify()

    def join(self) -> None:
        """After `stop` was set: wait until every run has written its results."""
        with self._changed:
            self._changed.notify()
        self._thread.join()
        with self._changed:
            threads = list(self._running.values())
        for thread in threads:
            thread.join()

    def _run(self) -> None:
        told = False
        while not self._stop.is_set():
            try:
                with closing(database.connect(application="gantry-dispatch", autocommit=True)) as connection:
                    was_away, told = told, False
                    self._serve(connection, was_away=was_away)
            except psycopg.Error as error:
                if not told:
                    _log.warning("deliveries wait for the database: %s", type(error).__name__)
                told = True
                self._stop.wait(1.0)
            except Exception:
                # Whatever it is: deliveries must not end for it.
                _log.exception("the dispatcher starts again")
                self._stop.wait(5.0)

    def _serve(self, connection: psycopg.Connection, *, was_away: bool) -> None:
        # After an outage every worker gives its next sign of life first: none must be taken for dead.
        swept, measured = time.monotonic() if was_away else float("-inf"), float("-inf")
        set_right = time.monotonic()  # it was done when the process started
        while not self._stop.is_set():
            now = time.monotonic()
            if now - swept >= SWEEP_SECONDS:
                swept = now
                self._sweep(connection)
            if now - set_right >= CLOCK_SECONDS:
                set_right = now
                put_right(connection)
            if now - measured >= MEASURE_SECONDS:
                measured = now
                measure.publish(connection)
            self._look(connection)
            with self._changed:
                self._changed.wait_for(lambda: self._woken or self._stop.is_set(), LOOK_SECONDS)

    def _sweep(self, connection: psycopg.Connection) -> None:
        queries = database.statements("gantry.transfers")
        connection.execute(queries["home_seen"], {"home": self._id, "host": socket.gethostname()[:255]})
        sweep(connection, home=self._home)
        pass_on(connection)
        for node_id in nodes_to_reconcile(connection):
            self._begin("reconcile", node_id)

    def _look(self, connection: psycopg.Connection) -> None:
        queries = database.statements("gantry.transfers")
        connection.execute(queries["take_in"], {"home": self._id})
        due = [int(row[0]) for row in connection.execute(queries["nodes_due"], {"home": self._id})]
        with self._changed:
            self._woken.clear()
            now = time.monotonic()
            due = [node_id for node_id in due if self._not_before.get(node_id, now) <= now]
        for node_id in due:
            self._begin("deliver", node_id)

    def _begin(self, what: str, node_id: int) -> None:
        with self._changed:
            if (what, node_id) in self._running or len(self._running) >= MOST_NODES or self._stop.is_set():
                return
            work = self._deliver if what == "deliver" else self._reconcile
            thread = threading.Thread(target=self._guard, args=(what, node_id, work), name=f"{what}-{node_id}", daemon=True)
            self._running[what, node_id] = thread
        thread.start()

    def _guard(self, what: str, node_id: int, work: Work) -> None:
        try:
            work(node_id)
        except TransferError as error:
            _log.warning("%s of node %d: %s", what, node_id, error)
        except psycopg.Error as error:
            _log.warning("%s of node %d: the database is away (%s)", what, node_id, type(error).__name__)
        except Exception:
            _log.exception("%s of node %d failed", what, node_id)
            with self._changed:
                self._not_before[node_id] = time.monotonic() + _LONGEST_PAUSE
        finally:
            with self._changed:
                self._running.pop((what, node_id), None)

    def _deliver(self, node_id: int) -> None:
        run = deliver(node_id, self._stop, Delivering(home=self._home))
        if run.next_at is not None:
            with self._changed:
                # Nothing is missed: an order wakes us, and we look again soon in every case.
                pause = (run.next_at - datetime.now(UTC)).total_seconds()
                self._not_before[node_id] = time.monotonic() + min(pause, _LONGEST_PAUSE)

    def _reconcile(self, node_id: int) -> None:
        reconcile(node_id, home=self._home, our_aet=config.current().aet, stopped=self._stop.is_set)


class _Here:
    """The dispatcher of this process, when it has one."""

    dispatcher: Dispatcher | None = None


def start(home: Path, stop: threading.Event) -> Dispatcher:
    """Serve the nodes from this process on."""
    _Here.dispatcher = Dispatcher(home, stop).start()
    return _Here.dispatcher


def here() -> Dispatcher | None:
    """The dispatcher of this process; None: queue jobs do the work themselves."""
    return _Here.dispatcher
