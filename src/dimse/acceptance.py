"""What an acceptor decides and is told: the types that the blocking and the asyncio server share."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from typing import cast
from uuid import UUID, uuid4

from dimse.association import Association
from dimse.commands import (
    AFFECTED_CLASS,
    AFFECTED_INSTANCE,
    COMMENT,
    MESSAGE_ID,
    MOVE_AET,
    MOVE_ID,
    PRIORITY,
    REQUESTED_CLASS,
    REQUESTED_INSTANCE,
    RESPONDED_ID,
    STATUS,
    Command,
    CommandField,
    Value,
)
from dimse.errors import AssociationFailure, Refused
from dimse.items import AsyncWindow, ContextAnswer, ExtendedNegotiation, RoleSelection, UserInformation
from dimse.negotiation import AcceptedContext, ContextPolicy, Negotiator, answer_all, combined_classes, relational_classes
from dimse.pdu import AssociateAccept, AssociateReject, AssociateRequest, encode_reject
from dimse.status import PROCESSING_FAILURE
from dimse.uids import IMPLEMENTATION_CLASS_UID, IMPLEMENTATION_VERSION

log = logging.getLogger(__name__)
AssociationRequest = AssociateRequest
#: How an association ended, as told to an acceptor.
RELEASED, ABORTED, LOST, TIMED_OUT, BROKEN, STOPPED, REJECTED = (
    *("released", "aborted", "lost", "timed out", "protocol error", "stopped", "rejected"),
)
#: What callers hear when all places are taken, how many at once; the rest are closed silently.
LOCAL_LIMIT_EXCEEDED = encode_reject(AssociateReject(result=2, source=3, reason=2))
MAX_TURNED_AWAY = 256
#: The receive buffer of a connection that has not filled this one yet, bytes: most associations only ask or wait.
FIRST_BUFFER = 16384


class Stopped(AssociationFailure):
    """The server is going down."""


class Ended(AssociationFailure):
    """The peer ended the association while an operation of its own was under way; `how` as told to the acceptor."""

    def __init__(self, how: str) -> None:
        super().__init__(f"{how} during an operation")
        self.how = how


@dataclass(frozen=True, slots=True)
class PeerAddress:
    """Where a connection comes from."""

    host: str
    port: int
    #: DER of the certificate it showed; None without TLS or without certificate.
    certificate: bytes | None = None


@dataclass(frozen=True, slots=True)
class Limits:
    """Bounds of a server or client. Sizes in bytes, times in seconds.

    `association_seconds` is ARTIM: for the whole association request, however it dribbles in. `idle_seconds`:
    how long nothing may come, between messages and inside one. `minimum_rate`: a message that brings fewer
    bytes per second over `rate_window_seconds` of waiting is aborted. `request_grace_seconds`: when all
    places are taken, the oldest connection that has sent no request for this long gives way. `quick_ack`
    re-arms TCP_QUICKACK while receiving: peers that leave Nagle on are 18 times faster with it.
    """

    max_associations: int = 256
    max_pdu: int = 131072
    receive_buffer: int = 262144
    association_seconds: float = 15.0
    idle_seconds: float = 300.0
    send_seconds: float = 60.0
    close_seconds: float = 2.0
    minimum_rate: int = 512
    rate_window_seconds: float = 60.0
    request_grace_seconds: float = 1.0
    tick_seconds: float = 0.5
    quick_ack: bool = True
    thread_stack: int = 262144


@dataclass(frozen=True, slots=True)
class AssociationInfo:
    """An accepted association, as its acceptor sees it."""

    id: UUID
    peer: PeerAddress
    request: AssociateRequest
    contexts: Mapping[int, AcceptedContext]
    #: SOP classes for which relational queries were agreed on.
    relational: frozenset[str] = frozenset()
    #: What the acceptor said with its `Accept`.
    note: object = None
    #: SOP classes for which date and time of a query are one moment.
    combined: frozenset[str] = frozenset()

    @property
    def calling_aet(self) -> str:
        """Who calls."""
        return self.request.calling_aet

    @property
    def called_aet(self) -> str:
        """Who is called."""
        return self.request.called_aet


@dataclass(frozen=True, slots=True)
class Accept:
    """Accept an association.

    `policy` takes the place of the server's policy for this association; what it would answer to contexts, role
    selection and extended negotiation is overruled by `contexts`, `roles` and `extended` unless they are None.
    """

    contexts: tuple[ContextAnswer, ...] | None = None
    roles: tuple[RoleSelection, ...] | None = None
    user_identity_response: bytes | None = None
    policy: ContextPolicy | None = None
    extended: tuple[ExtendedNegotiation, ...] | None = None
    #: Whatever the acceptor wants to find again in `AssociationInfo.note`: who it is, what it may.
    note: object = None


@dataclass(frozen=True, slots=True)
class Reject:
    """Reject an association (PS3.8 table 9-21); the default is permanent, by the application, no reason
    given."""

    result: int = 1
    source: int = 1
    reason: int = 1


@dataclass(slots=True)
class StoreRequest:
    """C-STORE-RQ (PS3.7 table 9.3-1). UIDs are as they came, without padding; they may be wrong."""

    message_id: int
    sop_class_uid: str
    sop_instance_uid: str
    priority: int = 0
    move_originator_aet: str = ""
    move_originator_message_id: int = 0


@dataclass(frozen=True, slots=True)
class StoreAnswer:
    """What a C-STORE is answered with; `comment` (at most 64 characters, no patient data) is for people."""

    status: int = 0
    comment: str = ""


@dataclass(slots=True)
class Progress:
    """Bytes against waiting time, to tell a slow peer from a stalled one."""

    limits: Limits
    waited: float = 0.0
    received: int = 0
    silent: float = 0.0

    def add(self, size: int, seconds: float, in_message: bool) -> None:
        """Count `size` bytes that were waited for; time between messages is no slowness, only silence."""
        self.silent = 0.0 if size else self.silent + seconds
        if in_message:
            self.received += size
            self.waited += seconds

    def restart(self) -> None:
        """A message ended."""
        self.waited = 0.0
        self.received = 0

    def too_slow(self) -> bool:
        """True when a whole window passed with fewer bytes than the minimum rate; begins a new window if
        not."""
        window = self.limits.rate_window_seconds
        if self.waited < window:
            return False
        slow = self.received < self.limits.minimum_rate * window
        self.restart()
        return slow


def read_store(command: Command) -> StoreRequest:
    """C-STORE-RQ from its command set."""
    values = command.values
    request = StoreRequest(command.number(MESSAGE_ID), command.text(AFFECTED_CLASS), command.text(AFFECTED_INSTANCE))
    if PRIORITY in values:
        request.priority = command.number(PRIORITY)
    if MOVE_AET in values:
        request.move_originator_aet = command.text(MOVE_AET)
        request.move_originator_message_id = command.number(MOVE_ID)
    return request


@lru_cache(maxsize=64)
def _negotiates(kind: type) -> bool:
    """Whether it has what a `Negotiator` has; asking `isinstance` of a protocol takes as long as all the rest."""
    return hasattr(kind, "roles") and hasattr(kind, "extended")


def build_accept(request: AssociateRequest, decision: Accept, policy: ContextPolicy, max_pdu: int) -> AssociateAccept:
    """A-ASSOCIATE-AC for a decision. One operation at a time is granted where a window was asked for."""
    policy = decision.policy or policy
    contexts = decision.contexts if decision.contexts is not None else answer_all(request, policy)
    roles, extended = decision.roles, decision.extended
    if (roles is None or extended is None) and _negotiates(type(policy)):
        negotiator = cast("Negotiator", policy)
        roles = negotiator.roles(request) if roles is None else roles
        extended = negotiator.extended(request) if extended is None else extended
    user = UserInformation(
        max_length=max_pdu,
        implementation_class_uid=IMPLEMENTATION_CLASS_UID,
        implementation_version=IMPLEMENTATION_VERSION,
        async_window=AsyncWindow(1, 1) if request.user.async_window is not None else None,
        roles=roles or (),
        extended=extended or (),
        user_identity_response=decision.user_identity_response,
    )
    return AssociateAccept(called_aet=request.called_aet, calling_aet=request.calling_aet, contexts=contexts, user=user)


def association_info(core: Association, peer: PeerAddress, note: object = None) -> AssociationInfo:
    """What an acceptor is told about an association that `core` has just accepted."""
    request, accept = core.request_pdu, core.accept_pdu
    assert request is not None  # it was accepted
    assert accept is not None
    relational, combined = relational_classes(request, accept), combined_classes(request, accept)
    return AssociationInfo(uuid4(), peer, request, core.contexts, relational, note, combined)


@dataclass(slots=True)
class Drain:
    """Takes the place of a sink that refused or failed: swallows the rest, then gives the answer."""

    answer: StoreAnswer
    received: int = field(default=0)

    def write(self, view: memoryview) -> None:
        """Throw away."""
        self.received += len(view)

    def finish(self) -> StoreAnswer:
        """The answer decided earlier."""
        return self.answer

    def abort(self) -> None:
        """Nothing to undo."""


def response_to(command: Command, answer: StoreAnswer) -> Command:
    """A response without data set to any request; what it was about is repeated from the request."""
    values: dict[int, Value] = {RESPONDED_ID: command.number(MESSAGE_ID), STATUS: answer.status}
    for requested, affected in ((REQUESTED_CLASS, AFFECTED_CLASS), (REQUESTED_INSTANCE, AFFECTED_INSTANCE)):
        uid = command.text(affected) or command.text(requested)
        if uid:
            values[affected] = uid
    if answer.comment:
        values[COMMENT] = answer.comment[:64]
    return Command(command.field | 0x8000, values)


def answer_bytes(core: Association, context_id: int, command: Command, answer: StoreAnswer) -> bytes:
    """The answer to a request, ready to be sent; the hot path for C-STORE."""
    if command.field == CommandField.C_STORE_RQ:
        uids = command.text(AFFECTED_CLASS), command.text(AFFECTED_INSTANCE)
        message_id = command.number(MESSAGE_ID)
        return core.send_store_response(context_id, message_id, uids, answer.status, answer.comment)
    return core.send_command(context_id, response_to(command, answer))


def failed(error: Exception) -> StoreAnswer:
    """What an exception of the acceptor is answered with: its decision, or 0110 and the name of its class."""
    if isinstance(error, Refused):
        return StoreAnswer(error.status, error.comment)
    log.error("an acceptor failed", exc_info=error)
    return StoreAnswer(PROCESSING_FAILURE, type(error).__name__)
