"""The provider's side of C-FIND, C-GET, C-MOVE and the N- services without I/O: requests read, answers written,
sub-operations counted. Both drivers use it; each of them only moves bytes (PS3.7 sections 9 and 10, PS3.4 annex C).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

from dimse.acceptance import failed
from dimse.association import Association
from dimse.commands import (
    ACTION_TYPE,
    AFFECTED_CLASS,
    AFFECTED_INSTANCE,
    ATTRIBUTES,
    COMMENT,
    COMPLETED,
    DATA_SET_TYPE,
    EVENT_TYPE,
    FAILED,
    HAS_DATA_SET,
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
    encode_command,
)
from dimse.messages import Buffer
from dimse.negotiation import AcceptedContext, Service, service_of
from dimse.operations import (
    MAX_IDENTIFIER,
    Final,
    FindRequest,
    GetRequest,
    Match,
    MoveRequest,
    NormalisedAnswer,
    NormalisedRequest,
    SubOperations,
)
from dimse.status import (
    CANCELLED,
    OUT_OF_RESOURCES,
    PENDING,
    PENDING_WITHOUT_OPTIONAL_KEYS,
    RESOURCE_LIMITATION,
    SOP_CLASS_NOT_SUPPORTED,
    SUCCESS,
    UNRECOGNISED_OPERATION,
)

#: What a request is answered with that comes while another one is being worked on: one at a time is agreed.
BUSY = Final(RESOURCE_LIMITATION, "one operation at a time")
#: How long a look at the connection is good for while a provider works, seconds.
LOOK_SECONDS = 0.01
#: So many bytes of answers are sent in one write.
TOGETHER = 65536
#: So many buffers are cheaper to gather than to copy.
_FEW = 8

F = CommandField
#: The method of an acceptor that answers a request.
METHODS = {
    F.C_FIND_RQ: "find",
    F.C_GET_RQ: "get",
    F.C_MOVE_RQ: "move",
    F.N_EVENT_REPORT_RQ: "normalised",
    F.N_GET_RQ: "normalised",
    F.N_SET_RQ: "normalised",
    F.N_ACTION_RQ: "normalised",
    F.N_CREATE_RQ: "normalised",
    F.N_DELETE_RQ: "normalised",
}
_QUERIES = {
    F.C_FIND_RQ: frozenset({Service.FIND, Service.WORKLIST}),
    F.C_GET_RQ: frozenset({Service.GET}),
    F.C_MOVE_RQ: frozenset({Service.MOVE}),
}
#: Answers keep the type of what they answer (PS3.7 tables 10.3-2 and 10.3-10).
TYPES = {F.N_EVENT_REPORT_RQ: EVENT_TYPE, F.N_ACTION_RQ: ACTION_TYPE}

Batches = Iterator[list[Buffer]]


@dataclass(slots=True)
class Asked:
    """A request on its way in and while it is worked on. Takes its data set as a sink does, up to
    `MAX_IDENTIFIER` bytes."""

    command: Command
    context: AcceptedContext
    data: bytearray = field(default_factory=bytearray)
    too_long: bool = False
    cancelled: bool = False

    @property
    def field(self) -> CommandField:
        """Which request it is."""
        return CommandField(self.command.field)

    @property
    def message_id(self) -> int:
        """Its message id."""
        return self.command.number(MESSAGE_ID)

    def write(self, view: memoryview) -> None:
        """A piece of the data set; what is too long is thrown away."""
        if len(self.data) + len(view) > MAX_IDENTIFIER:
            self.too_long = True
            self.data.clear()
        if not self.too_long:
            self.data += view

    def write_all(self, views: list[memoryview]) -> None:
        """Several pieces."""
        for view in views:
            self.write(view)

    def finish(self) -> Asked:
        """The data set is complete: it is the driver's turn."""
        return self

    def abort(self) -> None:
        """The rest will not come."""

    def hear_cancel(self, command: Command) -> None:
        """C-CANCEL-RQ came: perhaps for this one."""
        if command.number(RESPONDED_ID) == self.message_id:
            self.cancelled = True

    def refusal(self) -> Final | None:
        """Why the acceptor is not even asked."""
        services = _QUERIES.get(self.field)
        if services is not None:
            sop_class = self.command.text(AFFECTED_CLASS)
            if sop_class != self.context.abstract_syntax:
                return Final(SOP_CLASS_NOT_SUPPORTED, "not the SOP class of the context")
            service = service_of(sop_class)
            if service not in services and service is not Service.STORAGE:
                return Final(UNRECOGNISED_OPERATION, f"{self.command.name} is none of this SOP class")
        if self.too_long:
            status = RESOURCE_LIMITATION if services is None else OUT_OF_RESOURCES
            return Final(status, f"data set longer than {MAX_IDENTIFIER} bytes")
        return None

    def _parts(self) -> tuple[int, str, str, bytes]:
        text = self.command.text
        return self.message_id, text(AFFECTED_CLASS), self.context.transfer_syntax, bytes(self.data)

    def find(self, relational: bool, combined: bool = False) -> FindRequest:
        """As C-FIND."""
        return FindRequest(*self._parts(), self.command.number(PRIORITY), relational, combined)

    def get(self, relational: bool) -> GetRequest:
        """As C-GET."""
        return GetRequest(*self._parts(), self.command.number(PRIORITY), relational)

    def move(self, relational: bool) -> MoveRequest:
        """As C-MOVE."""
        destination = self.command.text(MOVE_DESTINATION)
        return MoveRequest(*self._parts(), destination, self.command.number(PRIORITY), relational)

    def normalised(self) -> NormalisedRequest:
        """As an N- request."""
        return read_normalised(self.command, self.context, bytes(self.data))


