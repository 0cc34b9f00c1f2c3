"""The queue's connections, which outlive the database: what PostgreSQL's going away interrupts is done when it is back.

The worker of procrastinate ends with the first statement that fails. This connector opens its pool and its LISTEN anew,
with back-off, and gives the worker an answer in the end; so the process, its jobs and its deliveries go on.
"""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import Awaitable, Callable, Iterable
from copy import copy
from typing import Any, TypeVar

import psycopg
from procrastinate.app import App
from procrastinate.connector import Notify
from procrastinate.exceptions import ConnectorException
from procrastinate.job_context import JobContext
from procrastinate.periodic import PeriodicRegistry
from procrastinate.psycopg_connector import PsycopgConnector
from procrastinate.sql import queries
from procrastinate.worker import Worker
from psycopg_pool import AsyncConnectionPool

_log = logging.getLogger("gantry.worker")
Answer = TypeVar("Answer")
#: Between two looks whether the database is back, seconds.
FIRST_PAUSE, LONGEST_PAUSE = 0.05, 1.0
#: How long a new pool may take for its first connection, an old one to close, and a statement to get a connection.
_OPEN_SECONDS, _CLOSE_SECONDS, _TURN_SECONDS = 5.0, 1.0, 5.0
#: How often one job is begun again in place; then the queue decides.
MOST_AGAIN = 5
#: The server ends the connection: by an administrator, by a crash, or because it starts or stops (PostgreSQL appendix A).
_ENDED_BY_SERVER = frozenset({"57P01", "57P02", "57P03"})
#: Tells the queue which worker we are and what it runs, on a connection of its own, after the database was away.
Returned = Callable[[int, list[int]], None]


def is_lost(error: BaseException | None) -> bool:
    """Whether an error, or one behind it, is a connection to the database that ended or could not be had."""
    seen = 0
    while error is not None and seen < 20:
        if isinstance(error, psycopg.InterfaceError):
            return True
        if isinstance(error, psycopg.OperationalError):
            state = error.sqlstate
            return state is None or state.startswith("08") or state in _ENDED_BY_SERVER
        error, seen = error.__cause__ or error.__context__, seen + 1
    return False


