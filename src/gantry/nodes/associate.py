"""Open an association to a node the way the node says: over TLS where it says so, never plain then, with its user."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import TypedDict

from dimse import aio, blocking
from dimse.errors import DimseError
from dimse.items import ExtendedNegotiation, UserIdentity
from dimse.negotiation import ContextProposal
from dimse.tls import TlsContext, TlsFiles, client_context
from gantry.nodes.items import Security, SendTarget

#: PS3.8 9.3.2.2: context ids are the odd numbers of one byte.
MAX_CONTEXTS = 128
#: How long a node may take to end an operation that nobody wants any more, and then to confirm the release, seconds.
CANCEL_SECONDS, _RELEASE_SECONDS = 0.6, 0.9


class _Options(TypedDict):
    called_aet: str
    calling_aet: str
    contexts: Sequence[ContextProposal]
    extended: Sequence[ExtendedNegotiation]
    connect_timeout: float
    response_timeout: float
    user_identity: UserIdentity | None
    tls: TlsContext | None


def associate(
    target: SendTarget, contexts: Sequence[ContextProposal], *, extended: Sequence[ExtendedNegotiation] = ()
) -> blocking.ClientAssociation:
    """A blocking association. Raises what `dimse.blocking.connect` raises, TlsError among it."""
    address = target.address
    return blocking.connect(address.host, address.port, **_options(target, contexts, extended))


async def associate_async(
    target: SendTarget, contexts: Sequence[ContextProposal], *, extended: Sequence[ExtendedNegotiation] = ()
) -> aio.ClientAssociation:
    """The same for asyncio."""
    address = target.address
    return await aio.connect(address.host, address.port, **_options(target, contexts, extended))


async def let_go(association: aio.ClientAssociation) -> None:
    """Release, or abort a node that does not end in time; within a second. Never raises for what the node does."""
    try:
        async with asyncio.timeout(_RELEASE_SECONDS):
            await association.release()
    except (DimseError, OSError, TimeoutError):
        await association.abort()


def _options(target: SendTarget, contexts: Sequence[ContextProposal], extended: Sequence[ExtendedNegotiation]) -> _Options:
    return {
        "called_aet": target.address.aet,
        "calling_aet": target.calling_aet,
        "contexts": contexts,
        "extended": extended,
        "connect_timeout": target.connect_seconds,
        "response_timeout": target.response_seconds,
        "user_identity": _identity(target.security),
        "tls": _tls(target.security),
    }


def _identity(security: Security) -> UserIdentity | None:
    """Kind 1 or 2 of PS3.7 table D.3-14."""
    if not security.user:
        return None
    kind = 2 if security.passcode else 1
    return UserIdentity(kind, security.user.encode("utf-8"), security.passcode.encode("utf-8"))


def _tls(security: Security) -> TlsContext | None:
    if not security.tls:
        return None
    files = TlsFiles(security.certificate, security.key, security.authorities or ())
    return client_context(files, expect_fingerprint=security.fingerprint)
