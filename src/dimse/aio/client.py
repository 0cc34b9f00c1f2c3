"""A requestor for asyncio: C-ECHO and C-STORE, one operation at a time."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from types import TracebackType
from typing import Self

from dimse.aio.wire import Wire
from dimse.association import Association
from dimse.commands import RESPONDED_ID, STATUS, Command, CommandField
from dimse.errors import (
    AssociationFailure,
    ConnectFailed,
    ConnectionLost,
    ContextNotAccepted,
    LocalProtocolError,
    RemoteProtocolError,
    TimedOut,
)
from dimse.negotiation import ContextProposal
from dimse.pdu import AssociateRequest
from dimse.requesting import (
    Bytes,
    Listener,
    StoreResult,
    accepted_map,
    as_views,
    build_request,
    encode_echo,
    encode_store,
    store_result,
)
from dimse.states import Role
from dimse.uids import VERIFICATION

_RECEIVE_BUFFER = 65536
_GOODBYE_SECONDS = 0.2


async def connect(
    host: str,
    port: int,
    *,
    called_aet: str,
    calling_aet: str,
    contexts: Sequence[ContextProposal],
    max_pdu: int = 131072,
    connect_timeout: float = 10.0,
    response_timeout: float = 60.0,
) -> ClientAssociation:
    """Open an association. Times in seconds; raises as `dimse.blocking.connect`."""
    request = build_request(called_aet, calling_aet, contexts, max_pdu)
    loop = asyncio.get_running_loop()
    try:
        async with asyncio.timeout(connect_timeout):
            sock = await _open(loop, host, port)
    except TimeoutError:
        raise ConnectFailed(f"no connection to {host}:{port} in {connect_timeout:g} s") from None
    except OSError as error:
        raise ConnectFailed(f"no connection to {host}:{port}: {error.strerror or error}") from None
    return await connect_over(sock, request, response_timeout=response_timeout)


async def _open(loop: asyncio.AbstractEventLoop, host: str, port: int) -> socket.socket:
    """The first address that answers."""
    last: OSError | None = None
    for family, kind, protocol, _, address in await loop.getaddrinfo(host, port, type=socket.SOCK_STREAM):
        sock = socket.socket(family, kind, protocol)
        sock.setblocking(False)
        try:
            await loop.sock_connect(sock, address)
        except OSError as error:
            last = error
            sock.close()
        except BaseException:
            sock.close()
            raise
        else:
            return sock
    raise last or OSError(f"{host} has no address")


async def connect_over(sock: socket.socket, request: AssociateRequest, *, response_timeout: float = 60.0) -> ClientAssociation:
    """The same over a socket that is connected, with a request of one's own. Takes the socket over."""
    sock.setblocking(False)
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    wire = Wire(sock, _RECEIVE_BUFFER, quick_ack=True)
    try:
        await asyncio.get_running_loop().connect_accepted_socket(lambda: wire, sock)
    except BaseException:
        sock.close()
        raise
    association = ClientAssociation(wire, request, response_timeout)
    try:
        await association.negotiate()
    except BaseException:
        association.close()
        raise
    return association


