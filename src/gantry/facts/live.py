"""Live connections: one listener per web process, any number of clients, none of which can hold up another.

The route (a thread, with Django) says who may see what and leaves a `Wish` in the ASGI scope; the stream itself is
a coroutine: an idle client costs a socket and a few KB, no thread. A client that reads too slowly is not sent
what it missed from memory but from the table.
"""

from __future__ import annotations

import asyncio
import json
import logging
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, MutableMapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

import psycopg
from django.http import HttpRequest

from gantry import database
from gantry.accounts.errors import RequestRefused
from gantry.accounts.route import actor_of
from gantry.facts.errors import CursorGone, TooManyLive
from gantry.facts.feed import Change, changes, check
from gantry.facts.publish import CHANNEL
from gantry.facts.standing import Standing

log = logging.getLogger("gantry.live")
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]

SCOPE_KEY = "gantry.events"
MAX_CLIENTS = 1000
MAX_PER_USER = 50
#: Facts that wait in memory for one client; who has more to come reads them from the table.
MAX_WAITING = 256
PAGE = 500
BEAT_SECONDS = 15.0
#: How long a revoked token or ended session may still be served.
STANDING_SECONDS = 5.0
#: A client that takes nothing for so long is gone.
SEND_SECONDS = 30.0
_POLL_SECONDS = 5.0


@dataclass(slots=True, eq=False)
class Wish:
    """What one client wants. `after` None: from now on."""

    kinds: Sequence[str]
    after: int | None
    standing: Standing
    waiting: asyncio.Queue[Change] = field(default_factory=lambda: asyncio.Queue(MAX_WAITING))
    ended: asyncio.Event = field(default_factory=asyncio.Event)
    #: Something was not put into `waiting`: read the table.
    behind: bool = True

    def offer(self, found: Sequence[Change]) -> None:
        """Hand over what happened; never waits."""
        for change in found:
            if change.kind in self.kinds and not self.behind:
                try:
                    self.waiting.put_nowait(change)
                except asyncio.QueueFull:
                    self.behind = True


class Broker:
    """The listener of this process and its clients. Lives in one event loop; a new loop starts anew."""

    def __init__(self) -> None:
        self.clients: set[Wish] = set()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._listener: asyncio.Task[None] | None = None
        self._watcher: asyncio.Task[None] | None = None
        self._position = 0
        self._reader: psycopg.AsyncConnection[Any] | None = None
        self._reading = asyncio.Lock()

    def refuse_if_full(self, user_id: int | None) -> None:
        """Raises TooManyLive. Asked from threads: a moment's excess does no harm."""
        held = Counter(wish.standing.user_id for wish in tuple(self.clients))
        if held.total() >= MAX_CLIENTS or held[user_id] >= MAX_PER_USER:
            raise TooManyLive(retry_after=30)

    async def follow(self, wish: Wish) -> AsyncIterator[bytes]:
        """The stream of one client, until its standing ends; closing the iterator takes it off."""
        self._join(wish)
        try:
            yield b"retry: 3000\n\n"
            sent = await self._begin(wish)
            while not wish.ended.is_set():
                while wish.behind and not wish.ended.is_set():
                    async for change in self._missed(wish, sent):
                        sent = change.id
                        yield as_event(change)
                news = await _next(wish)
                if news is None:
                    yield b": beat\n\n"
                elif news.id > sent:
                    sent = news.id
                    yield as_event(news)
        except CursorGone as error:
            yield f"event: reset\nid: 0\ndata: {json.dumps(error.details)}\n\n".encode("ascii")
        except psycopg.Error as error:
            log.warning("a live connection ends: the database is away (%s)", type(error).__name__)
        finally:
            self.clients.discard(wish)

    def stop(self) -> None:
        """End all streams; callable from a signal handler of the loop's thread."""
        if self._loop is not None and not self._loop.is_closed():
            self._loop.call_soon_threadsafe(self._end_all)

    def _end_all(self) -> None:
        for wish in tuple(self.clients):
            wish.ended.set()
        for task in filter(None, (self._listener, self._watcher)):
            task.cancel()

    @property
    def idle(self) -> bool:
        """Nothing runs and no connection is open."""
        return all(task is None or task.done() for task in (self._listener, self._watcher))

    def _join(self, wish: Wish) -> None:
        loop = asyncio.get_running_loop()
        if self._loop is not loop:
            self._loop, self.clients, self._reader, self._reading = loop, set(), None, asyncio.Lock()
            self._listener = self._watcher = None
        self.clients.add(wish)
        if self._listener is None or self._listener.done():
            self._listener = loop.create_task(self._listen())
        if self._watcher is None or self._watcher.done():
            self._watcher = loop.create_task(self._watch())

    async def _begin(self, wish: Wish) -> int:
        """The position to go on from. Raises CursorGone."""
        async with self._reading:
            connection = await self._connection()
            await number(connection)
            ends = await (await connection.execute(database.statements("gantry.facts")["ends"])).fetchone()
        if wish.after is None:
            return int(ends[1]) if ends else 0
        check(wish.after, ends)
        return wish.after

    async def _missed(self, wish: Wish, sent: int) -> AsyncIterator[Change]:
        """What the table has after `sent`. Marked as up to date before the last page is read: nothing falls between."""
        while True:
            while not wish.waiting.empty():
                wish.waiting.get_nowait()
            wish.behind = False
            async with self._reading:
                connection = await self._connection()
                parameters = {"after": sent, "kinds": list(wish.kinds), "limit": PAGE}
                cursor = await connection.execute(database.statements("gantry.facts")["feed"], parameters)
                found = changes(await cursor.fetchall())
            if len(found) == PAGE:
                wish.behind = True
            for change in found:
                yield change
                sent = change.id
            if not wish.behind or len(found) < PAGE:
                return

    async def _connection(self) -> psycopg.AsyncConnection[Any]:
        if self._reader is None or self._reader.closed or self._reader.broken:
            self._reader = await connect()
        return self._reader

    async def _listen(self) -> None:
        """Listen as long as there are clients. Between the last look at them and the end nothing is awaited."""
        while self.clients:
            try:
                await self._listen_to_all()
            finally:
                reader, self._reader = self._reader, None
                if reader is not None:
                    await reader.close()

    async def _listen_to_all(self) -> None:
        """Wake at each announcement, number, read, hand over."""
        delay = 0.1
        self._position = 0
        while self.clients:
            try:
                async with await connect() as connection:
                    await connection.execute(f"LISTEN {CHANNEL}")
                    delay = 0.1
                    while self.clients:
                        await self._hand_over(connection)
                        async for _ in connection.notifies(timeout=_POLL_SECONDS, stop_after=1):
                            pass
            except psycopg.Error as error:
                log.warning("the listener lost the database (%s)", type(error).__name__)
                await asyncio.sleep(delay)
                delay = min(delay * 2, 5.0)

    async def _hand_over(self, connection: psycopg.AsyncConnection[Any]) -> None:
        await number(connection)
        queries = database.statements("gantry.facts")
        if not self._position:
            ends = await (await connection.execute(queries["ends"])).fetchone()
            self._position = int(ends[1]) if ends else 0
            for wish in self.clients:
                wish.behind = True
            return
        while True:
            kinds = sorted({kind for wish in self.clients for kind in wish.kinds})
            parameters = {"after": self._position, "kinds": kinds, "limit": PAGE}
            found = changes(await (await connection.execute(queries["feed"], parameters)).fetchall())
            if not found:
                return
            self._position = found[-1].id
            for wish in self.clients:
                wish.offer(found)

    async def _watch(self) -> None:
        """End the streams of those who may no longer see them."""
        while self.clients:
            await asyncio.sleep(STANDING_SECONDS)
            asked = tuple(self.clients)
            ended = await asyncio.to_thread(_fallen, asked)
            for wish in ended:
                wish.ended.set()


