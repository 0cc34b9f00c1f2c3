"""What a program gives to an asyncio server. Every method may be a plain one or a coroutine."""

from __future__ import annotations

from collections.abc import Awaitable
from typing import Protocol

from dimse.acceptance import Accept, AssociationInfo, PeerAddress, Reject, StoreAnswer, StoreRequest
from dimse.negotiation import AcceptedContext
from dimse.pdu import AssociateRequest


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
