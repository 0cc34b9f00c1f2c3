"""What a program gives to a blocking server: decisions, and a place for the bytes."""

from __future__ import annotations

from typing import Protocol

from dimse.acceptance import Accept, AssociationInfo, PeerAddress, Reject, StoreAnswer, StoreRequest
from dimse.negotiation import AcceptedContext
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