def read_normalised(command: Command, context: AcceptedContext, data: bytes) -> NormalisedRequest:
    """An N- request from its command set and data set."""
    kind = CommandField(command.field)
    attributes = command.values.get(ATTRIBUTES, ())
    return NormalisedRequest(
        kind,
        command.number(MESSAGE_ID),
        command.text(REQUESTED_CLASS) or command.text(AFFECTED_CLASS),
        command.text(REQUESTED_INSTANCE) or command.text(AFFECTED_INSTANCE),
        context.transfer_syntax,
        command.number(TYPES[kind]) if kind in TYPES else 0,
        attributes if isinstance(attributes, tuple) else (),
        data,
    )


def final_of(error: Exception) -> Final:
    """What an exception of a provider is answered with: its decision, or 0110 and the name of its class."""
    answer = failed(error)
    return Final(answer.status, answer.comment)


def send_with_data(core: Association, context_id: int, command: Command, data: bytes) -> Batches:
    """A message with a data set or without one."""
    if not data:
        return iter([[core.send_command(context_id, command)]])
    command.values[DATA_SET_TYPE] = HAS_DATA_SET
    return core.send_message(context_id, command, [memoryview(data)])


class Together:
    """Answers that go in one write: a write, and a wake-up of the peer, for each of many small ones costs more than they do."""

    __slots__ = ("_pieces", "_size")

    def __init__(self) -> None:
        self._pieces: list[Buffer] = []
        self._size = 0

    def add(self, batches: Batches) -> bool:
        """Keep a message; True when there is enough to be sent."""
        for batch in batches:
            self._pieces += batch
            self._size += sum(map(len, batch))
        return self._size >= TOGETHER

    def take(self) -> list[list[Buffer]]:
        """What was kept, for one write."""
        pieces, self._pieces, self._size = self._pieces, [], 0
        return [pieces if len(pieces) <= _FEW else [b"".join(pieces)]] if pieces else []


class Answers:
    """Writes the answers to one request."""

    def __init__(self, core: Association, asked: Asked) -> None:
        self._core = core
        self._asked = asked
        self._context_id = asked.context.context_id
        self._pending: dict[int, bytes] = {}

    def _values(self, status: int) -> dict[int, Value]:
        asked = self._asked
        values: dict[int, Value] = {RESPONDED_ID: asked.message_id, STATUS: status}
        for requested, affected in ((REQUESTED_CLASS, AFFECTED_CLASS), (REQUESTED_INSTANCE, AFFECTED_INSTANCE)):
            uid = asked.command.text(affected) or asked.command.text(requested)
            if uid:
                values[affected] = uid
        return values

    def match(self, match: Match) -> Batches:
        """A pending answer to C-FIND. `LocalProtocolError` when its identifier is empty."""
        status = PENDING if match.all_keys else PENDING_WITHOUT_OPTIONAL_KEYS
        command = self._pending.get(status)
        if command is None:
            values = self._values(status) | {DATA_SET_TYPE: HAS_DATA_SET}
            command = self._pending[status] = encode_command(Command(self._asked.field | 0x8000, values))
        return self._core.send_message(self._context_id, command, [memoryview(match.identifier)])

    def progress(self, counts: SubOperations) -> Batches:
        """A pending answer to C-GET or C-MOVE."""
        values = self._values(PENDING) | _counted(counts, with_remaining=True)
        return iter([[self._core.send_command(self._context_id, Command(self._asked.field | 0x8000, values))]])

    def final(self, final: Final) -> Batches:
        """The last answer. Counts stay out of it where they mean nothing, the remaining ones unless cancelled."""
        values = self._values(final.status)
        if final.counts is not None:
            values |= _counted(final.counts, with_remaining=final.status == CANCELLED)
        if final.comment:
            values[COMMENT] = final.comment[:64]
        if final.offending:
            values[OFFENDING if self._asked.field in _QUERIES else ATTRIBUTES] = final.offending
        return send_with_data(self._core, self._context_id, Command(self._asked.field | 0x8000, values), final.data)

    def normalised(self, answer: NormalisedAnswer) -> Batches:
        """The answer to an N- request."""
        kind = self._asked.field
        values = self._values(answer.status)
        if answer.sop_instance_uid:
            values[AFFECTED_INSTANCE] = answer.sop_instance_uid
        if answer.comment:
            values[COMMENT] = answer.comment[:64]
        if answer.offending:
            values[ATTRIBUTES] = answer.offending
        if kind in TYPES:
            asked_type = self._asked.command.number(TYPES[kind])
            values[TYPES[kind]] = asked_type if answer.type_id is None else answer.type_id
        return send_with_data(self._core, self._context_id, Command(kind | 0x8000, values), answer.data)


def _counted(counts: SubOperations, *, with_remaining: bool) -> dict[int, Value]:
    values: dict[int, Value] = {COMPLETED: counts.completed, FAILED: counts.failed, WARNED: counts.warned}
    if with_remaining:
        values[REMAINING] = counts.remaining
    return {element: min(int(number), 0xFFFF) for element, number in values.items() if isinstance(number, int)}


def end_of_find(asked: Asked) -> Final:
    """The final answer of a C-FIND whose provider gave none."""
    return Final(CANCELLED if asked.cancelled else SUCCESS)
