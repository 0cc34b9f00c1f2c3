"""A requestor for asyncio. Many tasks may use one association: as many requests as the peer's window allows are
in flight, the others wait for their turn."""

from __future__ import annotations

import socket
import ssl
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from types import TracebackType
from typing import Self

from dimse.aio.acceptor import settle
from dimse.aio.exchange import Exchange
from dimse.aio.opening import open_wire, wire_over
from dimse.aio.operation import Incoming, Operation, Question, Store
from dimse.aio.wire import Wire
from dimse.answering import Answers, final_of
from dimse.asking import Agreed, Query, as_message_id, encode_normalised, read_normalised_answer
from dimse.association import Association
from dimse.commands import STATUS, CommandField
from dimse.errors import AssociationFailure, ConnectFailed
from dimse.items import AsyncWindow, CommonExtendedNegotiation, ExtendedNegotiation, UserIdentity
from dimse.negotiation import ContextProposal
from dimse.operations import MEDIUM, NormalisedAnswer, NormalisedRequest
from dimse.pdu import AssociateRequest
from dimse.requesting import (
    Bytes,
    StoreResult,
    as_views,
    build_request,
    encode_echo,
    encode_store,
    store_result,
)
from dimse.uids import VERIFICATION

_RECEIVE_BUFFER = 65536


async def connect(  # noqa: PLR0913  # the one place where an association is described
    host: str,
    port: int,
    *,
    called_aet: str,
    calling_aet: str,
    contexts: Sequence[ContextProposal],
    max_pdu: int = 131072,
    connect_timeout: float = 10.0,
    response_timeout: float = 60.0,
    user_identity: UserIdentity | None = None,
    extended: Sequence[ExtendedNegotiation | CommonExtendedNegotiation] = (),
    tls: ssl.SSLContext | None = None,
    window: int = 1,
) -> ClientAssociation:
    """Open an association. Times in seconds; raises as `dimse.blocking.connect`.

    With `tls` (`dimse.tls.client_context`) over TLS only. `window` asks for so many operations in flight (PS3.7
    D.3.3.3); what the peer grants is `ClientAssociation.window`.
    """
    request = build_request(called_aet, calling_aet, contexts, max_pdu, user_identity, extended)
    if window > 1:
        request = replace(request, user=replace(request.user, async_window=AsyncWindow(window, 1)))
    wire = await open_wire(host, port, tls, connect_timeout, _RECEIVE_BUFFER)
    return await _negotiated(wire, request, response_timeout)


async def connect_over(
    sock: socket.socket,
    request: AssociateRequest,
    *,
    response_timeout: float = 60.0,
    tls: ssl.SSLContext | None = None,
    host: str = "",
) -> ClientAssociation:
    """The same over a socket that is connected, with a request of one's own. Takes the socket over. `host` is the
    name that the certificate has to bear."""
    try:
        wire = await wire_over(sock, tls, host, response_timeout, _RECEIVE_BUFFER)
    except OSError as error:
        raise ConnectFailed(f"no connection: {error.strerror or error}") from None
    return await _negotiated(wire, request, response_timeout)


async def _negotiated(wire: Wire, request: AssociateRequest, response_timeout: float) -> ClientAssociation:
    association = ClientAssociation(wire, request, response_timeout)
    try:
        await association.negotiate()
    except BaseException:
        association.close()
        raise
    return association


