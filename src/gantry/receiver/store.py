"""One C-STORE: fragments go to the spool as they come; Success only after they are durable.

Nothing is decoded and the database is not asked. The header scan reads the UIDs in the first part of the
same bytes; what cannot be indexed is stored too, and answered with the reason (PS3.4 table B.2-1).
"""

from __future__ import annotations

import logging
from datetime import UTC, datetime
from time import perf_counter
from typing import Final

from dimse.acceptance import AssociationInfo, StoreAnswer, StoreRequest
from dimse.errors import Refused
from dimse.negotiation import AcceptedContext
from dimse.status import OUT_OF_RESOURCES, PROCESSING_FAILURE
from gantry import metrics
from gantry.dataset import Identity, build_prefix, scan_identity
from gantry.dataset.part10 import Envelope
from gantry.intake import reasons
from gantry.intake.judge import judge
from gantry.storage.errors import StorageError, StorageFull
from gantry.storage.spool_writer import SpoolWriter

log = logging.getLogger("gantry.receiver")
#: The UIDs are looked for when so many bytes are there (and again never): large enough for long private
#: groups before group 0020, small enough to lie in the smallest buffer of the spool.
SCAN_AT: Final = 192 << 10
MISSING: Final = frozenset({reasons.CLASS_MISSING, reasons.INSTANCE_MISSING, reasons.STUDY_MISSING, reasons.SERIES_MISSING})
_SUCCESS = StoreAnswer()
_stored = metrics.received_instances.labels("0000")


class StoredInstance:
    """Takes the data set of one C-STORE; the sink of the wire engine."""

    __slots__ = ("_began", "_command", "_identity", "_object", "_syntax", "_timer")

    def __init__(
        self, spool: SpoolWriter, slot: str, association: AssociationInfo, command: StoreRequest, context: AcceptedContext
    ) -> None:
        """Raises StorageFull when the volume is below its reserve."""
        request = association.request
        moved_by = command.move_originator_aet.strip()
        prefix, digest_at = build_prefix(
            Envelope(
                "dimse", command.sop_class_uid, command.sop_instance_uid, context.transfer_syntax, request.calling_aet,
                request.called_aet, association.peer.host, association.id, slot, datetime.now(UTC), None,
                moved_by, command.move_originator_message_id if moved_by else None,
            )
        )  # fmt: skip
        self._object = spool.begin(prefix, digest_at)
        self._command = command
        self._syntax = context.transfer_syntax
        self._identity: Identity | None = None
        self._timer = metrics.receive_timer(request.calling_aet)
        self._began = perf_counter()

    def write(self, view: memoryview) -> None:
        """Keep a fragment. Raises Refused with A700 or 0110 when the volume cannot."""
        incoming = self._object
        try:
            incoming.write(view)
        except StorageError as error:
            raise _refusal(error) from error
        if self._identity is None and incoming.size >= SCAN_AT and not incoming.flushed:
            self._identity = scan_identity(incoming.head, self._syntax)

    def finish(self) -> StoreAnswer:
        """Make the object durable, then say so. Raises Refused with A700 or 0110 when that failed."""
        incoming = self._object
        identity = self._identity
        whole = identity is None and not incoming.flushed
        if identity is None:
            identity = scan_identity(incoming.head, self._syntax, whole=whole)
        verdict = judge(
            identity, command_sop_class=self._command.sop_class_uid, command_sop_instance=self._command.sop_instance_uid
        )
        # What was not seen yet is no reason: the indexer reads further, and may still hold the object.
        seen = whole or identity.complete or verdict.reason not in MISSING
        size = incoming.size
        try:
            incoming.commit()
        except StorageError as error:
            raise _refusal(error) from error
        metrics.received_bytes.inc(size)
        self._timer.observe(perf_counter() - self._began)
        if verdict.accepted or not seen:
            _stored.inc()
            return _SUCCESS
        metrics.received_instances.labels(f"{verdict.dimse_status:04X}").inc()
        log.info("an object goes to quarantine: %s", verdict.explanation)
        return StoreAnswer(verdict.dimse_status, verdict.explanation[:64])

    def abort(self) -> None:
        """The sender went away or the spool failed: nothing is left."""
        self._object.abort()


def _refusal(error: StorageError) -> Refused:
    full = isinstance(error, StorageFull)
    status = OUT_OF_RESOURCES if full else PROCESSING_FAILURE
    log.error("an object is refused with %04X: %s", status, error)
    metrics.received_instances.labels(f"{status:04X}").inc()
    return Refused(status, "Out of space" if full else "Storage failed")
