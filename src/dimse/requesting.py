"""What the blocking and the asyncio client share: the request, the C-STORE command, its result."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from dimse.acceptance import StoreAnswer, StoreRequest, read_store, response_to
from dimse.answering import Asked
from dimse.association import Association
from dimse.commands import (
    AFFECTED_CLASS,
    AFFECTED_INSTANCE,
    COMMENT,
    MESSAGE_ID,
    MOVE_AET,
    MOVE_ID,
    RESPONDED_ID,
    STATUS,
    Command,
    CommandField,
    encode_elements,
    encode_store_request,
)
from dimse.errors import (
    AssociationAborted,
    AssociationRejected,
    AssociationReleased,
    LocalProtocolError,
    RemoteProtocolError,
)
from dimse.events import (
    Aborted,
    AssociationRejectedEvent,
    CommandReceived,
    DataFragment,
    Event,
    ReleaseConfirmed,
    ReleaseRequested,
)
from dimse.items import CommonExtendedNegotiation, ExtendedNegotiation, UserIdentity, UserInformation
from dimse.negotiation import AcceptedContext, ContextProposal, propose, role_items
from dimse.operations import MAX_IDENTIFIER
from dimse.pdu import AssociateRequest
from dimse.states import State
from dimse.status import RESOURCE_LIMITATION, UNRECOGNISED_OPERATION, Category, category_of
from dimse.uids import IMPLEMENTATION_CLASS_UID, IMPLEMENTATION_VERSION, VERIFICATION

Bytes = bytes | bytearray | memoryview
#: Event reports of a peer that wait for `await_report`; more are answered 0213.
MAX_REPORTS = 4


@dataclass(frozen=True, slots=True)
class StoreResult:
    """Answer to a C-STORE: the status as it came and the error comment, if any."""

    status: int
    comment: str = ""

    @property
    def stored(self) -> bool:
        """True for success and warnings: the peer has the instance."""
        return category_of(self.status) in {Category.SUCCESS, Category.WARNING}


def build_request(
    called_aet: str,
    calling_aet: str,
    contexts: Sequence[ContextProposal],
    max_pdu: int,
    user_identity: UserIdentity | None = None,
    extended: Sequence[ExtendedNegotiation | CommonExtendedNegotiation] = (),
) -> AssociateRequest:
    """A-ASSOCIATE-RQ for proposals. `LocalProtocolError` for what cannot be asked."""
    for title in (called_aet, calling_aet):
        if not 1 <= len(title) <= 16 or not title.isascii() or not title.strip():
            raise LocalProtocolError("an AE title has 1 to 16 ASCII characters")
    user = UserInformation(
        max_length=max_pdu,
        implementation_class_uid=IMPLEMENTATION_CLASS_UID,
        implementation_version=IMPLEMENTATION_VERSION,
        roles=role_items(contexts),
        extended=tuple(item for item in extended if isinstance(item, ExtendedNegotiation)),
        common_extended=tuple(item for item in extended if isinstance(item, CommonExtendedNegotiation)),
        user_identity=user_identity,
    )
    return AssociateRequest(called_aet, calling_aet, propose(contexts), user)


def encode_store(
    message_id: int,
    sop_class_uid: str,
    sop_instance_uid: str,
    priority: int,
    move_originator: tuple[str, int] | None,
) -> bytes:
    """C-STORE-RQ command set."""
    tail = b""
    if move_originator is not None:
        tail = encode_elements({MOVE_AET: move_originator[0], MOVE_ID: move_originator[1]})
    return encode_store_request(message_id, sop_class_uid, sop_instance_uid, priority, tail)


def as_views(data: Bytes | Sequence[Bytes]) -> list[memoryview]:
    """Byte views of the data set, in order."""
    pieces = [data] if isinstance(data, bytes | bytearray | memoryview) else data
    return [
        piece if isinstance(piece, memoryview) and piece.format == "B" and piece.ndim == 1 else memoryview(piece).cast("B")
        for piece in pieces
    ]


def store_result(answer: Command, sop_instance_uid: str) -> StoreResult:
    """What a C-STORE-RSP says. `RemoteProtocolError` when it speaks of another instance than the one sent."""
    named = answer.text(AFFECTED_INSTANCE)
    if named and named != sop_instance_uid:
        raise RemoteProtocolError("C-STORE-RSP names another SOP instance than the one that was sent", reason=2)
    return StoreResult(answer.number(STATUS), answer.text(COMMENT))


def encode_echo(message_id: int) -> Command:
    """C-ECHO-RQ."""
    return Command(CommandField.C_ECHO_RQ, {AFFECTED_CLASS: VERIFICATION, MESSAGE_ID: message_id})


@dataclass(frozen=True, slots=True)
class StoreBegins:
    """A C-STORE sub-operation of our C-GET begins; `DataFragment`s of its data set follow."""

    context: AcceptedContext
    command: Command
    request: StoreRequest


class Listener:
    """What a requestor makes of received bytes: answers to its question, requests of the peer, the end."""

    def __init__(self, core: Association) -> None:
        #: Answers that came to what `expect` named, with their data sets; the driver takes them out.
        self.answers: deque[tuple[Command, bytes]] = deque()
        #: N-EVENT-REPORT requests that wait for an answer, when `takes_reports`.
        self.reports: deque[Asked] = deque()
        #: C-STORE requests are for us: a C-GET is open.
        self.takes_stores = False
        #: N-EVENT-REPORT requests are for us: an N- service is in use.
        self.takes_reports = False
        #: True once our release was confirmed.
        self.released = False
        self._core = core
        self._expected: tuple[int, int] = (0, 0)
        self._incoming: Asked | None = None
        self._storing = False

    def expect(self, message_id: int, field: int) -> None:
        """A question is being sent: only responses of this kind to this message id count from now on."""
        self.answers.clear()
        self._expected = (field, message_id)

    def hear(self, data: memoryview) -> list[bytes]:
        """As `listen`, when no C-GET is open: what is returned has to be sent."""
        return [step for step in self.listen(data) if isinstance(step, bytes)]

    def listen(self, data: memoryview) -> Iterator[bytes | StoreBegins | DataFragment]:
        """Take bytes, step by step: bytes have to be sent, the others belong to sub-operations of a C-GET.

        Raises `RemoteProtocolError`, `AssociationAborted`, `AssociationRejected`; `AssociationReleased` when
        the peer releases: then a reply is owed (`Association.reply_release`).
        """
        core, act = self._core, self._act
        core.receive(data)
        while (event := core.next_event()) is not None:
            if step := act(event):
                yield step

    def _act(self, event: Event) -> bytes | StoreBegins | DataFragment | None:
        if isinstance(event, CommandReceived):
            return self._begin(event)
        if isinstance(event, DataFragment):
            if self._storing:
                self._storing = not event.last
                return event
            return self._data(event)
        if isinstance(event, ReleaseRequested):
            if not event.collision:
                raise AssociationReleased("the peer released the association")
        elif isinstance(event, ReleaseConfirmed):
            self.released = True
        elif isinstance(event, Aborted):
            raise AssociationAborted(event.source, event.reason)
        elif isinstance(event, AssociationRejectedEvent):
            raise AssociationRejected(event.reject.result, event.reject.source, event.reject.reason)
        return self._core.reply_release() if self._core.owes_release_reply else b""

    def _begin(self, event: CommandReceived) -> bytes | StoreBegins:
        command = event.command
        context = self._core.contexts[event.context_id]
        if command.field == CommandField.C_STORE_RQ and self.takes_stores:
            self._storing = True
            return StoreBegins(context, command, read_store(command))
        if event.has_data_set:
            self._incoming = Asked(command, context)
            return b""
        if command.is_response:
            self._answered(command, b"")
            return b""
        return self._asked(Asked(command, context))

    def _data(self, event: DataFragment) -> bytes:
        incoming = self._incoming
        assert incoming is not None  # a data set follows its command
        incoming.write_all(event.views)
        if not event.last:
            return b""
        self._incoming = None
        if not incoming.command.is_response:
            return self._asked(incoming)
        if incoming.too_long:
            raise self._broken(f"{incoming.command.name} with a data set of more than {MAX_IDENTIFIER} bytes")
        self._answered(incoming.command, bytes(incoming.data))
        return b""

    def _answered(self, command: Command, data: bytes) -> None:
        """A response: to what was asked, or else the peer is confused. Without a question it is ignored."""
        if self._expected == (0, 0):
            return
        if self._expected != (command.field, command.number(RESPONDED_ID)):
            raise self._broken(f"{command.name} does not answer the question that was asked")
        if category_of(command.number(STATUS)) is not Category.PENDING:
            self._expected = (0, 0)
            self.takes_stores = False
        self.answers.append((command, data))

    def _broken(self, text: str) -> RemoteProtocolError:
        return RemoteProtocolError(text, reason=2, reply=self._core.abort(2, 2))

    def _asked(self, asked: Asked) -> bytes:
        """The peer asks something of us: an event report that waits for its answer, or what is not offered."""
        command = asked.command
        if command.field == CommandField.C_CANCEL_RQ or self._core.state is not State.ESTABLISHED:
            return b""  # a cancel has no answer; after we asked for release nothing is answered (PS3.8 AR-6)
        status = UNRECOGNISED_OPERATION
        if command.field == CommandField.N_EVENT_REPORT_RQ and self.takes_reports:
            if len(self.reports) < MAX_REPORTS and not asked.too_long:
                self.reports.append(asked)
                return b""
            status = RESOURCE_LIMITATION
        return self._core.send_command(asked.context.context_id, response_to(command, StoreAnswer(status)))
