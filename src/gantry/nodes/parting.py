"""An association that is left politely, and soon: a node that does not confirm the release keeps nobody waiting."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from threading import Thread

from dimse import blocking
from dimse.errors import DimseError
from dimse.items import ExtendedNegotiation
from dimse.negotiation import ContextProposal
from gantry.nodes.associate import associate
from gantry.nodes.items import SendTarget

#: How long we wait for the confirmation, seconds. The node may take longer: then nobody looks.
RELEASE_SECONDS = 1.0


@contextmanager
def parting(
    target: SendTarget, contexts: Sequence[ContextProposal], *, extended: Sequence[ExtendedNegotiation] = ()
) -> Iterator[blocking.ClientAssociation]:
    """A blocking association as by `associate`; at the end released, or aborted when the block failed."""
    association = associate(target, contexts, extended=extended)
    try:
        yield association
    except BaseException:
        association.abort()
        raise
    # The response time of the node, a minute, is for answers; all is answered now. The thread closes the socket.
    thread = Thread(target=_release, args=(association,), name="release", daemon=True)
    thread.start()
    thread.join(RELEASE_SECONDS)


def _release(association: blocking.ClientAssociation) -> None:
    with suppress(DimseError, OSError):
        association.release()
