"""The sub-operations of C-GET and C-MOVE, counted, and what they amount to in the end (PS3.4 C.4.2, C.4.3)."""

from __future__ import annotations

import struct
from collections.abc import Iterable, Mapping
from time import monotonic

from dimse.answering import Asked, final_of
from dimse.commands import PRIORITY, STATUS, Command, CommandField, encode_store_request
from dimse.errors import RemoteProtocolError
from dimse.negotiation import AcceptedContext
from dimse.operations import Final, Outgoing, SubOperations
from dimse.status import CANCELLED, CANNOT_SUB_OPERATE, SOME_SUB_OPERATIONS_FAILED, SUCCESS, Category, category_of
from dimse.uids import IMPLICIT_VR_LITTLE_ENDIAN

#: Pending answers of C-GET: after so many seconds or so many sub-operations, whichever comes first.
PENDING_SECONDS, PENDING_COUNT = 0.25, 100
#: A list of failed UIDs stays below this many bytes: a value of VR UI in explicit VR has a length of 16 bits.
_MAX_FAILED = 65_000


def failed_list(uids: Iterable[str], transfer_syntax_uid: str) -> bytes:
    """An identifier with Failed SOP Instance UID List (0008,0058), empty when there is none.

    Cut to what fits an explicit VR value (65 000 bytes, some thousand UIDs): the count says how many there are.
    """
    value = bytearray()
    for uid in uids:
        raw = uid.encode("latin-1", "replace")
        if len(value) + len(raw) + 2 > _MAX_FAILED:
            break
        value += b"\\" + raw if value else raw
    if not value:
        return b""
    value += bytes(len(value) % 2)
    if transfer_syntax_uid == IMPLICIT_VR_LITTLE_ENDIAN:
        return struct.pack("<HHL", 0x0008, 0x0058, len(value)) + bytes(value)
    return struct.pack("<HH2sH", 0x0008, 0x0058, b"UI", len(value)) + bytes(value)


def storable(contexts: Mapping[int, AcceptedContext]) -> dict[str, dict[str, int]]:
    """SOP class -> transfer syntax -> context id, of the contexts in which C-GET may send instances."""
    found: dict[str, dict[str, int]] = {}
    for context in contexts.values():
        if context.requestor_is_scp:
            found.setdefault(context.abstract_syntax, {}).setdefault(context.transfer_syntax, context.context_id)
    return found


def final_status(counts: SubOperations, *, cancelled: bool) -> int:
    """What counts amount to at the end (PS3.4 tables C.4-2 and C.4-3)."""
    if cancelled:
        return CANCELLED
    if not counts.failed and not counts.warned:
        return SUCCESS
    if not counts.completed and not counts.warned:
        return CANNOT_SUB_OPERATE
    return SOME_SUB_OPERATIONS_FAILED


def end_of_move(asked: Asked, counts: SubOperations | None, final: Final | None) -> Final:
    """The final answer of a C-MOVE: the provider's, completed with the last counts."""
    counts = counts or SubOperations()
    if final is None:
        return Final(final_status(counts, cancelled=asked.cancelled and counts.remaining > 0), counts=counts)
    if final.counts is None and counts.total:
        return Final(final.status, final.comment, final.offending, final.data, counts)
    return final


class Retrieval:
    """The sub-operations of one C-GET, counted."""

    def __init__(self, contexts: Mapping[int, AcceptedContext], asked: Asked, total: int) -> None:
        self._contexts = storable(contexts)
        self._asked = asked
        self._total = max(0, total)
        self._completed = self._warned = self._failed = 0
        self._failed_uids: list[str] = []
        self._failed_bytes = 0
        self._said_at = monotonic()
        self._said = 0

    def begin(self, outgoing: Outgoing, message_id: int) -> tuple[int, bytes] | None:
        """Context id and C-STORE-RQ with a message id of ours; None when the requestor cannot take it: it has
        failed then."""
        context_id = self._contexts.get(outgoing.sop_class_uid, {}).get(outgoing.transfer_syntax_uid)
        if context_id is None:
            self.failed(outgoing)
            return None
        priority = self._asked.command.number(PRIORITY)
        return context_id, encode_store_request(message_id, outgoing.sop_class_uid, outgoing.sop_instance_uid, priority)

    def answered(self, outgoing: Outgoing, answer: Command) -> None:
        """C-STORE-RSP came. `RemoteProtocolError` when it is another response."""
        if answer.field != CommandField.C_STORE_RSP:
            raise RemoteProtocolError(f"{answer.name} does not answer the sub-operation", reason=2)
        category = category_of(answer.number(STATUS))
        if category is Category.SUCCESS:
            self._completed += 1
        elif category is Category.WARNING:
            self._warned += 1
        else:
            self.failed(outgoing)

    def failed(self, outgoing: Outgoing) -> None:
        """A sub-operation that failed."""
        self._failed += 1
        if self._failed_bytes < _MAX_FAILED:
            self._failed_uids.append(outgoing.sop_instance_uid)
            self._failed_bytes += len(outgoing.sop_instance_uid) + 1

    def _done(self) -> int:
        return self._completed + self._failed + self._warned

    @property
    def counts(self) -> SubOperations:
        """How far it is."""
        return SubOperations(max(0, self._total - self._done()), self._completed, self._failed, self._warned)

    def due(self) -> bool:
        """True when it is time for a pending answer."""
        done, now = self._done(), monotonic()
        if done - self._said < PENDING_COUNT and now - self._said_at < PENDING_SECONDS:
            return False
        self._said, self._said_at = done, now
        return True

    def final(self, error: Exception | None = None) -> Final:
        """The end: what was announced and did not come has failed, unless it was cancelled."""
        counts = self.counts
        cancelled = self._asked.cancelled and counts.remaining > 0
        if counts.remaining and not cancelled:
            counts = SubOperations(0, counts.completed, counts.failed + counts.remaining, counts.warned)
        data = failed_list(self._failed_uids, self._asked.context.transfer_syntax)
        if error is None:
            return Final(final_status(counts, cancelled=cancelled), data=data, counts=counts)
        why = final_of(error)
        return Final(why.status, why.comment, data=data, counts=counts)
