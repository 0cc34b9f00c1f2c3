"""The worker process: runs the queue (routing, deliveries)."""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import threading
from contextlib import closing

from gantry.config import Config

log = logging.getLogger("gantry.worker")
#: Jobs at once. A delivery job serves one node and uses threads of its own.
CONCURRENCY = 8
_GRACE_SECONDS = 10.0


def run(config: Config) -> int:
    """Work until SIGTERM or SIGINT, give the exit code. Raises what the database raises: the supervisor starts us again."""
    from gantry import database
    from gantry.transfers.recover import recover

    with closing(database.connect(application="gantry-recover")) as connection:
        recovered = recover(connection, home=config.home)
    if recovered.nodes:
        log.info("%s nodes have open deliveries", recovered.nodes)
    asyncio.run(_work())
    return 0


async def _work() -> None:
    from procrastinate.contrib.django import app
    from procrastinate.contrib.django.django_connector import DjangoConnector

    connector = app.connector
    assert isinstance(connector, DjangoConnector)
    worker_app = app.with_connector(connector.get_worker_connector())
    async with worker_app.open_async():
        work = asyncio.create_task(
            worker_app.run_worker_async(
                concurrency=CONCURRENCY, wait=True, listen_notify=True, delete_jobs="successful",
                shutdown_graceful_timeout=_GRACE_SECONDS, install_signal_handlers=False,
            )
        )  # fmt: skip
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, _stop, work)
        try:
            await work
        except asyncio.CancelledError:
            log.info("stopped")


def _stop(work: asyncio.Task[None]) -> None:
    """Deliveries end after the instance they are at; the worker waits for its jobs."""
    from gantry.transfers.work import stop_deliveries

    # A database that is away must not hold us for the length of its timeouts; what is unfinished is in the ledger.
    limit = threading.Timer(_GRACE_SECONDS + 2, os._exit, [1])
    limit.daemon = True
    limit.start()
    asyncio.get_running_loop().run_in_executor(None, stop_deliveries)
    work.cancel()
