"""Associations that are used again: per peer a few, given out one user at a time, closed when idle."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from types import TracebackType
from typing import Self

from dimse.aio.client import ClientAssociation, connect
from dimse.errors import AssociationFailure, DimseError, LocalProtocolError
from dimse.items import CommonExtendedNegotiation, ExtendedNegotiation, UserIdentity
from dimse.negotiation import ContextProposal
from dimse.uids import VERIFICATION


@dataclass(frozen=True, slots=True)
class Target:
    """Whom to call and what to propose: the key of a pool. Times in seconds, as in `connect`."""

    host: str
    port: int
    called_aet: str
    calling_aet: str
    contexts: tuple[ContextProposal, ...]
    max_pdu: int = 131072
    connect_timeout: float = 10.0
    response_timeout: float = 60.0
    user_identity: UserIdentity | None = None
    extended: tuple[ExtendedNegotiation | CommonExtendedNegotiation, ...] = ()
    tls: ssl.SSLContext | None = None
    window: int = 1


@dataclass(slots=True)
class _Idle:
    association: ClientAssociation
    since: float


@dataclass(slots=True)
class _Peer:
    """What a pool has of one target."""

    places: asyncio.Semaphore
    idle: list[_Idle] = field(default_factory=list)
    users: int = 0


class Pool:
    """At most `maximum` associations with each target, given out by `association`.

    One that nobody used for `idle_seconds` is released. One that was idle for more than `check_seconds` is asked by
    C-ECHO, where verification was accepted, before it is given out again; one that does not answer is replaced.
    Belongs to one event loop.
    """

    def __init__(
        self, *, maximum: int = 4, idle_seconds: float = 30.0, check_seconds: float = 5.0, check_timeout: float = 2.0
    ) -> None:
        if maximum < 1:
            raise LocalProtocolError("a pool has at least one place")
        self._maximum = maximum
        self._idle_seconds = idle_seconds
        self._check_seconds = check_seconds
        self._check_timeout = check_timeout
        self._peers: dict[Target, _Peer] = {}
        self._used: set[ClientAssociation] = set()
        self._endings: set[asyncio.Task[None]] = set()
        self._sweeper: asyncio.Task[None] | None = None
        self._closed = False

    @property
    def idle(self) -> int:
        """Open associations that nobody uses."""
        return sum(len(peer.idle) for peer in self._peers.values())

    @property
    def used(self) -> int:
        """Associations that are given out."""
        return len(self._used)

    @asynccontextmanager
    async def association(self, target: Target) -> AsyncIterator[ClientAssociation]:
        """An association for the time of the block; waits for a place. Raises as `connect`.

        After an error in the block, or when a request is still open, it is aborted and not used again.
        """
        if self._closed:
            raise LocalProtocolError("the pool is closed")
        peer = self._peers.setdefault(target, _Peer(asyncio.Semaphore(self._maximum)))
        peer.users += 1
        try:
            async with peer.places:
                association = await self._healthy(peer) or await self._connect(target)
                await self._check_open(association)
                self._used.add(association)
                try:
                    yield association
                except BaseException:
                    self._used.discard(association)
                    await association.abort()
                    raise
                self._used.discard(association)
                await self._put_back(peer, association)
        finally:
            peer.users -= 1
            self._forget(target, peer)

    async def aclose(self) -> None:
        """Release what is idle, abort what is in use. Nothing is given out any more."""
        self._closed = True
        if self._sweeper is not None:
            self._sweeper.cancel()
            await asyncio.gather(self._sweeper, return_exceptions=True)
            self._sweeper = None
        waiting = [*(_goodbye(item.association) for peer in self._peers.values() for item in peer.idle)]
        for peer in self._peers.values():
            peer.idle.clear()
        waiting += [association.abort() for association in self._used]
        self._peers.clear()
        await asyncio.gather(*waiting, *self._endings, return_exceptions=True)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        """Close all."""
        await self.aclose()

    async def _check_open(self, association: ClientAssociation) -> None:
        """While the association was being opened the pool may have been closed."""
        if self._closed:
            await association.abort()
            raise LocalProtocolError("the pool is closed")

    async def _connect(self, target: Target) -> ClientAssociation:
        return await connect(
            target.host,
            target.port,
            called_aet=target.called_aet,
            calling_aet=target.calling_aet,
            contexts=target.contexts,
            max_pdu=target.max_pdu,
            connect_timeout=target.connect_timeout,
            response_timeout=target.response_timeout,
            user_identity=target.user_identity,
            extended=target.extended,
            tls=target.tls,
            window=target.window,
        )

    async def _healthy(self, peer: _Peer) -> ClientAssociation | None:
        """The idle association that was used last and is well."""
        now = asyncio.get_running_loop().time()
        while peer.idle:
            item = peer.idle.pop()
            association = item.association
            if association.usable and (now - item.since < self._check_seconds or await self._answers(association)):
                return association
            association.close()
        return None

    async def _answers(self, association: ClientAssociation) -> bool:
        if not any(abstract == VERIFICATION for abstract, _ in association.accepted):
            return True  # nothing to ask it with; `usable` has seen the connection
        try:
            async with asyncio.timeout(self._check_timeout):
                await association.echo()
        except (DimseError, TimeoutError):
            return False
        except BaseException:
            association.close()
            raise
        return association.usable

    async def _put_back(self, peer: _Peer, association: ClientAssociation) -> None:
        if self._closed or association.busy or not association.usable:
            await association.abort()
            return
        peer.idle.append(_Idle(association, asyncio.get_running_loop().time()))
        if self._sweeper is None or self._sweeper.done():
            self._sweeper = asyncio.create_task(self._sweep())

    async def _sweep(self) -> None:
        """Release what has been idle for too long, while there is something idle."""
        loop = asyncio.get_running_loop()
        while oldest := [peer.idle[0].since for peer in self._peers.values() if peer.idle]:
            await asyncio.sleep(max(0.01, min(oldest) + self._idle_seconds - loop.time()))
            limit = loop.time() - self._idle_seconds
            for target, peer in list(self._peers.items()):
                late: Sequence[_Idle] = [item for item in peer.idle if item.since <= limit]
                for item in late:
                    peer.idle.remove(item)
                    ending = asyncio.create_task(_goodbye(item.association))
                    self._endings.add(ending)
                    ending.add_done_callback(self._endings.discard)
                self._forget(target, peer)

    def _forget(self, target: Target, peer: _Peer) -> None:
        if not peer.users and not peer.idle and self._peers.get(target) is peer:
            del self._peers[target]


async def _goodbye(association: ClientAssociation) -> None:
    """Release in a second, or abort."""
    with suppress(AssociationFailure):
        try:
            async with asyncio.timeout(1.0):
                await association.release()
        except TimeoutError:
            await association.abort()
