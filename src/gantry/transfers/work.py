"""Queue functions of transfers. The worker calls `recover.recover` at its start and `stop_deliveries` at its end."""

from __future__ import annotations

import threading
from contextlib import closing
from pathlib import Path

from procrastinate import JobContext, RetryStrategy
from procrastinate.contrib.django import app

from gantry import database
from gantry.nodes.pool import shared_pool
from gantry.transfers import dispatch
from gantry.transfers.deliver import deliver as run_deliver
from gantry.transfers.recover import sweep as run_sweep

_stop = threading.Event()


class _Stop(threading.Event):
    """Set when the process ends or the queue wants this job to end."""

    def __init__(self, context: JobContext) -> None:
        super().__init__()
        self._context = context

    def is_set(self) -> bool:
        return _stop.is_set() or self._context.should_abort()

    def wait(self, timeout: float | None = None) -> bool:
        _stop.wait(timeout)
        return self.is_set()


@app.task(
    name="gantry.transfers.work.deliver",
    queue="transfers",
    pass_context=True,
    retry=RetryStrategy(max_attempts=20, exponential_wait=2),
)
def deliver(context: JobContext, node_id: int) -> None:
    """Send what is due to one node. Where a dispatcher serves the nodes it is only woken, so that no node takes the
    place of another in the queue. A second run of a node finds the first and steps back."""
    if (dispatcher := dispatch.here()) is not None:
        dispatcher.wake(node_id)
    else:
        run_deliver(node_id, _Stop(context))


@app.periodic(cron="* * * * *")
@app.task(name="gantry.transfers.work.sweep", queue="transfers", queueing_lock="sweep")
def sweep(timestamp: int) -> None:
    """Once a minute: take up what a worker on another host left behind."""
    with closing(database.connect(application="gantry-sweep")) as connection:
        run_sweep(connection)


def start_deliveries(home: Path) -> None:
    """Serve the nodes from this process, each in a thread of its own."""
    dispatch.start(home, _stop)


def stop_deliveries() -> None:
    """End running deliveries after the instance each association is at; results are written."""
    _stop.set()
    if (dispatcher := dispatch.here()) is not None:
        dispatcher.join()
    shared_pool().close()
