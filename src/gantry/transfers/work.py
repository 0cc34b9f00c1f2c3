"""Queue functions of transfers. The worker calls `recover.recover` at its start and `stop_deliveries` at its end."""

from __future__ import annotations

import threading
from contextlib import closing

from procrastinate import RetryStrategy
from procrastinate.contrib.django import app

from gantry import database
from gantry.nodes.pool import shared_pool
from gantry.transfers.deliver import deliver as run_deliver
from gantry.transfers.recover import sweep as run_sweep

_stop = threading.Event()


@app.task(
    name="gantry.transfers.work.deliver",
    queue="transfers",
    retry=RetryStrategy(max_attempts=20, exponential_wait=2),
)
def deliver(node_id: int) -> None:
    """Send what is due to one node. A second run of a node finds the first and steps back."""
    run_deliver(node_id, _stop)


@app.periodic(cron="* * * * *")
@app.task(name="gantry.transfers.work.sweep", queue="transfers", queueing_lock="sweep")
def sweep(timestamp: int) -> None:
    """Once a minute: take up what a worker on another host left behind."""
    with closing(database.connect(application="gantry-sweep")) as connection:
        run_sweep(connection)


def stop_deliveries() -> None:
    """End running deliveries after the instance each association is at; results are written."""
    _stop.set()
    shared_pool().close()
