"""What the wire engine asks us: may this peer associate, and what it asks for after that, each by its own verb."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterator

from dimse.acceptance import Accept, AssociationInfo, PeerAddress, Reject, StoreRequest
from dimse.commands import CommandField
from dimse.errors import Refused
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
from dimse.status import OUT_OF_RESOURCES, PROCESSING_FAILURE, SUCCESS
from gantry import metrics
from gantry.receiver.callers import Callers
from gantry.receiver.policy import Caller
from gantry.receiver.provider import Provider
from gantry.receiver.store import StoredInstance
from gantry.storage.errors import StorageError, StorageFull
from gantry.storage.spool_writer import SpoolWriter

log = logging.getLogger("gantry.receiver")
#: PS3.8 table 9-21: permanent, by the service user, called AE title not recognised.
_NOT_US = Reject(result=1, source=1, reason=7)
#: PS3.7 annex C.5.21.
NOT_AUTHORISED = 0x0124
_NOBODY = Caller("", frozenset(), known=False)


class Receiver:
    """The acceptor of one receiver process; its methods run in the threads of the associations.

    `aet` is our AE title; with `any_called_aet` peers may call us by another one. The spool is opened on
    first use when the volume is too full for it at the start, so that space that comes back is enough.
    What a caller may do is settled when its association begins and holds until it ends.
    """

    def __init__(
        self, spool: SpoolWriter, slot: str, callers: Callers, provider: Provider, *, aet: str, any_called_aet: bool
    ) -> None:
        self._spool = spool
        self._slot = slot
        self._callers = callers
        self._provider = provider
        self._aet = aet
        self._any_called_aet = any_called_aet
        self._opened = False
        self._lock = threading.Lock()

    def open(self) -> None:
        """Open the spool. Only a full volume is not an error now; StorageFailed and SlotBusy are raised."""
        self._provider.load_soon()
        try:
            self._ready()
        except StorageFull as error:
            log.error("the spool cannot be opened yet: %s", error)

    def close(self) -> None:
        """Close the spool."""
        with self._lock:
            if self._opened:
                self._opened = False
                self._spool.close()

    def association_requested(self, request: AssociateRequest, peer: PeerAddress) -> Accept | Reject:
        """Accept whom the policy lets in, unless another AE title than ours was called and that matters."""
        if not self._any_called_aet and request.called_aet.strip() != self._aet:
            metrics.associations_rejected.labels("called_aet").inc()
            log.info("association from %s rejected: it calls another AE title", peer.host)
            return _NOT_US
        verdict = self._callers.judge(request, peer)
        if isinstance(verdict, Reject):
            metrics.associations_rejected.labels("calling_aet").inc()
            return verdict
        metrics.associations_open.inc()
        return Accept(note=verdict)

    def echo(self, association: AssociationInfo) -> int:
        """C-ECHO (PS3.7 9.1.5): the spool need not be open for it."""
        return SUCCESS if self._caller(association).may("echo") else NOT_AUTHORISED

    def store(self, association: AssociationInfo, command: StoreRequest, context: AcceptedContext) -> StoredInstance:
        """A place for the data set of a C-STORE. Raises Refused with A700 when the volume is full."""
        self._require(association, "store")
        try:
            self._ready()
            return StoredInstance(self._spool, self._slot, association, command, context)
        except StorageFull as error:
            raise refused(OUT_OF_RESOURCES, "Out of space") from error
        except StorageError as error:
            log.error("an object could not be begun: %s", error)
            raise refused(PROCESSING_FAILURE, "Storage failed") from error

    def find(self, association: AssociationInfo, request: FindRequest, cancelled: Callable[[], bool]) -> Iterator[Match | Final]:
        """C-FIND (PS3.4 C.4.1) on the index."""
        self._require(association, "find")
        return self._provider.find(association, request, cancelled)

    def get(
        self, association: AssociationInfo, request: GetRequest, cancelled: Callable[[], bool]
    ) -> tuple[int, Iterator[Outgoing]]:
        """C-GET (PS3.4 C.4.3): stored bytes on the same association."""
        self._require(association, "get")
        return self._provider.get(association, request, cancelled)

    def move(
        self, association: AssociationInfo, request: MoveRequest, cancelled: Callable[[], bool]
    ) -> Iterator[SubOperations | Final]:
        """C-MOVE (PS3.4 C.4.2) to a node, through the delivery ledger."""
        self._require(association, "move")
        return self._provider.move(association, request, cancelled)

    def normalised(self, association: AssociationInfo, request: NormalisedRequest) -> NormalisedAnswer:
        """Storage Commitment Push (PS3.4 annex J). A report on what we have asked for comes from any caller we let in:
        it must name a transaction of ours."""
        self._require(association, "store" if request.field is CommandField.N_EVENT_REPORT_RQ else "commit")
        return self._provider.normalised(association, request)

    def association_ended(self, association: AssociationInfo, how: str) -> None:
        """Tell the indexer that nothing more comes, whatever the reason."""
        metrics.associations_open.dec()
        log.debug("association %s from %s ended: %s", association.id, association.peer.host, how)
        try:
            if self._opened:
                self._spool.note_association_end(association.id)
        except StorageError as error:
            # The study settles after its quiet time all the same.
            log.warning("the end of an association could not be noted: %s", error)

    def _caller(self, association: AssociationInfo) -> Caller:
        return association.note if isinstance(association.note, Caller) else _NOBODY

    def _require(self, association: AssociationInfo, action: str) -> None:
        if not self._caller(association).may(action):
            log.info("a caller from %s may not %s", association.peer.host, action)
            if action == "store":
                raise refused(NOT_AUTHORISED, "Not authorised")
            raise Refused(NOT_AUTHORISED, f"Not authorised to {action}")

    def _ready(self) -> None:
        if self._opened:
            return
        with self._lock:
            if not self._opened:
                self._spool.open()
                self._opened = True


def refused(status: int, comment: str) -> Refused:
    """A refusal of an object, counted."""
    metrics.received_instances.labels(f"{status:04X}").inc()
    return Refused(status, comment)
