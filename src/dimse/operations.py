"""What is asked and answered beyond C-ECHO and C-STORE; the types that both drivers and both sides share.

Identifiers and other data sets are bytes in the transfer syntax of their context: this file knows no attributes.
`dimse.identifier` reads and writes them.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable, Generator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field

from dimse.commands import CommandField
from dimse.status import SUCCESS

#: An identifier or another small data set of a message is read up to this size, bytes; longer ones are drained
#: and refused.
MAX_IDENTIFIER = 1 << 20
#: Priority (0000,0700): PS3.7 section 9.1.
MEDIUM, HIGH, LOW = range(3)


@dataclass(frozen=True, slots=True)
class FindRequest:
    """C-FIND-RQ (PS3.7 table 9.3-2): which query model, and what is asked for."""

    message_id: int
    sop_class_uid: str
    transfer_syntax_uid: str
    identifier: bytes
    priority: int = MEDIUM
    #: Relational queries were negotiated for the class (PS3.4 C.5.1.1.1).
    relational: bool = False
    #: Combined date-time matching was: a range of StudyDate and one of StudyTime are one range of moments (C.2.2.2.5.4).
    combined: bool = False


@dataclass(frozen=True, slots=True)
class GetRequest:
    """C-GET-RQ (PS3.7 table 9.3-6)."""

    message_id: int
    sop_class_uid: str
    transfer_syntax_uid: str
    identifier: bytes
    priority: int = MEDIUM
    relational: bool = False


@dataclass(frozen=True, slots=True)
class MoveRequest:
    """C-MOVE-RQ (PS3.7 table 9.3-9); `destination` is an AE title."""

    message_id: int
    sop_class_uid: str
    transfer_syntax_uid: str
    identifier: bytes
    destination: str
    priority: int = MEDIUM
    relational: bool = False


@dataclass(frozen=True, slots=True)
class Match:
    """A pending answer to C-FIND. Without `all_keys` it is FF01: optional keys were not supported.

    `more`: what comes next, another match or the end, is at hand, so the driver may send it in the same write. Where the
    provider has to wait for the next one, it leaves it out: the answer goes to the peer at once.
    """

    identifier: bytes
    all_keys: bool = True
    more: bool = False


@dataclass(frozen=True, slots=True)
class SubOperations:
    """How far a C-GET or C-MOVE is (PS3.4 C.4.2.1.6, C.4.3.1.5). `remaining` is left out of a final answer."""

    remaining: int = 0
    completed: int = 0
    failed: int = 0
    warned: int = 0

    @property
    def total(self) -> int:
        """All there are."""
        return self.remaining + self.completed + self.failed + self.warned


@dataclass(frozen=True, slots=True)
class Final:
    """The last answer to an operation. `comment` (at most 64 characters) is for people, without patient data.

    `data` is an identifier in the syntax of the context: for C-GET and C-MOVE the Failed SOP Instance UID List
    (0008,0058).
    """

    status: int = SUCCESS
    comment: str = ""
    offending: tuple[int, ...] = ()
    data: bytes = b""
    counts: SubOperations | None = None


@dataclass(frozen=True, slots=True)
class Outgoing:
    """An instance to be sent by a C-STORE sub-operation. `open` gives its data set as byte views, which stay
    valid inside the `with`; it may raise, then the sub-operation has failed."""

    sop_class_uid: str
    sop_instance_uid: str
    transfer_syntax_uid: str
    open: Callable[[], AbstractContextManager[Sequence[memoryview]]]


@dataclass(frozen=True, slots=True)
class Progress:
    """Something that a requestor hears before the final answer: counts, and for C-FIND an identifier."""

    status: int
    identifier: bytes = b""
    counts: SubOperations | None = None


@dataclass(frozen=True, slots=True)
class NormalisedRequest:
    """An N- request (PS3.7 section 10): N-EVENT-REPORT, N-GET, N-SET, N-ACTION, N-CREATE, N-DELETE.

    `type_id` is the event type or the action type. `data` is empty when none came.
    """

    field: CommandField
    message_id: int
    sop_class_uid: str
    sop_instance_uid: str
    transfer_syntax_uid: str = ""
    type_id: int = 0
    attributes: tuple[int, ...] = ()
    data: bytes = b""


@dataclass(frozen=True, slots=True)
class NormalisedAnswer:
    """The answer to an N- request; `sop_instance_uid` replaces that of the request (N-CREATE).

    `reports`, of an acceptor's answer: called once the answer is sent; a generator (in asyncio an asynchronous
    one) of N-EVENT-REPORT requests that follow on the same association (PS3.4 J.3.3), message ids are given by
    the engine. It receives each `NormalisedAnswer`; when the association ends first, the `DimseError` is
    thrown in at its `yield`, so that the report can go out on an association of our own.
    """

    status: int = SUCCESS
    comment: str = ""
    data: bytes = b""
    sop_instance_uid: str = ""
    type_id: int | None = None
    offending: tuple[int, ...] = field(default=())
    reports: Callable[[], Generator[NormalisedRequest, NormalisedAnswer, None]] | Callable[[], AsyncReports] | None = None


#: Extended negotiation of query and retrieve (PS3.4 C.5.1.1): byte 0 relational queries, 1 combined date and time,
#: 2 fuzzy names, 3 time zone adjustment.
QueryOptions = Mapping[str, bytes]
AsyncReports = AsyncGenerator[NormalisedRequest, NormalisedAnswer]