def _fallen(asked: Sequence[Wish]) -> list[Wish]:
    from django.db import DatabaseError, connections

    try:
        return [wish for wish in asked if not wish.standing.holds(wish.kinds)]
    except DatabaseError:
        return []  # without the database nothing is sent either
    finally:
        connections.close_all()


async def _next(wish: Wish) -> Change | None:
    """The next fact; None when the time for a heartbeat has come, the stream ends, or the table must be read."""
    getting = asyncio.ensure_future(wish.waiting.get())
    ending = asyncio.ensure_future(wish.ended.wait())
    try:
        await asyncio.wait({getting, ending}, timeout=BEAT_SECONDS, return_when=asyncio.FIRST_COMPLETED)
        return getting.result() if getting.done() else None
    finally:
        getting.cancel()
        ending.cancel()


def as_event(change: Change) -> bytes:
    """A fact as a server-sent event."""
    content = {"id": change.id, "kind": change.kind, "at": change.at.isoformat(), "data": change.data}
    return f"id: {change.id}\nevent: {change.kind}\ndata: {json.dumps(content)}\n\n".encode()


async def connect() -> psycopg.AsyncConnection[Any]:
    """A connection that commits by itself."""
    return await psycopg.AsyncConnection.connect(
        database.conninfo(), autocommit=True, application_name="gantry-live", connect_timeout=10
    )  # fmt: skip


async def number(connection: psycopg.AsyncConnection[Any]) -> None:
    """As `feed.number`."""
    queries = database.statements("gantry.facts")
    while not (await (await connection.execute(queries["is_numbered"])).fetchone() or (True,))[0]:
        async with connection.transaction():
            await connection.execute(queries["lock_numbering"])
            await connection.execute(queries["number"], {"limit": 5000})


broker = Broker()


def open_stream(request: HttpRequest, kinds: Sequence[str], after: int | None) -> None:
    """Leave the wish of an allowed request for `serve`. Raises TooManyLive, CursorGone."""
    actor = actor_of(request)
    broker.refuse_if_full(actor.user_id)
    scope = getattr(request, "scope", None)
    if isinstance(scope, dict):
        scope[SCOPE_KEY] = Wish(kinds, after, Standing.of(request, actor))


async def serve(wish: Wish, receive: Receive, send: Send) -> None:
    """Stream to one client until it leaves, is too slow, or may no longer."""
    headers = [(b"content-type", b"text/event-stream; charset=utf-8"), (b"x-accel-buffering", b"no")]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    leaving = asyncio.ensure_future(_left(receive, wish))
    stream = broker.follow(wish)
    try:
        async for content in stream:
            await asyncio.wait_for(send({"type": "http.response.body", "body": content, "more_body": True}), SEND_SECONDS)
            if leaving.done():
                return
    except (TimeoutError, RequestRefused):
        log.info("a live client was too slow")
    finally:
        leaving.cancel()
        await stream.aclose()  # type: ignore[attr-defined]  # it is a generator
        with suppress(OSError, RuntimeError):
            await send({"type": "http.response.body", "body": b""})


async def _left(receive: Receive, wish: Wish) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
    wish.ended.set()
