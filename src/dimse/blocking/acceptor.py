"""What a program gives to a blocking server: decisions, and a place for the bytes."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Protocol, runtime_checkable

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


class StoreSink(Protocol):
    """Takes the data set of one C-STORE. One thread; `finish` or `abort` is the last call, once."""

    def write(self, view: memoryview) -> None:
        """A piece of the data set. The view is void after the return. May raise `Refused`."""
        ...

    def finish(self) -> StoreAnswer:
        """The data set is complete; what is returned is sent. May raise `Refused`."""
        ...

    def abort(self) -> None:
        """The rest will not come, or `write` or `finish` raised."""
        ...


class Acceptor(Protocol):
    """Called from the thread of each association; must be thread-safe.

    An exception of `echo`, `store` or a sink becomes status 0110 with the name of its class; the association
    goes on. An exception of `association_requested` becomes a transient rejection.
    """

    def association_requested(self, request: AssociateRequest, peer: PeerAddress) -> Accept | Reject:
        """Accept or reject. The protocol's own reasons to reject are judged before."""
        ...

    def echo(self, association: AssociationInfo) -> int:
        """Status of a C-ECHO."""
        ...

    def store(self, association: AssociationInfo, command: StoreRequest, context: AcceptedContext) -> StoreSink:
        """A place for the data set. May raise `Refused`: then the data set is drained and refused."""
        ...

    def association_ended(self, association: AssociationInfo, how: str) -> None:
        """Once for each accepted association: released, aborted, lost, timed out, protocol error or
        stopped."""
        ...


@runtime_checkable
class Finds(Protocol):
    """An acceptor that answers C-FIND. Without it C-FIND is answered 0211.

    In this and the next protocols `cancelled()` is True once the requestor sent C-CANCEL or is gone; it looks at
    the connection itself, so that a slow provider may ask it as often as it likes (within 100 ms is expected).
    `Refused` is answered with its status, any other exception with 0110. Iterators are closed in every case.
    """

    def find(self, association: AssociationInfo, request: FindRequest, cancelled: Callable[[], bool]) -> Iterator[Match | Final]:
        """Matches one by one, sent as they come. Ends with a `Final`, or simply ends: success, or FE00 after a
        cancel."""
        ...


@runtime_checkable
class Gets(Protocol):
    """An acceptor that answers C-GET."""

    def get(
        self, association: AssociationInfo, request: GetRequest, cancelled: Callable[[], bool]
    ) -> tuple[int, Iterator[Outgoing]]:
        """How many there are, and the instances one by one. May raise `Refused` for a bad identifier.

        They are sent as C-STORE on the same association, in a context of their class and transfer syntax whose
        requestor is provider: `dimse.retrieval.storable` tells which there are. One without a context fails.
        """
        ...


@runtime_checkable
class Moves(Protocol):
    """An acceptor that answers C-MOVE."""

    def move(
        self, association: AssociationInfo, request: MoveRequest, cancelled: Callable[[], bool]
    ) -> Iterator[SubOperations | Final]:
        """Counts, each sent as a pending answer, then a `Final`. Without one the last counts decide: 0000, B000
        or A702; FE00 after a cancel. `dimse.retrieval.failed_list` makes the data of a `Final`."""
        ...


@runtime_checkable
class Normalised(Protocol):
    """An acceptor that answers N-EVENT-REPORT, N-GET, N-SET, N-ACTION, N-CREATE and N-DELETE."""

    def normalised(self, association: AssociationInfo, request: NormalisedRequest) -> NormalisedAnswer:
        """Answer. With `NormalisedAnswer.reports`, requests of our own follow on the same association."""
        ...
