"""How every noun asks within asyncio: in threads, so that the standard library does."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator
from typing import Any, TypeVar

from gantry_client.http import Connector, with_query
from gantry_client.nouns.asking import API, items_of, next_of, record
from gantry_client.server_events import Event, Stream

T = TypeVar("T")


class AsyncConnector:
    """A connector whose waiting is done by threads."""

    def __init__(self, connector: Connector) -> None:
        self.connector = connector

    async def ask(self, method: str, path: str, body: Any = None) -> Any:
        """The JSON of an answer; None when it has none."""
        return await asyncio.to_thread(self.connector.ask, method, path, body)

    async def events(self, path: str) -> AsyncIterator[Event]:
        """The events of a live connection until it ends; who stops to listen ends it. Raises Unreachable, RequestFailed."""
        stream = await asyncio.to_thread(self.connector.stream, path)
        loop, queue = asyncio.get_running_loop(), asyncio.Queue[Event | BaseException | None](maxsize=100)
        # A thread of its own that nobody waits for: it ends when the stream is closed.
        threading.Thread(target=_hand_on, args=(stream, loop, queue), daemon=True, name="gantry-events").start()
        try:
            while (event := await queue.get()) is not None:
                if isinstance(event, BaseException):
                    raise event
                yield event
        finally:
            stream.close()


def _hand_on(stream: Stream, loop: asyncio.AbstractEventLoop, queue: asyncio.Queue[Event | BaseException | None]) -> None:
    last: BaseException | None = None
    try:
        for event in stream:
            asyncio.run_coroutine_threadsafe(queue.put(event), loop).result()
    except Exception as error:
        last = error
    if not loop.is_closed():
        asyncio.run_coroutine_threadsafe(queue.put(last), loop)


class Asking:
    """What the nouns share: a connector, and answers that become records."""

    _http: AsyncConnector

    async def _ask(self, method: str, path: str, body: Any = None) -> Any:
        return await self._http.ask(method, API + path, body)

    async def _one(self, kind: type[T], method: str, path: str, body: Any = None) -> T:
        return record(kind, await self._http.ask(method, API + path, body))

    async def _all(self, kind: type[T], path: str, values: dict[str, object], *, limit: int | None = 1000) -> AsyncIterator[T]:
        where: str | None = with_query(API + path, {"limit": limit, **values})
        while where:
            page = await self._http.ask("GET", where)
            for item in items_of(page):
                yield record(kind, item)
            where = next_of(page, API + path)

    async def _pause(self, seconds: float) -> None:
        await asyncio.sleep(seconds)
