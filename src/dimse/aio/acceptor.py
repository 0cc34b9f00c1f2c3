"""What a program gives to an asyncio server. Every method may be a plain one or a coroutine."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from typing import Protocol, TypeVar, cast, runtime_checkable

from dimse.acceptance import Accept, AssociationInfo, PeerAddress, Reject, StoreAnswer, StoreRequest
from dimse.negotiation import AcceptedContext
from dimse.operations import (
    Final,
    FindRequest,
    GetRequest,
    Match,
    MoveRequest,
    NormalisedAnswer,
    NormalisedRequest,
    Outgoing,
    SubOperations,
)
from dimse.pdu import AssociateRequest

T = TypeVar("T")


async def settle(value: Awaitable[T] | T) -> T:
    """The value, or what the coroutine gives."""
    if hasattr(value, "__await__"):
        return await cast("Awaitable[T]", value)
    return value


class AsyncStoreSink(Protocol):
    """Takes a data set of a C-STORE; as `dimse.blocking.StoreSink`. A slow `write` holds the peer back."""

    def write(self, view: memoryview) -> Awaitable[None] | None:
        """A piece of the data set. The view is void once this is done. May raise `Refused`."""
        ...

    def finish(self) -> Awaitable[StoreAnswer] | StoreAnswer:
        """The data set is complete; what is returned is sent. May raise `Refused`."""
        ...

    def abort(self) -> Awaitable[None] | None:
        """The rest will not come, or `write` or `finish` raised."""
        ...


class AsyncAcceptor(Protocol):
    """Called in the event loop; errors are treated as by `dimse.blocking.Acceptor`."""

    def association_requested(self, request: AssociateRequest, peer: PeerAddress) -> Awaitable[Accept | Reject] | Accept | Reject:
        """Accept or reject."""
        ...

    def echo(self, association: AssociationInfo) -> Awaitable[int] | int:
        """Status of a C-ECHO."""
        ...

    def store(
        self, association: AssociationInfo, command: StoreRequest, context: AcceptedContext
    ) -> Awaitable[AsyncStoreSink] | AsyncStoreSink:
        """A place for the data set. May raise `Refused`."""
        ...

    def association_ended(self, association: AssociationInfo, how: str) -> Awaitable[None] | None:
        """Once for each accepted association; `how` as in `dimse.blocking.Acceptor`."""
        ...


@runtime_checkable
class AsyncFinds(Protocol):
    """An acceptor that answers C-FIND; what is said of `dimse.blocking.Finds` holds here.

    In this and the next protocols `cancelled()` is True once the requestor sent C-CANCEL. A provider that waits
    for something then is interrupted (`asyncio.CancelledError` at its `await`) after 50 ms. When the association
    ends, providers are cancelled at once and their iterators closed. Plain iterators do as well as asynchronous
    ones; they must not block.
    """

    def find(
        self, association: AssociationInfo, request: FindRequest, cancelled: Callable[[], bool]
    ) -> AsyncIterator[Match | Final] | Iterator[Match | Final] | Awaitable[AsyncIterator[Match | Final]]:
        """Matches one by one. Ends with a `Final`, or simply ends."""
        ...


@runtime_checkable
class AsyncGets(Protocol):
    """An acceptor that answers C-GET."""

    def get(
        self, association: AssociationInfo, request: GetRequest, cancelled: Callable[[], bool]
    ) -> (
        Awaitable[tuple[int, AsyncIterator[Outgoing] | Iterator[Outgoing]]]
        | tuple[int, AsyncIterator[Outgoing] | Iterator[Outgoing]]
    ):
        """How many there are, and the instances one by one. May raise `Refused`."""
        ...


@runtime_checkable
class AsyncMoves(Protocol):
    """An acceptor that answers C-MOVE."""

    def move(
        self, association: AssociationInfo, request: MoveRequest, cancelled: Callable[[], bool]
    ) -> AsyncIterator[SubOperations | Final] | Iterator[SubOperations | Final] | Awaitable[AsyncIterator[SubOperations | Final]]:
        """Counts, each sent as a pending answer, then a `Final`; without one the last counts decide."""
        ...


@runtime_checkable
class AsyncNormalised(Protocol):
    """An acceptor that answers the N- requests."""

    def normalised(
        self, association: AssociationInfo, request: NormalisedRequest
    ) -> Awaitable[NormalisedAnswer] | NormalisedAnswer:
        """Answer. With `NormalisedAnswer.reports`, requests of our own follow on the same association."""
        ...
