"""The requestor's side of C-FIND, C-GET, C-MOVE and the N- services without I/O: requests written, answers read."""

from __future__ import annotations

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
from dimse.errors import LocalProtocolError
from dimse.operations import Final, NormalisedAnswer, NormalisedRequest, Progress, SubOperations
from dimse.status import Category, category_of

F = CommandField
_COUNTS = (REMAINING, COMPLETED, FAILED, WARNED)


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