class ClientAssociation:
    """An association as requestor. One operation at a time. Made by `connect`."""

    def __init__(self, wire: Wire, request: AssociateRequest, response_timeout: float) -> None:
        self._wire = wire
        self._request = request
        self._timeout = response_timeout
        self._core = Association(Role.REQUESTOR, max_pdu=request.user.max_length)
        self._listener = Listener(self._core)
        self._accepted: dict[tuple[str, str], int] = {}
        self._message_id = 0
        self._closed = False

    @property
    def accepted(self) -> Mapping[tuple[str, str], int]:
        """(SOP class, transfer syntax) -> context id."""
        return self._accepted

    @property
    def core(self) -> Association:
        """The protocol core: what was negotiated."""
        return self._core

    async def negotiate(self) -> None:
        """Ask for the association and wait for the answer; `connect` has done this."""
        await self._send(self._core.request(self._request))
        async with self._deadline():
            while self._core.accept_pdu is None:
                await self._receive()
        self._accepted = accepted_map(self._core.contexts)

    async def echo(self) -> int:
        """C-ECHO; the status of the answer (0 is success)."""
        context_id = next((n for (abstract, _), n in self._accepted.items() if abstract == VERIFICATION), None)
        if context_id is None:
            raise ContextNotAccepted("verification was not accepted")
        message_id = self._next_id()
        await self._send(self._core.send_command(context_id, encode_echo(message_id)))
        return (await self._answer(message_id, CommandField.C_ECHO_RSP)).number(STATUS)

    async def store(
        self,
        *,
        sop_class_uid: str,
        sop_instance_uid: str,
        transfer_syntax_uid: str,
        data: Bytes | Sequence[Bytes],
        priority: int = 0,
        move_originator: tuple[str, int] | None = None,
    ) -> StoreResult:
        """C-STORE of a data set that is encoded already; see `dimse.blocking.ClientAssociation.store`."""
        context_id = self._accepted.get((sop_class_uid, transfer_syntax_uid))
        if context_id is None:
            raise ContextNotAccepted(f"{sop_class_uid} in {transfer_syntax_uid} was not accepted")
        message_id = self._next_id()
        command = encode_store(message_id, sop_class_uid, sop_instance_uid, priority, move_originator)
        for batch in self._core.send_message(context_id, command, as_views(data)):
            await self._send(batch)
            if (view := self._wire.look()) is not None:
                await self._take(view)
        return store_result(await self._answer(message_id, CommandField.C_STORE_RSP))

    async def release(self) -> None:
        """End the association in order and close. Raises when the peer does not confirm."""
        if self._closed:
            return
        try:
            await self._send(self._core.ask_release())
            async with self._deadline():
                while not self._listener.released:
                    await self._receive()
        finally:
            self.close()

    async def abort(self) -> None:
        """Abort and close. Never raises."""
        if self._closed:
            return
        self._closed = True
        with suppress(AssociationFailure, OSError):
            await self._wire.write(self._core.abort(), _GOODBYE_SECONDS)
        await self._wire.close(_GOODBYE_SECONDS)

    def close(self) -> None:
        """Close the connection without a word."""
        self._closed = True
        self._wire.abort()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        """Release; abort when the block failed. A peer that does not confirm is forgiven: all is answered."""
        if kind is not None:
            await self.abort()
            return
        with suppress(AssociationFailure):
            await self.release()

    @asynccontextmanager
    async def _deadline(self) -> AsyncIterator[None]:
        try:
            async with asyncio.timeout(self._timeout):
                yield
        except TimeoutError:
            await self.abort()
            raise TimedOut(f"no answer in {self._timeout:g} s") from None

    def _next_id(self) -> int:
        if self._closed:
            raise LocalProtocolError("the association is closed")
        self._message_id = self._message_id % 65535 + 1
        self._listener.answer = None
        return self._message_id

    async def _send(self, data: bytes | Sequence[bytes | memoryview]) -> None:
        self._wire.listen()
        try:
            await self._wire.write(data, self._timeout)
        except AssociationFailure:
            while (view := self._wire.look()) is not None:
                await self._take(view)  # if the peer said why before it closed, that is the better error
            self.close()
            raise

    async def _receive(self) -> None:
        view = await self._wire.read(self._timeout)
        if view is None:
            await self.abort()
            raise TimedOut(f"no answer in {self._timeout:g} s")
        if not view:
            self.close()
            raise ConnectionLost("the peer closed the connection")
        await self._take(view)

    async def _take(self, view: memoryview) -> None:
        try:
            replies = self._listener.hear(view)
        except RemoteProtocolError as error:
            self._closed = True
            with suppress(AssociationFailure):
                await self._wire.write(error.reply, _GOODBYE_SECONDS)
            await self._wire.close(_GOODBYE_SECONDS)
            raise
        except AssociationFailure:
            await self._goodbye()
            raise
        for reply in replies:
            await self._wire.write(reply, self._timeout)

    async def _goodbye(self) -> None:
        """The peer ended the association: send what is still owed, close."""
        self._closed = True
        if self._core.owes_release_reply:
            with suppress(AssociationFailure):
                await self._wire.write(self._core.reply_release(), _GOODBYE_SECONDS)
        await self._wire.close()

    async def _answer(self, message_id: int, field: CommandField) -> Command:
        async with self._deadline():
            while (answer := self._listener.answer) is None:
                await self._receive()
        self._listener.answer = None
        if answer.number(RESPONDED_ID) != message_id or answer.field != field:
            await self.abort()
            raise RemoteProtocolError(f"{answer.name} does not answer the question that was asked", reason=2)
        return answer
