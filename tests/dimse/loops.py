"""Tests that are coroutines: both event loops, servers and clients in them, peers that can misbehave."""

from __future__ import annotations

import asyncio
import socket
import subprocess
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Iterator
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any

import pytest
import uvloop

from dimse import (
    AssociationInfo,
    Final,
    FindRequest,
    Match,
    Refused,
    StoreAnswer,
    StoreRequest,
    aio,
    blocking,
)
from dimse.acceptance import Accept, build_accept
from dimse.aio import ClientAssociation, Operation
from dimse.association import Association
from dimse.events import AssociationRequested
from dimse.items import AsyncWindow
from dimse.negotiation import (
    AcceptedContext,
    AcceptServices,
)
from dimse.pdu import AssociateAccept
from dimse.states import Role
from dimse.uids import CT_IMAGE_STORAGE, EXPLICIT_VR_LITTLE_ENDIAN
from tests.dimse.archive import CONTEXTS, Archive
from tests.dimse.drivers import QUICK

STORE: dict[str, Any] = {"sop_class_uid": CT_IMAGE_STORAGE, "transfer_syntax_uid": EXPLICIT_VR_LITTLE_ENDIAN}


def on_both_loops(test: Callable[..., Coroutine[Any, Any, None]]) -> Callable[..., None]:
    """Run a coroutine as a test on asyncio's loop and on uvloop; no task may be left."""

    @pytest.mark.parametrize("loop", ["asyncio", "uvloop"])
    def run(loop: str) -> None:
        async def body() -> None:
            await asyncio.wait_for(test(), 20)
            await asyncio.sleep(0.02)
            assert asyncio.all_tasks() == {asyncio.current_task()}

        with asyncio.Runner(loop_factory=uvloop.new_event_loop if loop == "uvloop" else asyncio.new_event_loop) as runner:
            runner.run(body())

    run.__name__ = test.__name__
    return run


@asynccontextmanager
async def serving(acceptor: aio.AsyncAcceptor, send_buffer: int = 0, **options: object) -> AsyncIterator[int]:
    with blocking.listen("127.0.0.1", 0) as listener:
        if send_buffer:
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, send_buffer)
        server = aio.Server(listener, acceptor, **({"limits": QUICK} | options))  # type: ignore[arg-type]
        server.start()
        try:
            yield server.address[1]
        finally:
            await server.stop(0)


async def join(port: int, **changes: object) -> ClientAssociation:
    options = {"called_aet": "GANTRY", "calling_aet": "TESTER", "contexts": CONTEXTS, "response_timeout": 8.0}
    return await aio.connect("127.0.0.1", port, **(options | changes))  # type: ignore[arg-type]


async def until(condition: Callable[[], bool], seconds: float = 4.0) -> None:
    async with asyncio.timeout(seconds):
        while not condition():  # noqa: ASYNC110  # of the other side
            await asyncio.sleep(0.005)


class Waiting(Archive):
    """Its providers are asynchronous generators."""

    produced = 0

    async def find(  # type: ignore[override]
        self, association: AssociationInfo, request: FindRequest, cancelled: Callable[[], bool]
    ) -> AsyncIterator[Match | Final]:
        assert self.matches is not None
        try:
            for match in self.matches(request, cancelled):
                self.produced += 1
                yield match
                await asyncio.sleep(0)
        finally:
            self.closed += 1


class Stuck(Archive):
    """A provider that gives one answer and then waits for something that does not come."""

    async def find(  # type: ignore[override]
        self, association: AssociationInfo, request: FindRequest, cancelled: Callable[[], bool]
    ) -> AsyncIterator[Match | Final]:
        try:
            yield Match(b"12")
            await asyncio.sleep(30)
        finally:
            self.closed += 1


class Bucket:
    """Where a C-GET stores; its sinks are asynchronous."""

    def __init__(self, pause: float = 0.0) -> None:
        self.data: dict[str, bytes] = {}
        self.aborted: list[str] = []
        self.pause = pause
        self.refuse: set[str] = set()

    async def __call__(self, request: StoreRequest, context: AcceptedContext) -> BucketSink:
        await asyncio.sleep(0)
        if request.sop_instance_uid in self.refuse:
            raise Refused(0xA700, "full")
        return BucketSink(self, request.sop_instance_uid)


class BucketSink:
    def __init__(self, bucket: Bucket, uid: str) -> None:
        self.bucket, self.uid, self.bytes = bucket, uid, bytearray()

    async def write(self, view: memoryview) -> None:
        self.bytes += view
        await asyncio.sleep(self.bucket.pause)

    async def finish(self) -> StoreAnswer:
        self.bucket.data[self.uid] = bytes(self.bytes)
        return StoreAnswer()

    async def abort(self) -> None:
        self.bucket.aborted.append(self.uid)


def endless(request: FindRequest, cancelled: Callable[[], bool]) -> Iterator[Match | Final]:
    while True:
        yield Match(bytes(2000))


async def collect(operation: Operation) -> list[bytes]:
    return [said.identifier async for said in operation]


@asynccontextmanager
async def raw_peer(talk: Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]) -> AsyncIterator[int]:
    tasks: set[asyncio.Task[Any]] = set()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        tasks.add(task)
        try:
            await talk(reader, writer)
        except (ConnectionError, asyncio.CancelledError):
            pass
        finally:
            writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks)
        await server.wait_closed()


async def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, window: int) -> Association:
    core = Association(Role.ACCEPTOR)
    while core.request_pdu is None:
        core.receive(await reader.read(65536))
        while (event := core.next_event()) is not None:
            assert isinstance(event, AssociationRequested)
    made = build_accept(core.request_pdu, Accept(), AcceptServices(find=True), 131072)
    granted: AssociateAccept = replace(made, user=replace(made.user, async_window=AsyncWindow(window, 1) if window else None))
    writer.write(core.accept(granted))
    return core


@asynccontextmanager
async def deaf_peer() -> AsyncIterator[int]:
    """Accepts associations and never answers anything."""

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await accept(reader, writer, 0)
        while await reader.read(65536):
            continue

    async with raw_peer(talk) as port:
        yield port


async def dcmtk(*command: object) -> tuple[int, str]:
    words = [str(word) for word in command]
    done = await asyncio.to_thread(subprocess.run, words, check=False, capture_output=True, text=True, timeout=20)
    return done.returncode, done.stdout + done.stderr
