"""An asyncio server: one task for each association (PS3.8 acceptor, PS3.7 provider)."""

from __future__ import annotations

import asyncio
import errno
import logging
import socket
import ssl
from time import monotonic

from dimse.acceptance import LOCAL_LIMIT_EXCEEDED, MAX_TURNED_AWAY, Limits, PeerAddress
from dimse.aio.acceptor import AsyncAcceptor
from dimse.aio.connection import Connection
from dimse.aio.opening import accept_wire
from dimse.aio.wire import Wire
from dimse.blocking.sockets import peer_of
from dimse.errors import AssociationFailure
from dimse.negotiation import ContextPolicy, policy_for

log = logging.getLogger(__name__)
_OUT_OF_SOMETHING = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM})


class Server:
    """Serves associations on a listening socket (`dimse.blocking.listen`), with `tls` over TLS only; the socket stays
    the caller's.

    Without a `policy`, every service is offered that the acceptor has methods for (`negotiation.policy_for`).
    `async_window`: how many requests a peer may have in flight, if it asks for a window; they are answered in order
    of completion, C-STORE one after the other, queries all at the same time. What is more is refused with 0213.
    """

    def __init__(
        self,
        listen_socket: socket.socket,
        acceptor: AsyncAcceptor,
        *,
        limits: Limits | None = None,
        policy: ContextPolicy | None = None,
        tls: ssl.SSLContext | None = None,
        async_window: int = 8,
    ) -> None:
        self.limits = limits or Limits()
        self._socket = listen_socket
        self._acceptor = acceptor
        self._policy = policy or policy_for(acceptor)
        self._tls = tls
        self._window = max(1, async_window)
        self._live: dict[Connection, asyncio.Task[None]] = {}
        self._turned_away: set[asyncio.Task[None]] = set()
        self._accepting: asyncio.Task[None] | None = None

    @property
    def address(self) -> tuple[str, int]:
        """Host and port that are listened on."""
        host, port = self._socket.getsockname()[:2]
        return str(host), int(port)

    @property
    def associations(self) -> int:
        """Connections that are being served."""
        return len(self._live)

    def start(self) -> None:
        """Accept from now on, in a task."""
        if self._accepting is None:
            self._accepting = asyncio.create_task(self.serve_forever())

    async def serve_forever(self) -> None:
        """Accept until cancelled. `OSError` when the listening socket breaks."""
        loop = asyncio.get_running_loop()
        self._socket.setblocking(False)
        while True:
            try:
                sock, address = await loop.sock_accept(self._socket)
            except ConnectionAbortedError:
                continue
            except OSError as error:
                if error.errno not in _OUT_OF_SOMETHING:
                    raise
                log.warning("cannot accept a connection: %s", error.strerror)
                await asyncio.sleep(0.05)
                continue
            self._take(sock, PeerAddress(*peer_of(address)))

    async def stop(self, grace_seconds: float = 10.0) -> int:
        """Stop accepting, let messages under way end, abort idle associations and, after the grace, all.

        Returns how many associations had to be aborted inside a message.
        """
        if self._accepting is not None:
            self._accepting.cancel()
            await asyncio.gather(self._accepting, return_exceptions=True)
            self._accepting = None
        for connection in self._live:
            connection.stopping = True
        await self._wait(grace_seconds)
        late = list(self._live)
        for connection in late:
            connection.aborting = True
        await self._wait(self.limits.close_seconds + 2 * self.limits.tick_seconds)
        rest = [*self._live.values(), *self._turned_away]
        for task in rest:
            task.cancel()
        await asyncio.gather(*rest, return_exceptions=True)
        return len(late)

    async def _wait(self, seconds: float) -> None:
        if self._live:
            await asyncio.wait(list(self._live.values()), timeout=seconds)

    def _take(self, sock: socket.socket, peer: PeerAddress) -> None:
        full = len(self._live) >= self.limits.max_associations and not self._make_room()
        if full and len(self._turned_away) >= MAX_TURNED_AWAY:
            sock.close()
            return
        try:
            sock.setblocking(False)
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        except OSError:  # gone already
            sock.close()
            return
        buffer_size = 4096 if full else self.limits.receive_buffer
        wire = Wire(sock, buffer_size, quick_ack=self.limits.quick_ack, tls=self._tls is not None)
        if full:
            task = asyncio.create_task(self._turn_away(wire, sock))
            self._turned_away.add(task)
            task.add_done_callback(self._turned_away.discard)
            return
        connection = Connection(wire, peer, self._acceptor, self._policy, self.limits, self._window)
        self._live[connection] = asyncio.create_task(self._run(connection, wire, sock))

    async def _run(self, connection: Connection, wire: Wire, sock: socket.socket) -> None:
        try:
            try:
                await accept_wire(wire, sock, self._tls, self.limits.association_seconds)
            except (AssociationFailure, OSError) as error:
                log.info("no association with %s: %s", connection.peer.host, error)
                return
            await connection.run()
        finally:
            self._live.pop(connection, None)

    async def _turn_away(self, wire: Wire, sock: socket.socket) -> None:
        """Too many: say so once the request comes, and do not wait long for it."""
        seconds = self.limits.close_seconds
        try:
            await accept_wire(wire, sock, self._tls, seconds)
            if await wire.read(seconds):
                await wire.write(LOCAL_LIMIT_EXCEEDED, seconds)
                await wire.close(seconds)
        except (AssociationFailure, OSError):
            return
        finally:
            wire.abort()

    def _make_room(self) -> bool:
        """Evict the oldest connection that has not asked for an association in its time of grace."""
        now = monotonic()
        for connection in self._live:
            if now - connection.began < self.limits.request_grace_seconds:
                return False
            if not connection.requested:
                connection.evict()
                self._live.pop(connection).cancel()
                return True
        return False
