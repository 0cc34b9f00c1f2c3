"""An association without I/O: bytes in, events out; calls in, bytes out (PS3.8 sections 7 and 9).

::

    association.receive(view)                  # what recv_into() brought
    while (event := association.next_event()) is not None:
        ...                                    # views in events end with the next receive()

Any bytes give events or `RemoteProtocolError`, nothing else. Memory is bounded: association PDUs by
`MAX_ASSOCIATE_BODY`, command sets by `MAX_COMMAND`; data sets are never held. The clock is the caller's:
while `artim_runs` is true the caller runs a timer and calls `timer_expired` (PS3.8 section 9.1.5).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from dimse import pdu as pdus
from dimse.commands import MAX_COMMAND, Command, decode_command, encode_command, encode_store_response
from dimse.errors import LocalProtocolError, RemoteProtocolError
from dimse.events import (
    Aborted,
    AssociationAccepted,
    AssociationRejectedEvent,
    AssociationRequested,
    CommandReceived,
    ConnectionEnded,
    DataFragment,
    Event,
)
from dimse.expected import HAPPENINGS, INVALID, RELEASE_EVENTS, objection
from dimse.messages import LAST_FLAG, Buffer, fragment_size, pack_command, pack_message, take_run
from dimse.negotiation import AcceptedContext, agreed
from dimse.pdu import (
    DATA_HEADER,
    P_DATA_TF,
    PDU_HEADER,
    PDV_HEADER,
    Abort,
    AssociateAccept,
    AssociateReject,
    AssociateRequest,
)
from dimse.states import TABLE, Action, Happening, Role, State, after_collision

_OWES_REPLY = frozenset({State.RELEASE_REQUESTED, State.COLLISION_REQUESTOR_REPLIES, State.COLLISION_ACCEPTOR_REPLIES})
_NOTHING = memoryview(b"")
_NO_LIMIT = 0xFFFFFFFF


class Association:
    """One side of an association. `max_pdu` is what we announce: bytes after a PDU header, 0 = without
    limit."""

    def __init__(self, role: Role, *, max_pdu: int = 131072) -> None:
        self.role = role
        self.max_pdu = max_pdu
        self.state = State.IDLE
        #: What was agreed on, by context id.
        self.contexts: dict[int, AcceptedContext] = {}
        self.request_pdu: AssociateRequest | None = None
        self.accept_pdu: AssociateAccept | None = None
        self._fragment = 0
        self._view = _NOTHING
        self._position = 0
        self._end = 0
        self._carry = bytearray()
        self._pdu_kind = 0  # 0: the header of a PDU is next
        self._pdu_left = 0
        self._in_pdv = False
        self._pdv_left = 0
        self._pdv_context = 0
        self._pdv_flags = 0
        self._message_context = 0  # 0: between messages
        self._in_data = False
        self._command = bytearray()
        if role is Role.ACCEPTOR:
            self._step(Happening.ACCEPTED_CONNECTION)

    @property
    def artim_runs(self) -> bool:
        """True while the association request timer has to run."""
        return self.state in {State.AWAITING_REQUEST, State.AWAITING_CLOSE}

    @property
    def in_message(self) -> bool:
        """True inside a message or PDU: more bytes have to come soon."""
        return bool(self._message_context or self._pdu_kind or self._carry)

    @property
    def owes_release_reply(self) -> bool:
        """True when `reply_release` is what comes next."""
        return self.state in _OWES_REPLY

    def request(self, pdu: AssociateRequest) -> bytes:
        """A-ASSOCIATE-RQ, to be sent once the TCP connection is open (requestor)."""
        self._step(Happening.ASK_ASSOCIATION)
        self._step(Happening.CONNECTED)
        self.request_pdu = pdu
        return pdus.encode_request(pdu)

    def accept(self, pdu: AssociateAccept) -> bytes:
        """A-ASSOCIATE-AC (acceptor). `RemoteProtocolError` when the peer cannot take any sensible PDU."""
        request = self.request_pdu
        if request is None or self.state is not State.AWAITING_DECISION:
            raise LocalProtocolError("there is no association request to accept")
        try:
            self._fragment = fragment_size(request.user.max_length)
        except RemoteProtocolError as error:
            raise self._failure(str(error), INVALID) from None
        try:
            self.contexts = agreed(request, pdu)
        except RemoteProtocolError as error:
            raise LocalProtocolError(str(error)) from None
        self.accept_pdu = pdu
        self._step(Happening.ACCEPT)
        return pdus.encode_accept(pdu)

    def reject(self, pdu: AssociateReject) -> bytes:
        """A-ASSOCIATE-RJ (acceptor)."""
        self._step(Happening.REJECT)
        return pdus.encode_reject(pdu)

    def send_command(self, context_id: int, command: Command | bytes) -> bytes:
        """A message without data set."""
        self._may_send(context_id)
        raw = command if isinstance(command, bytes) else encode_command(command)
        return pack_command(context_id, raw, self._fragment)

    def send_message(self, context_id: int, command: Command | bytes, data: Sequence[memoryview]) -> Iterator[list[Buffer]]:
        """A message with data set, as batches for `sendmsg`; nothing is copied."""
        self._may_send(context_id)
        raw = command if isinstance(command, bytes) else encode_command(command)
        return pack_message(context_id, raw, data, self._fragment)

    def send_store_response(
        self, context_id: int, message_id: int, uids: tuple[str, str], status: int = 0, comment: str = ""
    ) -> bytes:
        """C-STORE-RSP; `uids` are affected SOP class and instance."""
        self._may_send(context_id)
        raw = encode_store_response(message_id, uids[0], uids[1], status, comment)
        return pack_command(context_id, raw, self._fragment)

    def ask_release(self) -> bytes:
        """A-RELEASE-RQ."""
        self._step(Happening.ASK_RELEASE)
        return pdus.RELEASE_REQUEST_BYTES

    def reply_release(self) -> bytes:
        """A-RELEASE-RP."""
        self._step(Happening.REPLY_RELEASE)
        return pdus.RELEASE_REPLY_BYTES

    def abort(self, source: int = 0, reason: int = 0) -> bytes:
        """A-ABORT. Empty when there is nothing to abort: then only the connection is closed."""
        if (self.state, Happening.ABORT) not in TABLE:
            self.state = State.AWAITING_CLOSE
            return b""
        if self._step(Happening.ABORT) is Action.CLOSE:
            return b""
        return pdus.encode_abort(Abort(source, reason))

    def timer_expired(self) -> None:
        """ARTIM ran out: close the connection now."""
        if self.artim_runs:
            self._step(Happening.TIMER_EXPIRED)

    def connection_ended(self) -> ConnectionEnded:
        """The peer closed the TCP connection, or it broke."""
        if self.state is State.IDLE:
            return ConnectionEnded(clean=True)
        action = self._step(Happening.CLOSED)
        return ConnectionEnded(clean=action is Action.STOP_TIMER)

    def _may_send(self, context_id: int) -> None:
        if self.state is not State.ESTABLISHED:
            self._step(Happening.SEND_DATA)
        if context_id not in self.contexts:
            raise LocalProtocolError(f"context {context_id} is not accepted")

    def receive(self, data: bytes | bytearray | memoryview) -> None:
        """Bytes from the peer. All events of the bytes before must have been taken."""
        if self._position < self._end:
            raise LocalProtocolError("receive() before next_event() gave None")
        self._view = data if isinstance(data, memoryview) else memoryview(data)
        self._position = 0
        self._end = len(self._view)

    def next_event(self) -> Event | None:
        """The next event in the bytes received, None when more bytes are needed."""
        try:
            return self._next()
        except RemoteProtocolError as error:
            if error.reply or self.state in {State.AWAITING_CLOSE, State.IDLE}:
                raise
            raise self._failure(str(error), error.reason) from None

    def _next(self) -> Event | None:
        event: Event | None
        while True:
            if self._in_pdv:
                event = self._fragment_event()
                if event is not None:
                    return event
                if self._in_pdv:
                    return None
            elif self._pdu_kind == P_DATA_TF:
                header = self._take(6)
                if header is None:
                    return None
                self._begin_pdv(*PDV_HEADER.unpack(header))
            elif self._pdu_kind:
                body = self._take(self._pdu_left)
                if body is None:
                    return None
                kind, self._pdu_kind = self._pdu_kind, 0
                event = self._control(kind, bytes(body))
                if event is not None:
                    return event
            elif not self._begin_pdu():
                return None

    def _take(self, size: int) -> bytes | memoryview | None:
        """The next `size` bytes in one piece, kept over calls when they come in parts."""
        position = self._position
        if not self._carry and self._end - position >= size:
            self._position = position + size
            return self._view[position : position + size]
        piece = self._view[position : min(self._end, position + size - len(self._carry))]
        self._carry += piece
        self._position = position + len(piece)
        if len(self._carry) < size:
            return None
        taken = bytes(self._carry)
        self._carry.clear()
        return taken

    def _begin_pdu(self) -> bool:
        """Read a PDU header, of P-DATA-TF usually with the header of its first value."""
        position = self._position
        if self.state is State.AWAITING_CLOSE or self.state is State.IDLE:
            self._position = self._end  # AA-6: nothing counts any more
            return False
        if self.state is State.ESTABLISHED and self._end - position >= 12 and not self._carry:
            kind, length, pdv_length, context_id, flags = DATA_HEADER.unpack_from(self._view, position)
            if kind == P_DATA_TF and (length <= self.max_pdu or not self.max_pdu):
                self._position = position + 12
                self._pdu_kind = P_DATA_TF
                self._pdu_left = length
                self._begin_pdv(pdv_length, context_id, flags)
                return True
        header = self._take(6)
        if header is None:
            return False
        kind, length = PDU_HEADER.unpack(header)
        if wrong := objection(self.state, kind, length, self.max_pdu):
            raise self._failure(*wrong)
        self._pdu_kind, self._pdu_left = kind, length
        return True

    def _begin_pdv(self, length: int, context_id: int, flags: int) -> None:
        if length < 2 or length + 4 > self._pdu_left:
            raise self._failure(f"data value of {length} bytes in {self._pdu_left} left of its PDU", INVALID)
        if flags & 1:
            if self._in_data or (self._message_context and self._message_context != context_id):
                raise self._failure("command inside another message", INVALID)
        elif not self._in_data or self._message_context != context_id:
            raise self._failure("data set without its command", INVALID)
        if context_id not in self.contexts:
            raise self._failure(f"data value in context {context_id}, which is not accepted", INVALID)
        self._message_context = self._pdv_context = context_id
        self._pdv_flags = flags
        self._pdv_left = length - 2
        self._pdu_left -= length + 4
        self._in_pdv = True

    def _fragment_event(self) -> Event | None:
        """The bytes at hand of the current data value."""
        position, left = self._position, self._pdv_left
        size = self._end - position
        if size > left:
            size = left
        elif not size and left:
            return None
        view = self._view[position : position + size]
        self._position = position + size
        self._pdv_left = left = left - size
        if not left:
            self._in_pdv = False
            if self._pdu_left < 6:
                if self._pdu_left:
                    raise self._failure(f"{self._pdu_left} stray bytes at the end of a P-DATA-TF", INVALID)
                self._pdu_kind = 0
        last = not left and bool(self._pdv_flags & 2)
        if self._pdv_flags & 1:
            return self._command_event(view, last)
        views = [view] if size else []
        if not (last or left or self._pdu_kind):
            last = self._data_run(views)
        if last:
            self._in_data = False
            self._message_context = 0
        elif not views:
            return None
        return DataFragment(self._pdv_context, views, last)

    def _data_run(self, views: list[memoryview]) -> bool:
        """What goes on with the data set, without an event for each PDU; true when its last value is among it. All else
        is left for the way that judges it."""
        context = self._message_context
        run = take_run(self._view, self._position, context, self.max_pdu or _NO_LIMIT, views)
        self._position = min(run.position, self._end)
        if run.position > self._end:  # the beginning of a value, whose rest comes with the next bytes
            self._pdu_kind, self._pdu_left = P_DATA_TF, 0
            self._pdv_context, self._pdv_flags, self._pdv_left = context, run.flags, run.position - self._end
            self._in_pdv = True
            return False
        return bool(run.flags & LAST_FLAG)

    def _command_event(self, view: memoryview, last: bool) -> CommandReceived | None:
        if len(self._command) + len(view) > MAX_COMMAND:
            raise self._failure(f"command set of more than {MAX_COMMAND} bytes", INVALID)
        if not last:
            self._command += view
            return None
        if self._command:
            self._command += view
            command = decode_command(self._command)
            self._command.clear()
        else:
            command = decode_command(view)
        self._in_data = command.has_data_set
        if not self._in_data:
            self._message_context = 0
        return CommandReceived(self._pdv_context, command, self._in_data)

    def _control(self, kind: int, body: bytes) -> Event | None:
        """A whole PDU other than P-DATA-TF, expected in this state."""
        if kind == pdus.ASSOCIATE_RQ:
            self.request_pdu = pdus.decode_request(body)
            self._step(Happening.REQUEST_PDU)
            return AssociationRequested(self.request_pdu)
        if kind == pdus.ASSOCIATE_AC:
            return self._accepted(pdus.decode_accept(body))
        if kind == pdus.ASSOCIATE_RJ:
            reject = pdus.decode_reject(body)
            self._step(Happening.REJECT_PDU)
            return AssociationRejectedEvent(reject)
        if kind == pdus.ABORT:
            abort = pdus.decode_abort(body)
            self._step(Happening.ABORT_PDU)
            return Aborted(abort.source, abort.reason)
        return RELEASE_EVENTS[self._step(HAPPENINGS[kind])]()

    def _accepted(self, accept: AssociateAccept) -> AssociationAccepted:
        if self.request_pdu is None:
            raise LocalProtocolError("no association was asked for")
        self.contexts = agreed(self.request_pdu, accept)
        self._fragment = fragment_size(accept.user.max_length)
        self.accept_pdu = accept
        self._step(Happening.ACCEPT_PDU)
        return AssociationAccepted(accept)

    def _step(self, happening: Happening) -> Action:
        cell = TABLE.get((self.state, happening))
        if cell is None:
            raise LocalProtocolError(f"{happening.name} is not possible while {self.state.name}")
        action, self.state = cell
        if action is Action.TELL_COLLISION:
            self.state = after_collision(self.role)
        return action

    def _failure(self, text: str, reason: int) -> RemoteProtocolError:
        """The peer broke the protocol (Evt19 and AA-1, AA-8): what is left of its bytes is dropped."""
        source = 0 if self.state is State.AWAITING_REQUEST else 2
        self._step(Happening.INVALID_PDU)
        self._position = self._end
        self._carry.clear()
        self._command.clear()
        self._pdu_kind = self._pdu_left = self._message_context = 0
        self._in_pdv = self._in_data = False
        return RemoteProtocolError(
            text, reason=reason, source=source, reply=pdus.encode_abort(Abort(source, reason if source else 0))
        )
