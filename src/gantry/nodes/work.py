"""Queue functions of nodes: fetches that were ordered over REST."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Callable
from contextlib import closing, suppress
from pathlib import Path
from typing import Any, cast
from uuid import UUID

import psycopg
from procrastinate import JobContext, RetryStrategy
from procrastinate.contrib.django import app

from gantry import config, database
from gantry.nodes import registry
from gantry.nodes.errors import NodeError
from gantry.nodes.fetch import FetchResult, How, fetch
from gantry.nodes.into import IntoHome
from gantry.nodes.items import SendTarget
from gantry.nodes.lanes import parallel_of, remember
from gantry.nodes.models import Node
from gantry.nodes.parallel import Parallel
from gantry.nodes.refresh import refresh
from gantry.storage.errors import StorageError

_LOOK_SECONDS = 0.5
_INDEX_POLL_SECONDS = 0.1


class Interrupted(Exception):
    """The worker ends; the queue starts the job again, and what is here is not fetched twice."""


@app.task(
    name="gantry.nodes.work.fetch_ordered", queue="fetches", pass_context=True, retry=RetryStrategy(max_attempts=10, wait=2)
)
def fetch_ordered(context: JobContext, fetch_id: str) -> None:
    """Carry out one ordered fetch into the home."""
    with closing(database.connect(autocommit=True, application="gantry-fetch")) as connection:
        _Job(connection, UUID(fetch_id), context.should_abort).run()


@app.task(name="gantry.nodes.work.probe_again", queue="nodes")
def probe_again(node_id: int) -> None:
    """A delivery has found that a node does otherwise than its profile says."""
    refresh(node_id)


def _await_indexer(is_done: Callable[[], bool]) -> None:
    """The indexer is another process here."""
    while not is_done():
        time.sleep(_INDEX_POLL_SECONDS)


class _Job:
    def __init__(self, connection: psycopg.Connection[Any], fetch_id: UUID, should_abort: Callable[[], bool]) -> None:
        self._connection = connection
        self._id = fetch_id
        self._should_abort = should_abort
        self._done = 0
        self._total: int | None = None
        self._cancelled = False

    def run(self) -> None:
        row = self._execute("begin_fetch").fetchone()
        if row is None:
            self._end("cancelled", FetchResult())
            return
        node_id, uids, how = row
        try:
            node = Node.objects.get(pk=node_id)
            target, parallel = registry.target_of(node), parallel_of(node)
            into = IntoHome(Path(config.current().home), _await_indexer)
            try:
                result = asyncio.run(self._watched(target, uids, into, how, parallel))
            finally:
                into.close()
        except asyncio.CancelledError:
            if not self._cancelled:
                raise Interrupted from None
            self._end("cancelled", FetchResult(received=self._done, announced=self._total))
        except (NodeError, StorageError, Node.DoesNotExist) as error:
            self._end("failed", FetchResult(error=str(error)))
        else:
            if result.ok:
                remember(node, parallel)
            self._end("done" if result.ok else "failed", result)

    async def _watched(self, target: SendTarget, uids: list[str], into: IntoHome, how: str, parallel: Parallel) -> FetchResult:
        destination = config.current().aet

        def count(done: int, total: int | None) -> None:
            self._done, self._total = done, total

        fetching = asyncio.create_task(
            fetch(target, uids, into, how=cast("How", how), destination=destination, on_count=count, parallel=parallel)
        )
        while not fetching.done():
            await asyncio.wait([fetching], timeout=_LOOK_SECONDS)
            row = self._execute("fetch_progress", received=self._done, announced=self._total).fetchone()
            self._cancelled = row is None or bool(row[0])
            if (self._cancelled or self._should_abort()) and not fetching.done():
                fetching.cancel()
                with suppress(asyncio.CancelledError):
                    await fetching
                raise asyncio.CancelledError
        return fetching.result()

    def _end(self, state: str, result: FetchResult) -> None:
        self._execute(
            "end_fetch", state=state, announced=result.announced, received=result.received, present=result.present,
            missing=json.dumps(result.missing), error=_said(result),
        )  # fmt: skip

    def _execute(self, name: str, **values: object) -> psycopg.Cursor[Any]:
        return self._connection.execute(database.statements("gantry.nodes")[name], {"id": self._id, **values})


def _said(result: FetchResult) -> str:
    return f"{result.error} ({result.remedy})" if result.error and result.remedy else result.error