class ClientAssociation:
    """An association as requestor, made by `connect`; its methods may be called by many tasks of one event loop.

    Cancelling a task while its message is being sent closes the connection (half a message cannot be taken back);
    later, the answer is thrown away and the association goes on.
    """

    def __init__(self, wire: Wire, request: AssociateRequest, response_timeout: float) -> None:
        self._request = request
        self._exchange = Exchange(wire, request, response_timeout)
        self._agreed = Agreed({})

    @property
    def accepted(self) -> Mapping[tuple[str, str], int]:
        """(SOP class, transfer syntax) -> context id."""
        return self._agreed.accepted

    @property
    def core(self) -> Association:
        """The protocol core: what was negotiated."""
        return self._exchange.core

    @property
    def window(self) -> int:
        """How many requests may be in flight."""
        return self._exchange.window

    @property
    def usable(self) -> bool:
        """True while nothing is known that speaks against another request."""
        return self._exchange.usable

    @property
    def busy(self) -> bool:
        """True while a request waits for its answer."""
        return bool(self._exchange.questions)

    @property
    def certificate(self) -> bytes | None:
        """DER of the certificate of the peer; None without TLS."""
        return self._exchange.certificate

    async def negotiate(self) -> None:
        """Ask for the association and wait for the answer; `connect` has done this."""
        await self._exchange.negotiate(self._request)
        self._agreed = Agreed(self.core.contexts)

    async def echo(self) -> int:
        """C-ECHO; the status of the answer (0 is success)."""
        question = Question(CommandField.C_ECHO_RSP, 0, self._agreed.of_class(VERIFICATION).context_id)
        command, _ = await self._exchange.ask(question, encode_echo)
        return command.number(STATUS)

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
        question = Question(CommandField.C_STORE_RSP, 0, self._agreed.to_store(sop_class_uid, transfer_syntax_uid))

        def command(message_id: int) -> bytes:
            return encode_store(message_id, sop_class_uid, sop_instance_uid, priority, move_originator)

        answer, _ = await self._exchange.ask(question, command, as_views(data))
        return store_result(answer, sop_instance_uid)

    def syntax_of(self, sop_class_uid: str) -> str:
        """The transfer syntax in which identifiers of `find`, `get`, `move` and data of `normalised` have to be.
        `ContextNotAccepted`."""
        return self._agreed.of_class(sop_class_uid).transfer_syntax

    def find(self, identifier: bytes, *, sop_class_uid: str, priority: int = MEDIUM) -> Operation:
        """C-FIND. Iterate: each `Progress` holds an identifier. `ContextNotAccepted` leaves all as it was."""
        return self._operation(Query(CommandField.C_FIND_RQ, identifier, sop_class_uid, priority))

    def get(self, identifier: bytes, *, sop_class_uid: str, store: Store, priority: int = MEDIUM) -> Operation:
        """C-GET. `store` is called for each instance while the operation is iterated; its sinks hold the peer
        back as long as they take. The storage contexts must have been proposed with `scp=True`."""
        return self._operation(Query(CommandField.C_GET_RQ, identifier, sop_class_uid, priority), Incoming(self.core, store))

    def move(
        self, identifier: bytes, *, sop_class_uid: str, destination: str, priority: int = MEDIUM, message_id: int | None = None
    ) -> Operation:
        """C-MOVE to the AE title `destination`, as the peer knows it.

        The peer names our AE title and the message id to whom it sends (PS3.7 9.3.1.1): `message_id`, 1 to 65535, tells
        several moves apart that are asked for on different associations. ValueError for another one.
        """
        wanted = as_message_id(message_id)
        return self._operation(Query(CommandField.C_MOVE_RQ, identifier, sop_class_uid, priority, destination, wanted))

    async def normalised(self, request: NormalisedRequest) -> NormalisedAnswer:
        """An N- request and its answer. The message id is given here; without `transfer_syntax_uid`, the first
        context of the SOP class is taken."""
        context_id = self._agreed.for_normalised(request)
        response = CommandField(encode_normalised(request, 0).field | 0x8000)
        self._exchange.listener.takes_reports = True
        data = [memoryview(request.data)] if request.data else []
        question = Question(response, 0, context_id)
        return read_normalised_answer(
            *await self._exchange.ask(question, lambda number: encode_normalised(request, number), data)
        )

    async def await_report(
        self, seconds: float, answer: Callable[[NormalisedRequest], Awaitable[NormalisedAnswer] | NormalisedAnswer]
    ) -> NormalisedRequest | None:
        """Wait for an N-EVENT-REPORT of the peer on this association and answer it. None when none came.

        Raises as `dimse.blocking.ClientAssociation.await_report`.
        """
        asked = await self._exchange.next_report(seconds)
        if asked is None:
            return None
        request = asked.normalised()
        answers = Answers(self.core, asked)
        try:
            said = await settle(answer(request))
        except Exception as error:
            final = final_of(error)
            await self._exchange.send(answers.normalised(NormalisedAnswer(final.status, final.comment)))
            raise
        await self._exchange.send(answers.normalised(said))
        return request

    async def release(self) -> None:
        """End the association in order and close; abort it when an operation is still under way. Raises when
        the peer does not confirm."""
        await self._exchange.release()

    async def abort(self) -> None:
        """Abort and close. Never raises."""
        await self._exchange.abort()

    def close(self) -> None:
        """Close the connection without a word."""
        self._exchange.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        """Release; abort when the block failed. A peer that does not confirm is forgiven: all is answered."""
        if kind is not None:
            await self.abort()
            return
        with suppress(AssociationFailure):
            await self.release()

    def _operation(self, query: Query, incoming: Incoming | None = None) -> Operation:
        context = self._agreed.of_class(query.sop_class_uid)
        question = Question(query.response, query.message_id, context.context_id, patient=incoming is not None)
        query.command(0)  # what cannot be asked is said now
        self._exchange.check()
        return Operation(self._exchange, question, query.command, query.identifier, context, incoming)
