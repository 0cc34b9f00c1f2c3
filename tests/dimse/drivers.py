"""A server of either driver in a thread, an acceptor that keeps what comes, a raw peer that can misbehave."""

from __future__ import annotations

import asyncio
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from dimse import (
    Accept,
    AcceptedContext,
    AssociationInfo,
    AssociationRequest,
    Limits,
    PeerAddress,
    Refused,
    Reject,
    StoreAnswer,
    StoreRequest,
    aio,
    blocking,
)
from dimse.pdu import encode_request
from dimse.requesting import build_request
from tests.dimse.pair import CONTEXTS

DRIVERS = ("threads", "asyncio", "uvloop")
QUICK = Limits(tick_seconds=0.05, close_seconds=0.3, association_seconds=5, idle_seconds=20, request_grace_seconds=0.2)


class Sink:
    """Keeps a data set in memory; does what its keeper was told to do."""

    def __init__(self, keeper: Keeper, request: StoreRequest) -> None:
        self.keeper = keeper
        self.request = request
        self.data = bytearray()

    def write(self, view: memoryview) -> None:
        self.data += view
        if self.keeper.on_write is not None:
            self.keeper.on_write(self)

    def finish(self) -> StoreAnswer:
        if self.keeper.on_finish is not None:
            self.keeper.on_finish(self)
        self.keeper.stored[self.request.sop_instance_uid] = bytes(self.data)
        return StoreAnswer()

    def abort(self) -> None:
        self.keeper.aborted.append(self.request.sop_instance_uid)


@dataclass
class Keeper:
    """An acceptor for both drivers."""

    stored: dict[str, bytes] = field(default_factory=dict)
    contexts: dict[str, AcceptedContext] = field(default_factory=dict)
    aborted: list[str] = field(default_factory=list)
    ended: list[str] = field(default_factory=list)
    decision: Accept | Reject = field(default_factory=Accept)
    on_write: Callable[[Sink], None] | None = None
    on_finish: Callable[[Sink], None] | None = None
    on_store: Callable[[StoreRequest], None] | None = None

    def association_requested(self, request: AssociationRequest, peer: PeerAddress) -> Accept | Reject:
        return self.decision

    def echo(self, association: AssociationInfo) -> int:
        return 0

    def store(self, association: AssociationInfo, command: StoreRequest, context: AcceptedContext) -> Sink:
        if self.on_store is not None:
            self.on_store(command)
        self.contexts[command.sop_instance_uid] = context
        return Sink(self, command)

    def association_ended(self, association: AssociationInfo, how: str) -> None:
        self.ended.append(how)


@dataclass
class Running:
    """A server that runs."""

    port: int
    keeper: Keeper
    stop: Callable[[float], int]
    associations: Callable[[], int]

    def wait_until(self, condition: Callable[[], bool], seconds: float = 5.0) -> None:
        deadline = time.monotonic() + seconds
        while not condition():
            assert time.monotonic() < deadline, "it did not happen in time"
            time.sleep(0.01)


@contextmanager
def serving(driver: str, limits: Limits = QUICK, keeper: Keeper | None = None, host: str = "127.0.0.1") -> Iterator[Running]:
    keeper = keeper or Keeper()
    listener = blocking.listen(host, 0)
    run = _threads if driver == "threads" else _loop
    with listener, run(driver, listener, keeper, limits) as running:
        yield running


@contextmanager
def _threads(_: str, listener: socket.socket, keeper: Keeper, limits: Limits) -> Iterator[Running]:
    server = blocking.Server(listener, keeper, limits=limits)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield Running(server.address[1], keeper, server.stop, lambda: server.associations)
    finally:
        server.stop(0)
        thread.join()


@contextmanager
def _loop(driver: str, listener: socket.socket, keeper: Keeper, limits: Limits) -> Iterator[Running]:
    if driver == "uvloop":
        import uvloop

        loop: asyncio.AbstractEventLoop = uvloop.new_event_loop()
    else:
        loop = asyncio.new_event_loop()
    server = aio.Server(listener, keeper, limits=limits)
    loop.call_soon(server.start)
    thread = threading.Thread(target=loop.run_forever)
    thread.start()

    def stop(grace: float) -> int:
        return asyncio.run_coroutine_threadsafe(server.stop(grace), loop).result(30)

    try:
        yield Running(server.address[1], keeper, stop, lambda: server.associations)
    finally:
        stop(0)
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()


REQUEST = encode_request(build_request("GANTRY", "TESTER", CONTEXTS, 16384))


class RawPeer:
    """A peer without manners: a socket."""

    def __init__(self, port: int) -> None:
        self.sock = socket.create_connection(("127.0.0.1", port), 5)
        self.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.sock.settimeout(8)

    def send(self, data: bytes) -> None:
        self.sock.sendall(data)

    def read_pdu(self) -> bytes:
        """A whole PDU; empty when the connection ended."""
        head = self._exactly(6)
        return head + self._exactly(int.from_bytes(head[2:6], "big")) if head else b""

    def associate(self) -> None:
        self.send(REQUEST)
        assert self.read_pdu()[0] == 2

    def _exactly(self, size: int) -> bytes:
        data = b""
        while len(data) < size:
            try:
                piece = self.sock.recv(size - len(data))
            except ConnectionResetError:
                piece = b""
            if not piece:
                return b""
            data += piece
        return data

    def __enter__(self) -> RawPeer:
        return self

    def __exit__(self, *_: object) -> None:
        self.sock.close()


__all__ = ["DRIVERS", "QUICK", "REQUEST", "Keeper", "RawPeer", "Refused", "Running", "serving"]
