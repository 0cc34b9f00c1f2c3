"""What `Association.next_event` can say. The order of events is the order of the bytes."""

from __future__ import annotations

from dataclasses import dataclass

from dimse.commands import Command
from dimse.pdu import AssociateAccept, AssociateReject, AssociateRequest


@dataclass(frozen=True, slots=True)
class AssociationRequested:
    """A peer asks for an association: answer with `accept` or `reject`."""

    request: AssociateRequest


@dataclass(frozen=True, slots=True)
class AssociationAccepted:
    """The peer accepted; `Association.contexts` holds what was agreed."""

    accept: AssociateAccept


@dataclass(frozen=True, slots=True)
class AssociationRejectedEvent:
    """The peer rejected; close the connection."""

    reject: AssociateReject


@dataclass(slots=True)
class CommandReceived:
    """A whole command set. With `has_data_set`, `DataFragment`s of the same context follow, the last one
    marked."""

    context_id: int
    command: Command
    has_data_set: bool


@dataclass(slots=True)
class DataFragment:
    """A run of pieces of the data set, in order, none of them empty. The views point into the caller's buffer: valid
    until the next `receive()`.

    `last` marks the end of the message; then there may be no view at all.
    """

    context_id: int
    views: list[memoryview]
    last: bool


@dataclass(frozen=True, slots=True)
class ReleaseRequested:
    """The peer wants to end the association. Call `reply_release` when `Association.owes_release_reply`."""

    collision: bool = False


@dataclass(frozen=True, slots=True)
class ReleaseConfirmed:
    """Our release was answered. Close the connection, unless a reply is still owed (collision)."""

    collision: bool = False


@dataclass(frozen=True, slots=True)
class Aborted:
    """The peer aborted (PS3.8 table 9-26); close the connection."""

    source: int
    reason: int


@dataclass(frozen=True, slots=True)
class ConnectionEnded:
    """The TCP connection ended; `clean` when nothing was left to say."""

    clean: bool


Event = (
    AssociationRequested
    | AssociationAccepted
    | AssociationRejectedEvent
    | CommandReceived
    | DataFragment
    | ReleaseRequested
    | ReleaseConfirmed
    | Aborted
    | ConnectionEnded
)
