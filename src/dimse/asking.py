"""The requestor's side of C-FIND, C-GET, C-MOVE and the N- services without I/O: requests written, answers read."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from dimse.answering import METHODS, TYPES
from dimse.commands import (
    ACTION_TYPE,
    AFFECTED_CLASS,
    AFFECTED_INSTANCE,
    ATTRIBUTES,
    COMMENT,
    COMPLETED,
    EVENT_TYPE,
    FAILED,
    MESSAGE_ID,
    MOVE_DESTINATION,
    OFFENDING,
    PRIORITY,
    REMAINING,
    REQUESTED_CLASS,
    REQUESTED_INSTANCE,
    RESPONDED_ID,
    STATUS,
    WARNED,
    Command,
    CommandField,
    Value,
)
from dimse.errors import ContextNotAccepted, LocalProtocolError
from dimse.negotiation import AcceptedContext
from dimse.operations import Final, NormalisedAnswer, NormalisedRequest, Progress, SubOperations
from dimse.status import Category, category_of

F = CommandField
_COUNTS = (REMAINING, COMPLETED, FAILED, WARNED)


class Agreed:
    """What a peer has agreed to, as a requestor asks for it. All raise `ContextNotAccepted`."""

    def __init__(self, contexts: Mapping[int, AcceptedContext]) -> None:
        self._contexts = contexts
        #: (SOP class, transfer syntax) -> context id; the first of alike contexts.
        self.accepted: dict[tuple[str, str], int] = {}
        for context in contexts.values():
            self.accepted.setdefault((context.abstract_syntax, context.transfer_syntax), context.context_id)

    def of_class(self, abstract_syntax: str) -> AcceptedContext:
        """The first context of a SOP class."""
        for (abstract, _), context_id in self.accepted.items():
            if abstract == abstract_syntax:
                return self._contexts[context_id]
        raise ContextNotAccepted(f"{abstract_syntax} was not accepted")

    def to_store(self, sop_class_uid: str, transfer_syntax_uid: str) -> int:
        """The context id for an instance in its transfer syntax."""
        context_id = self.accepted.get((sop_class_uid, transfer_syntax_uid))
        if context_id is None:
            raise ContextNotAccepted(f"{sop_class_uid} in {transfer_syntax_uid} was not accepted")
        return context_id

    def for_normalised(self, request: NormalisedRequest) -> int:
        """The context id for an N- request: in the syntax of its data, else the first of its SOP class."""
        context_id = self.accepted.get((request.sop_class_uid, request.transfer_syntax_uid))
        return context_id or self.of_class(request.sop_class_uid).context_id


@dataclass(frozen=True, slots=True)
class Query:
    """A C-FIND, C-GET or, with an AE title as destination, C-MOVE that is to be asked. `message_id` 0: any."""

    kind: CommandField
    identifier: bytes
    sop_class_uid: str
    priority: int
    destination: str = ""
    message_id: int = 0

    @property
    def response(self) -> CommandField:
        """What answers it."""
        return CommandField(self.kind | 0x8000)

    def command(self, message_id: int) -> Command:
        """The command set; `LocalProtocolError` for what cannot be asked."""
        if not self.identifier:
            raise LocalProtocolError("an operation needs an identifier")
        return encode_query(self.kind, message_id, self.sop_class_uid, self.priority, self.destination)


def encode_query(kind: CommandField, message_id: int, sop_class_uid: str, priority: int, destination: str = "") -> Command:
    """C-FIND-RQ, C-GET-RQ or, with an AE title as destination, C-MOVE-RQ; an identifier has to follow."""
    values: dict[int, Value] = {AFFECTED_CLASS: sop_class_uid, MESSAGE_ID: message_id, PRIORITY: priority}
    if kind is F.C_MOVE_RQ:
        if not 1 <= len(destination) <= 16 or not destination.isascii() or not destination.strip():
            raise LocalProtocolError("a move destination is an AE title of 1 to 16 ASCII characters")
        values[MOVE_DESTINATION] = destination
    return Command(kind, values)


def as_message_id(wanted: int | None) -> int:
    """A message id that the caller chose, 0 for none. ValueError unless it is 1 to 65535."""
    if wanted is not None and not 1 <= wanted <= 0xFFFF:
        raise ValueError("a message id of a caller is 1 to 65535")
    return wanted or 0


def encode_cancel(message_id: int) -> Command:
    """C-CANCEL-RQ for the operation with this message id (PS3.7 section 9.3.2.3)."""
    return Command(F.C_CANCEL_RQ, {RESPONDED_ID: message_id})


def read_answer(command: Command, data: bytes) -> Progress | Final:
    """What a response to C-FIND, C-GET or C-MOVE says. Counts are None when there are none in it."""
    status = command.number(STATUS)
    counts = None
    if any(element in command.values for element in _COUNTS):
        counts = SubOperations(*(command.number(element) for element in _COUNTS))
    if category_of(status) is Category.PENDING:
        return Progress(status, data, counts)
    offending = command.values.get(OFFENDING, ())
    return Final(status, command.text(COMMENT), offending if isinstance(offending, tuple) else (), data, counts)


def encode_normalised(request: NormalisedRequest, message_id: int) -> Command:
    """The command set of an N- request with a message id of ours. `LocalProtocolError` for another request."""
    kind = request.field
    if METHODS.get(kind) != "normalised":
        raise LocalProtocolError(f"{kind.name} is no request of an N- service")
    affected = kind in {F.N_EVENT_REPORT_RQ, F.N_CREATE_RQ}
    values: dict[int, Value] = {MESSAGE_ID: message_id}
    values[AFFECTED_CLASS if affected else REQUESTED_CLASS] = request.sop_class_uid
    if request.sop_instance_uid:
        values[AFFECTED_INSTANCE if affected else REQUESTED_INSTANCE] = request.sop_instance_uid
    if kind in TYPES:
        values[TYPES[kind]] = request.type_id
    if kind is F.N_GET_RQ and request.attributes:
        values[ATTRIBUTES] = request.attributes
    return Command(kind, values)


def read_normalised_answer(command: Command, data: bytes) -> NormalisedAnswer:
    """What an N- response says."""
    offending = command.values.get(ATTRIBUTES, command.values.get(OFFENDING, ()))
    kind = EVENT_TYPE if EVENT_TYPE in command.values else ACTION_TYPE
    return NormalisedAnswer(
        command.number(STATUS),
        command.text(COMMENT),
        data,
        command.text(AFFECTED_INSTANCE),
        command.number(kind) if kind in command.values else None,
        offending if isinstance(offending, tuple) else (),
    )
