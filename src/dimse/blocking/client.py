"""A requestor with a blocking socket, one operation at a time."""

from __future__ import annotations

import select
import socket
import threading
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from time import monotonic
from types import TracebackType
from typing import Self

from dimse.acceptance import Limits, Progress
from dimse.answering import Answers, final_of, send_with_data
from dimse.asking import Agreed, Query, as_message_id, encode_cancel, encode_normalised, read_normalised_answer
from dimse.association import Association
from dimse.blocking.operation import Incoming, Operation, Store
from dimse.blocking.sockets import (
    Socket,
    close_politely,
    quick_ack,
    send_all,
    send_batch,
)
from dimse.commands import STATUS, Command, CommandField
from dimse.errors import (
    AssociationFailure,
    ConnectionLost,
    LocalProtocolError,
    NotAnswered,
    RemoteProtocolError,
    TimedOut,
    TlsError,
)
from dimse.events import DataFragment
from dimse.messages import Buffer
from dimse.negotiation import relational_classes
from dimse.operations import MEDIUM, NormalisedAnswer, NormalisedRequest
from dimse.pdu import AssociateRequest
from dimse.requesting import (
    Bytes,
    Listener,
    StoreBegins,
    StoreResult,
    as_views,
    encode_echo,
    encode_store,
    store_result,
)
from dimse.states import Role
from dimse.uids import VERIFICATION

_RECEIVE_BUFFER = 65536
_GOODBYE_SECONDS = 0.2


