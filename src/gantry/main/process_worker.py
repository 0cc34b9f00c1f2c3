"""The worker process: runs the queue (routing, deliveries)."""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import threading
from contextlib import closing
from typing import TYPE_CHECKING, Any

from gantry.config import Config

if TYPE_CHECKING:  # Django is set up first
    from gantry.main.queue_connection import LastingConnector

log = logging.getLogger("gantry.worker")
#: Jobs at once. A delivery job serves one node and uses threads of its own.
CONCURRENCY = 8
_GRACE_SECONDS = 10.0
#: How often we look whether the clock was set back.
_CLOCK_SECONDS = 0.5


def run(config: Config) -> int:
    """Work until SIGTERM or SIGINT, give the exit code. Raises when the database is away at the start: the supervisor starts
    us again. When it goes away later, we go on when it is back."""
    from gantry import database
    from gantry.transfers.recover import recover
    from gantry.transfers.set_back import put_right

    with closing(database.connect(application="gantry-recover")) as connection:
        put_right(connection)
        recovered = recover(connection, home=config.home)
    if recovered.nodes:
        log.info("%s nodes have open deliveries", recovered.nodes)
    from gantry.transfers.work import start_deliveries

    start_deliveries(config.home)
    return 1 if asyncio.run(_work(config)) else 0


async def _work(config: Config) -> bool:
    """Until we are asked to stop. True: the clock was set back, and we are to be started anew."""
    from gantry.main import backup_schedule

    main = asyncio.current_task()
    assert main is not None
    queue = _connector()
    backups = asyncio.create_task(backup_schedule.watch(config))
    clock = asyncio.create_task(_watch_clock(main, queue))
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, _stop, main, queue)
    try:
        await _serve_queue(queue)
    except asyncio.CancelledError:
        log.info("stopped")
    finally:
        backups.cancel()
        clock.cancel()
    return clock.done() and not clock.cancelled() and clock.exception() is None


def _connector() -> LastingConnector:
    from procrastinate.contrib.django.utils import connector_params

    from gantry.main.queue_connection import LastingConnector

    # As gantry.database: a server that vanished without a word is missed within a minute.
    alive = {"keepalives": 1, "keepalives_idle": 30, "keepalives_interval": 10, "keepalives_count": 3}
    return LastingConnector({**connector_params(), **alive}, _returned)


def _returned(worker_id: int, running: list[int]) -> None:
    """The database is back: tell the queue that we live, and put back what it gave us without our hearing of it."""
    from gantry import database
    from gantry.transfers.recover import worker_returned

    with closing(database.connect(application="gantry-recover")) as connection:
        worker_returned(connection, worker_id, running)


async def _serve_queue(queue: LastingConnector) -> None:
    """Until cancelled. The database may go away and come back meanwhile."""
    from procrastinate.contrib.django import app
    from procrastinate.exceptions import ConnectorException

    from gantry.main.queue_connection import app_over, fresh_connections

    worker_app = app_over(app, queue)
    try:
        async with worker_app.open_async():
            await worker_app.run_worker_async(
                concurrency=CONCURRENCY, wait=True, listen_notify=True, delete_jobs="successful",
                shutdown_graceful_timeout=_GRACE_SECONDS, install_signal_handlers=False,
                worker_middleware=[queue.again], task_middleware=[fresh_connections],
            )  # fmt: skip
    except ConnectorException:
        if not queue.ending:
            raise
        log.warning("stopped without the database: what is unfinished is taken up by the next start")


async def _watch_clock(work: asyncio.Task[Any], queue: LastingConnector) -> None:
    """End the worker when the clock is set back by much: the queue keeps the times of its periodic jobs in memory, and all
    that waits in the tables for a time that is now far away is put right at the start."""
    from gantry.transfers.set_back import Watch

    watch = Watch()
    while True:
        await asyncio.sleep(_CLOCK_SECONDS)
        if back := watch.seconds_back():
            log.warning("the clock was set back by %.0f s: the worker starts anew", back)
            _stop(work, queue)
            return


def _stop(work: asyncio.Task[Any], queue: LastingConnector) -> None:
    """Deliveries end after the instance they are at; the worker waits for its jobs."""
    from gantry.alerts.work import stop_following
    from gantry.transfers.work import stop_deliveries

    stop_following()
    queue.end()
    # A database that is away must not hold us for the length of its timeouts; what is unfinished is in the ledger.
    limit = threading.Timer(_GRACE_SECONDS + 2, os._exit, [1])
    limit.daemon = True
    limit.start()
    asyncio.get_running_loop().run_in_executor(None, stop_deliveries)
    work.cancel()
