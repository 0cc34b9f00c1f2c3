"""Put right what a worker that died left behind: leases, queue jobs that nobody runs, nodes that were forgotten."""

from __future__ import annotations

import logging
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psycopg

from gantry import database
from gantry.transfers import owner
from gantry.transfers.order import defer_now

_log = logging.getLogger(__name__)
#: A queue worker that has not given a sign for so long is taken for dead (it gives one every 10 seconds).
STALLED_SECONDS = 30.0


@dataclass(frozen=True, slots=True)
class Recovered:
    """Leases that were released, queue jobs that were put back, nodes whose deliveries were started."""

    leases: int
    jobs: int
    nodes: int


def recover(connection: psycopg.Connection, *, home: Path | None = None, stalled_seconds: float = STALLED_SECONDS) -> Recovered:
    """To be called at the start of each worker process.

    Releases the leases of processes of this home that are gone (those of living ones, and of other hosts, end by
    time), re-queues stalled jobs, and orders a job for each enabled node that has open deliveries.
    """
    with connection.transaction():
        leases = _release(connection, home)
        jobs = _requeue(connection, stalled_seconds)
        rows = connection.execute(database.statements("gantry.transfers")["nodes_with_open_deliveries"])
        nodes = [row[0] for row in rows]
        defer_now(connection, nodes)
    if leases or jobs:
        _log.info("recovered %d leases and %d queue jobs of workers that are gone", leases, jobs)
    return Recovered(leases, jobs, len(nodes))


def sweep(connection: psycopg.Connection, *, home: Path | None = None, stalled_seconds: float = STALLED_SECONDS) -> Recovered:
    """To be called now and then: the same, but only nodes with something due that no running job sends."""
    with connection.transaction():
        leases = _release(connection, home)
        jobs = _requeue(connection, stalled_seconds)
        rows = connection.execute(database.statements("gantry.transfers")["nodes_forgotten"])
        nodes = [row[0] for row in rows]
        defer_now(connection, nodes)
    return Recovered(leases, jobs, len(nodes))


def worker_returned(connection: psycopg.Connection, worker_id: int, running: Collection[int]) -> int:
    """The database was away from a worker that lives. It is registered again if it was taken for dead meanwhile, keeps the
    jobs it runs, and what the queue gave it without its hearing of it is put back; gives the number of those."""
    queries = database.statements("gantry.transfers")
    values = {"worker_id": worker_id, "running": sorted(running)}
    with connection.transaction():
        connection.execute(queries["worker_lives"], values)
        connection.execute(queries["keep_jobs"], values)
        unheard = connection.execute(queries["jobs_unheard_of"], values).fetchall()
        _put_back(connection, unheard)
    return len(unheard)


def _release(connection: psycopg.Connection, home: Path | None) -> int:
    queries = database.statements("gantry.transfers")
    owners = [row[0] for row in connection.execute(queries["lease_owners"], {"prefix": owner.home_prefix(home)})]
    gone = [name for name in owners if not owner.is_alive(name)]
    return connection.execute(queries["release_leases"], {"owners": gone}).rowcount if gone else 0


def _requeue(connection: psycopg.Connection, stalled_seconds: float) -> int:
    queries = database.statements("gantry.transfers")
    stalled = connection.execute(queries["stalled_jobs"], {"stalled_seconds": stalled_seconds}).fetchall()
    _put_back(connection, stalled)
    return len(stalled)


def _put_back(connection: psycopg.Connection, jobs: Iterable[tuple[Any, ...]]) -> None:
    queries = database.statements("gantry.transfers")
    for job_id, queueing_lock in jobs:
        arguments = {"id": job_id, "queueing_lock": queueing_lock}
        if not connection.execute(queries["requeue_job"], arguments).rowcount:
            # Its like waits already; two with one queueing lock cannot.
            connection.execute(queries["drop_job"], {"id": job_id})
