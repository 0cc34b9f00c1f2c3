"""A requestor with a blocking socket: C-ECHO and C-STORE, one operation at a time."""

from __future__ import annotations

import socket
from collections.abc import Mapping, Sequence
from contextlib import suppress
from time import monotonic
from types import TracebackType
from typing import Self

from dimse.association import Association
from dimse.blocking.sockets import close_politely, quick_ack, send_all, send_batch, set_no_delay, set_timeouts
from dimse.commands import (
    RESPONDED_ID,
    STATUS,
    Command,
    CommandField,
)
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


def connect(
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
    """Open an association. Times in seconds; `response_timeout` is for each answer and each blocked write.

    Raises `ConnectFailed`, `AssociationRejected`, `AssociationAborted`, `TimedOut`, `ConnectionLost`,
    `RemoteProtocolError`; `LocalProtocolError` for more than 128 contexts or AE titles of more than 16
    characters.
    """
    request = build_request(called_aet, calling_aet, contexts, max_pdu)
    try:
        sock = socket.create_connection((host, port), connect_timeout)
    except OSError as error:
        raise ConnectFailed(f"no connection to {host}:{port}: {error.strerror or error}") from None
    return connect_over(sock, request, response_timeout=response_timeout)


def connect_over(sock: socket.socket, request: AssociateRequest, *, response_timeout: float = 60.0) -> ClientAssociation:
    """The same over a connection that is open already, with a request of one's own (user identity, roles).

    Takes the socket over. Raises as `connect`.
    """
    association = ClientAssociation(sock, request, response_timeout)
    try:
        set_no_delay(sock)
        set_timeouts(sock, response_timeout, response_timeout)
        association.negotiate()
    except BaseException:
        association.close()
        raise
    return association


class ClientAssociation:
    """An association as requestor. Not for several threads at once. Made by `connect`."""

    def __init__(self, sock: socket.socket, request: AssociateRequest, response_timeout: float) -> None:
        self._sock = sock
        self._request = request
        self._timeout = response_timeout
        self._core = Association(Role.REQUESTOR, max_pdu=request.user.max_length)
        self._listener = Listener(self._core)
        self._view = memoryview(bytearray(_RECEIVE_BUFFER))
        self._accepted: dict[tuple[str, str], int] = {}
        self._message_id = 0
        self._closed = False

    @property
    def accepted(self) -> Mapping[tuple[str, str], int]:
        """(SOP class, transfer syntax) -> context id."""
        return self._accepted

    def negotiate(self) -> None:
        """Ask for the association and wait for the answer; `connect` has done this."""
        self._send(self._core.request(self._request))
        deadline = monotonic() + self._timeout
        while self._core.accept_pdu is None:
            self._take(self._receive(deadline))
        self._accepted = accepted_map(self._core.contexts)

    @property
    def core(self) -> Association:
        """The protocol core: what was negotiated."""
        return self._core

    def echo(self) -> int:
        """C-ECHO; the status of the answer (0 is success)."""
        context_id = self._context(VERIFICATION)
        message_id = self._next_id()
        self._send(self._core.send_command(context_id, encode_echo(message_id)))
        return self._await_answer(message_id, CommandField.C_ECHO_RSP).number(STATUS)

    def store(
        self,
        *,
        sop_class_uid: str,
        sop_instance_uid: str,
        transfer_syntax_uid: str,
        data: Bytes | Sequence[Bytes],
        priority: int = 0,
        move_originator: tuple[str, int] | None = None,
    ) -> StoreResult:
        """C-STORE of a data set that is encoded already; nothing of it is copied.

        `move_originator` is (AE title, message id) of the C-MOVE this belongs to. `ContextNotAccepted` leaves
        the association usable, other errors do not.
        """
        context_id = self._accepted.get((sop_class_uid, transfer_syntax_uid))
        if context_id is None:
            raise ContextNotAccepted(f"{sop_class_uid} in {transfer_syntax_uid} was not accepted")
        message_id = self._next_id()
        command = encode_store(message_id, sop_class_uid, sop_instance_uid, priority, move_originator)
        first = True
        for batch in self._core.send_message(context_id, command, as_views(data)):
            if not first:
                self._look()
            first = False
            try:
                send_batch(self._sock, batch)
            except AssociationFailure as error:
                raise self._why(error) from None
        return store_result(self._await_answer(message_id, CommandField.C_STORE_RSP))

    def release(self) -> None:
        """End the association in order and close. Raises when the peer does not confirm."""
        if self._closed:
            return
        try:
            self._send(self._core.ask_release())
            deadline = monotonic() + self._timeout
            while not self._listener.released:
                self._take(self._receive(deadline))
        finally:
            self.close()

    def abort(self) -> None:
        """Abort and close. Never raises."""
        if self._closed:
            return
        self._goodbye(self._core.abort())

    def close(self) -> None:
        """Close the connection without a word."""
        self._closed = True
        self._sock.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        """Release; abort when the block failed. A peer that does not confirm is forgiven: all is answered."""
        if kind is not None:
            self.abort()
            return
        with suppress(AssociationFailure):
            self.release()

    # --- inside ---

    def _context(self, abstract_syntax: str) -> int:
        for (abstract, _), context_id in self._accepted.items():
            if abstract == abstract_syntax:
                return context_id
        raise ContextNotAccepted(f"{abstract_syntax} was not accepted")

    def _next_id(self) -> int:
        if self._closed:
            raise LocalProtocolError("the association is closed")
        self._message_id = self._message_id % 65535 + 1
        self._listener.answer = None
        return self._message_id

    def _send(self, data: bytes) -> None:
        try:
            send_all(self._sock, data)
        except AssociationFailure as error:
            raise self._why(error) from None

    def _why(self, error: AssociationFailure) -> AssociationFailure:
        """A write failed: if the peer said why before it closed, that is the better error."""
        try:
            while self._look():
                continue
        except AssociationFailure as better:
            return better
        except OSError:
            pass
        self.close()
        return error

    def _look(self) -> bool:
        """Take what the peer has sent so far without waiting. True when there was something."""
        try:
            size = self._sock.recv_into(self._view, 0, socket.MSG_DONTWAIT)
        except BlockingIOError:
            return False
        except OSError:
            size = 0
        if not size:
            self.close()
            raise ConnectionLost("the peer closed the connection")
        self._take(size)
        return True

    def _receive(self, deadline: float) -> int:
        """Wait for bytes."""
        try:
            quick_ack(self._sock)
            size = self._sock.recv_into(self._view)
        except BlockingIOError:
            size = -1
        except OSError:
            size = 0
        if size == 0:
            self.close()
            raise ConnectionLost("the peer closed the connection")
        if size < 0 or monotonic() > deadline:
            self.abort()
            raise TimedOut(f"no answer in {self._timeout:g} s")
        return size

    def _await_answer(self, message_id: int, field: CommandField) -> Command:
        deadline = monotonic() + self._timeout
        while (answer := self._listener.answer) is None:
            self._take(self._receive(deadline))
        self._listener.answer = None
        if answer.number(RESPONDED_ID) != message_id or answer.field != field:
            self.abort()
            raise RemoteProtocolError(f"{answer.name} does not answer the question that was asked", reason=2)
        return answer

    def _take(self, size: int) -> None:
        """Act on received bytes."""
        try:
            replies = self._listener.hear(self._view[:size])
        except RemoteProtocolError as error:
            self._goodbye(error.reply)
            raise
        except AssociationFailure:
            self._goodbye(self._core.reply_release() if self._core.owes_release_reply else b"")
            raise
        for reply in replies:
            self._send(reply)

    def _goodbye(self, last: bytes) -> None:
        """The association is over: a last PDU if there is one to send, then close."""
        self._closed = True
        if not last:
            self._sock.close()
            return
        with suppress(AssociationFailure, OSError):
            send_all(self._sock, last)
        close_politely(self._sock, _GOODBYE_SECONDS)