class LastingConnector(PsycopgConnector):
    """`returned` is called after an outage, before the next job is taken."""

    def __init__(self, parameters: dict[str, Any], returned: Returned) -> None:
        super().__init__(kwargs=parameters, timeout=_TURN_SECONDS, min_size=1, max_size=4)
        self._parameters = parameters
        self._returned = returned
        #: Jobs that were given to us and have not been written down as ended.
        self.running: set[int] = set()
        self.ending = False
        self._generation = 0
        self._turn = asyncio.Lock()

    @property
    def generation(self) -> int:
        """How often the connections were opened anew."""
        return self._generation

    def end(self) -> None:
        """From now on what fails, fails: the process ends."""
        self.ending = True

    async def until_back(self, seen: int) -> None:
        """Until the connections of generation `seen` have been opened anew. At once when we are ending."""
        async with self._turn:
            pause, told = FIRST_PAUSE, False
            if self._generation == seen and not self.ending and self._async_pool is not None:
                # It would try by itself, with longer and longer pauses, and a line in the log for each.
                await self._async_pool.close(_CLOSE_SECONDS)
            while self._generation == seen and not self.ending:
                try:
                    await self._open_anew()
                except (psycopg.Error, ConnectorException, OSError) as error:
                    if not told:
                        _log.warning("the queue waits for the database: %s", type(error.__cause__ or error).__name__)
                    told = True
                    await asyncio.sleep(pause * (0.75 + random.random() / 2))  # noqa: S311  no secret
                    pause = min(pause * 2, LONGEST_PAUSE)
                else:
                    self._generation += 1
                    _log.info("the queue has connected to the database again")

    async def _open_anew(self) -> None:
        async with await psycopg.AsyncConnection.connect(**{"connect_timeout": 5, **self._parameters}):
            pass  # it takes connections: a pool would only find that out with pauses of its own
        pool: AsyncConnectionPool[Any] = await self._create_pool(self._pool_args)
        try:
            await pool.open(wait=True, timeout=_OPEN_SECONDS)
        except BaseException:
            await pool.close(_CLOSE_SECONDS)
            raise
        self._async_pool = pool

    async def _lasting(self, do: Callable[[], Awaitable[Answer]], *, twice: Answer | None = None, worker: int = 0) -> Answer:
        """`twice`: what is answered when it seems to have been done by the try before. `worker`: it takes a job for it."""
        tries, pause = 0, FIRST_PAUSE
        while True:
            seen = self._generation
            try:
                if tries and worker:
                    await asyncio.to_thread(self._returned, worker, sorted(self.running))
                return await do()
            except (ConnectorException, psycopg.Error) as error:
                # A worker whose row was taken away as dead meanwhile gets it again.
                pruned = bool(worker) and isinstance(error.__cause__, psycopg.errors.ForeignKeyViolation)
                if self.ending or not (is_lost(error) or pruned):
                    if tries and twice is not None and not self.ending:
                        return twice
                    raise
                tries += 1
                if not pruned:
                    await self.until_back(seen)
                await asyncio.sleep(pause)
                pause = min(pause * 2, LONGEST_PAUSE)

    async def execute_query_async(self, query: Any, **arguments: Any) -> None:
        """As procrastinate says. What ends a job may be done already when it is done again."""
        ends = query in (queries["finish_job"], queries["retry_job"])
        execute = super().execute_query_async

        async def do() -> bool:
            await execute(query, **arguments)
            return True

        try:
            await self._lasting(do, twice=True if ends else None)
        finally:
            if ends:
                self.running.discard(arguments.get("job_id", 0))

    async def execute_query_one_async(self, query: Any, **arguments: Any) -> dict[str, Any]:
        """As procrastinate says. A job that was given to us without our hearing of it is put back."""
        takes = query == queries["fetch_job"]
        execute = super().execute_query_one_async
        worker = int(arguments["worker_id"]) if takes else 0
        row: dict[str, Any] = await self._lasting(lambda: execute(query, **arguments), worker=worker)
        if takes and row["id"] is not None:
            self.running.add(int(row["id"]))
        return row

    async def execute_query_all_async(self, query: Any, **arguments: Any) -> list[dict[str, Any]]:
        """As procrastinate says."""
        execute = super().execute_query_all_async
        return await self._lasting(lambda: execute(query, **arguments))

    async def listen_notify(self, on_notification: Notify, channels: Iterable[str]) -> None:
        """As procrastinate says; for ever."""
        names = list(channels)
        while True:
            seen = self._generation
            try:
                await super().listen_notify(on_notification, names)
            except (ConnectorException, psycopg.Error) as error:
                if self.ending or not is_lost(error):
                    raise
                await self.until_back(seen)
                await asyncio.sleep(FIRST_PAUSE)

    async def again(self, call_next: Callable[[], Awaitable[Any]], context: JobContext, _worker: Worker) -> Any:
        """Around each job: begin again what the database's going away has interrupted. Jobs can be begun twice, as after
        a crash."""
        for _ in range(MOST_AGAIN):
            seen = self._generation
            try:
                return await call_next()
            except Exception as error:
                if self.ending or context.should_abort() or not is_lost(error):
                    raise
                _log.warning("%s was interrupted by the database and begins again", context.job.task_name)
                await self.until_back(seen)
        return await call_next()


def app_over(app: App, connector: LastingConnector) -> App:
    """The tasks of an app, fetched and ordered over this connector: also those of the clock, which `with_connector` leaves
    with the connector of before."""
    ours = app.with_connector(connector)
    ours.periodic_registry = PeriodicRegistry()  # type: ignore[no-untyped-call]  # no types there
    for periodic in app.periodic_registry.periodic_tasks.values():
        task = copy(periodic.task)
        task.blueprint = ours
        ours.periodic_registry.register_task(task, periodic.cron, periodic.periodic_id, periodic.configure_kwargs)
    return ours


def fresh_connections(call_next: Callable[[], Any], _context: JobContext, _worker: Worker) -> Any:
    """Around each job in a thread: the thread's own connections of Django are looked at before they are used again."""
    from django.db import close_old_connections

    close_old_connections()
    try:
        return call_next()
    finally:
        close_old_connections()
