"""What the blocking and the asyncio client share: the request, the C-STORE command, its result."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from dimse.acceptance import StoreAnswer, response_to
from dimse.association import Association
from dimse.commands import (
    AFFECTED_CLASS,
    COMMENT,
    MESSAGE_ID,
    MOVE_AET,
    MOVE_ID,
    STATUS,
    Command,
    CommandField,
    encode_elements,
    encode_store_request,
)
from dimse.errors import AssociationAborted, AssociationRejected, AssociationReleased, LocalProtocolError
from dimse.events import (
    Aborted,
    AssociationRejectedEvent,
    CommandReceived,
    DataFragment,
    Event,
    ReleaseConfirmed,
    ReleaseRequested,
)
from dimse.items import UserIdentity, UserInformation
from dimse.negotiation import AcceptedContext, ContextProposal, propose, role_items
from dimse.pdu import AssociateRequest
from dimse.status import UNRECOGNISED_OPERATION, Category, category_of
from dimse.uids import IMPLEMENTATION_CLASS_UID, IMPLEMENTATION_VERSION, VERIFICATION

Bytes = bytes | bytearray | memoryview


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
        user_identity=user_identity,
    )
    return AssociateRequest(called_aet, calling_aet, propose(contexts), user)


def accepted_map(contexts: Mapping[int, AcceptedContext]) -> dict[tuple[str, str], int]:
    """(SOP class, transfer syntax) -> context id; the first of alike contexts."""
    found: dict[tuple[str, str], int] = {}
    for context in contexts.values():
        found.setdefault((context.abstract_syntax, context.transfer_syntax), context.context_id)
    return found


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


def store_result(answer: Command) -> StoreResult:
    """What a C-STORE-RSP says."""
    return StoreResult(answer.number(STATUS), answer.text(COMMENT))


def encode_echo(message_id: int) -> Command:
    """C-ECHO-RQ."""
    return Command(CommandField.C_ECHO_RQ, {AFFECTED_CLASS: VERIFICATION, MESSAGE_ID: message_id})


class Listener:
    """What a requestor makes of received bytes: the answer it waits for, replies it owes, the end."""

    def __init__(self, core: Association) -> None:
        #: The last response that came.
        self.answer: Command | None = None
        #: True once our release was confirmed.
        self.released = False
        self._core = core
        self._foreign: Command | None = None

    def hear(self, data: memoryview) -> list[bytes]:
        """Take bytes; what is returned has to be sent.

        Raises `RemoteProtocolError`, `AssociationAborted`, `AssociationRejected`; `AssociationReleased` when
        the peer releases: then a reply is owed (`Association.reply_release`).
        """
        replies: list[bytes] = []
        core = self._core
        core.receive(data)
        while (event := core.next_event()) is not None:
            reply = self._act(event)
            if reply:
                replies.append(reply)
        return replies

    def _act(self, event: Event) -> bytes:
        if isinstance(event, CommandReceived):
            if event.has_data_set:
                self._foreign = event.command
            elif event.command.is_response:
                self.answer = event.command
            else:
                return self._refuse(event.context_id, event.command)
            return b""
        if isinstance(event, DataFragment):
            foreign = self._foreign
            return self._refuse(event.context_id, foreign) if event.last and foreign is not None else b""
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

    def _refuse(self, context_id: int, command: Command) -> bytes:
        """The peer asks something of us: not offered."""
        if command.is_response or command.field == CommandField.C_CANCEL_RQ:
            return b""
        return self._core.send_command(context_id, response_to(command, StoreAnswer(UNRECOGNISED_OPERATION)))