class ClientAssociation:
    """An association as requestor. Not for several threads at once. Made by `connect`."""

    def __init__(self, sock: Socket, request: AssociateRequest, response_timeout: float) -> None:
        self._sock = sock
        self._request = request
        self._timeout = response_timeout
        self._core = Association(Role.REQUESTOR, max_pdu=request.user.max_length)
        self._listener = Listener(self._core)
        self._view = memoryview(bytearray(_RECEIVE_BUFFER))
        self._agreed = Agreed({})
        self._message_id = 0
        self._closed = False
        self._operation: Operation | None = None
        self._incoming: Incoming | None = None
        self._sending = threading.Lock()

    @property
    def accepted(self) -> Mapping[tuple[str, str], int]:
        """(SOP class, transfer syntax) -> context id."""
        return self._agreed.accepted

    @property
    def relational(self) -> frozenset[str]:
        """SOP classes for which relational queries were agreed on (asked for with `extended`)."""
        accept = self._core.accept_pdu
        return relational_classes(self._request, accept) if accept is not None else frozenset()

    def negotiate(self) -> None:
        """Ask for the association and wait for the answer; `connect` has done this."""
        try:
            self._send(self._core.request(self._request))
            deadline = monotonic() + self._timeout
            while self._core.accept_pdu is None:
                self._take(self._receive(deadline))
        except ConnectionLost as error:
            raise NotAnswered(f"{error} before it answered the association request") from error
        self._agreed = Agreed(self._core.contexts)

    @property
    def core(self) -> Association:
        """The protocol core: what was negotiated."""
        return self._core

    def echo(self) -> int:
        """C-ECHO; the status of the answer (0 is success)."""
        context_id = self._agreed.of_class(VERIFICATION).context_id
        message_id = self._next_id(CommandField.C_ECHO_RSP)
        self._send(self._core.send_command(context_id, encode_echo(message_id)))
        return self._await_answer()[0].number(STATUS)

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
        context_id = self._agreed.to_store(sop_class_uid, transfer_syntax_uid)
        message_id = self._next_id(CommandField.C_STORE_RSP)
        command = encode_store(message_id, sop_class_uid, sop_instance_uid, priority, move_originator)
        self._send_batches(self._core.send_message(context_id, command, as_views(data)))
        return store_result(self._await_answer()[0], sop_instance_uid)

    def syntax_of(self, sop_class_uid: str) -> str:
        """The transfer syntax in which identifiers of `find`, `get`, `move` and data of `normalised` have to be.
        `ContextNotAccepted`."""
        return self._agreed.of_class(sop_class_uid).transfer_syntax

    def find(self, identifier: bytes, *, sop_class_uid: str, priority: int = MEDIUM) -> Operation:
        """C-FIND. Iterate: each `Progress` holds an identifier; `ContextNotAccepted` leaves all as it was."""
        return self._begin(Query(CommandField.C_FIND_RQ, identifier, sop_class_uid, priority))

    def get(self, identifier: bytes, *, sop_class_uid: str, store: Store, priority: int = MEDIUM) -> Operation:
        """C-GET. `store` is called for each instance while the operation is iterated; its sinks hold the peer
        back as long as they take. The storage contexts must have been proposed with `scp=True`."""
        return self._begin(Query(CommandField.C_GET_RQ, identifier, sop_class_uid, priority), Incoming(self._core, store))

    def move(
        self, identifier: bytes, *, sop_class_uid: str, destination: str, priority: int = MEDIUM, message_id: int | None = None
    ) -> Operation:
        """C-MOVE to the AE title `destination`, as the peer knows it; `message_id` as in `dimse.aio`."""
        wanted = as_message_id(message_id)
        return self._begin(Query(CommandField.C_MOVE_RQ, identifier, sop_class_uid, priority, destination, wanted))

    def normalised(self, request: NormalisedRequest) -> NormalisedAnswer:
        """An N- request and its answer. The message id is given here; without `transfer_syntax_uid`, the first
        context of the SOP class is taken."""
        context_id = self._agreed.for_normalised(request)
        command = encode_normalised(request, 0)
        message_id = self._next_id(CommandField(command.field | 0x8000))
        self._listener.takes_reports = True
        self._send_batches(send_with_data(self._core, context_id, encode_normalised(request, message_id), request.data))
        return read_normalised_answer(*self._await_answer())

    def await_report(self, seconds: float, answer: Callable[[NormalisedRequest], NormalisedAnswer]) -> NormalisedRequest | None:
        """Wait for an N-EVENT-REPORT of the peer on this association and answer it. None when none came.

        Raises as other methods do; `AssociationReleased` when the peer rather uses another association. What
        `answer` raises is answered with `Refused`'s status or 0110, and raised again.
        """
        listener = self._listener
        listener.takes_reports = True
        deadline = monotonic() + seconds
        while not listener.reports:
            if self._closed:
                raise LocalProtocolError("the association is closed")
            left = deadline - monotonic()
            if not self._look():
                if left <= 0:
                    return None
                select.select([self._sock.fileno()], [], [], left)
        asked = listener.reports.popleft()
        request = asked.normalised()
        try:
            said = answer(request)
        except Exception as error:
            final = final_of(error)
            self._send_batches(Answers(self._core, asked).normalised(NormalisedAnswer(final.status, final.comment)))
            raise
        self._send_batches(Answers(self._core, asked).normalised(said))
        return request

    def release(self) -> None:
        """End the association in order and close; abort it when an operation is still under way. Raises when
        the peer does not confirm."""
        if self._closed:
            return
        if self._operation is not None and not self._operation.done:
            self.abort()
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
        self._over()
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

    def _next_id(self, answer: CommandField, wanted: int = 0) -> int:
        """A message id for a question, whose answer is awaited from now on."""
        if self._closed:
            raise LocalProtocolError("the association is closed")
        if self._operation is not None and not self._operation.done:
            raise LocalProtocolError("an operation is still under way: iterate to its end")
        self._message_id = wanted or self._message_id % 65535 + 1
        self._incoming = None
        self._listener.expect(self._message_id, answer)
        return self._message_id

    def _begin(self, query: Query, incoming: Incoming | None = None) -> Operation:
        context = self._agreed.of_class(query.sop_class_uid)
        query.command(0)  # what cannot be asked is said before anything has changed
        message_id = self._next_id(query.response, query.message_id)
        self._incoming = incoming
        self._listener.takes_stores = incoming is not None
        command = query.command(message_id)
        self._send_batches(send_with_data(self._core, context.context_id, command, query.identifier))
        self._operation = Operation(message_id, context, self._await_answer, self._cancel)
        return self._operation

    def _cancel(self, context_id: int, message_id: int) -> None:
        with self._sending:
            send_all(self._sock, self._core.send_command(context_id, encode_cancel(message_id)))

    def _send(self, data: bytes) -> None:
        try:
            with self._sending:
                send_all(self._sock, data)
        except AssociationFailure as error:
            raise self._why(error) from None

    def _send_batches(self, batches: Iterable[list[Buffer]]) -> None:
        """A message; between batches the peer is heard."""
        first = True
        for batch in batches:
            if not first:
                self._look()
            first = False
            try:
                with self._sending:
                    send_batch(self._sock, batch)
            except AssociationFailure as error:
                raise self._why(error) from None

    def _why(self, error: AssociationFailure) -> AssociationFailure:
        """A write failed: if the peer said why before it closed, that is the better error."""
        try:
            while self._look():
                continue
        except AssociationFailure as better:
            return better
        except (OSError, LocalProtocolError):
            pass  # nothing more to hear, or in the middle of hearing
        self.close()
        return error

    def _look(self) -> bool:
        """Take what the peer has sent so far without waiting. True when there was something."""
        try:
            size = self._sock.recv_into(self._view, 0, socket.MSG_DONTWAIT)
        except BlockingIOError:
            return False
        except TlsError:
            self.close()
            raise
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
        except TlsError:
            self.close()
            raise
        except OSError:
            size = 0
        if size == 0:
            self.close()
            raise ConnectionLost("the peer closed the connection")
        if size < 0 or monotonic() > deadline:
            self.abort()
            raise TimedOut(f"no answer in {self._timeout:g} s")
        return size

    def _await_answer(self) -> tuple[Command, bytes]:
        """The next answer."""
        answers = self._listener.answers
        if self._incoming is not None:
            self._await_instances()
        deadline = monotonic() + self._timeout
        while not answers:
            if self._closed:
                raise LocalProtocolError("the association is closed")
            self._take(self._receive(deadline))
        return answers.popleft()

    def _await_instances(self) -> None:
        """Until the next answer to a C-GET, or its end: `response_timeout` begins anew with every byte, but a
        message may not be slower than the minimum rate of `Limits`."""
        progress = Progress(Limits())
        while not self._listener.answers and not self._closed:
            before = monotonic()
            size = self._receive(before + self._timeout)
            self._take(size)
            progress.add(size, monotonic() - before, self._core.in_message)
            if progress.too_slow():
                self.abort()
                raise TimedOut("an instance came slower than the minimum rate")

    def _take(self, size: int) -> None:
        """Act on received bytes."""
        try:
            for step in self._listener.listen(self._view[:size]):
                if isinstance(step, bytes):
                    self._send(step)
                else:
                    self._store(step)
        except RemoteProtocolError as error:
            self._goodbye(error.reply)
            raise
        except AssociationFailure:
            self._goodbye(self._core.reply_release() if self._core.owes_release_reply else b"")
            raise

    def _store(self, step: StoreBegins | DataFragment) -> None:
        incoming = self._incoming
        assert incoming is not None  # otherwise stores are refused by the listener
        if isinstance(step, StoreBegins):
            incoming.begin(step)
        elif reply := incoming.piece(step):
            self._send(reply)

    def _over(self) -> None:
        self._closed = True
        if self._incoming is not None:
            self._incoming.abort()

    def _goodbye(self, last: bytes) -> None:
        """The association is over: a last PDU if there is one to send, then close."""
        self._over()
        if not last:
            self._sock.close()
            return
        with suppress(AssociationFailure, OSError):
            send_all(self._sock, last)
        close_politely(self._sock, _GOODBYE_SECONDS)
