"""Storage Commitment Push as provider (PS3.4 annex J): noted durably, judged by index and bytes, then reported.

N-ACTION is answered 0000 when the request is a row. Its report goes out on the same association when it can be made
at once; otherwise `gantry.receiver.report` tells the caller on an association of our own, until it listens.
"""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Generator, Sequence
from pathlib import Path
from typing import Any

import psycopg
from psycopg.types.json import Jsonb

from dimse.acceptance import AssociationInfo
from dimse.commands import CommandField
from dimse.errors import AssociationFailure, DimseError, Refused
from dimse.identifier import Identifier
from dimse.negotiation import STORAGE_COMMITMENT, STORAGE_COMMITMENT_INSTANCE
from dimse.operations import NormalisedAnswer, NormalisedRequest
from dimse.status import PROCESSING_FAILURE, SUCCESS, UNRECOGNISED_OPERATION
from dimse.uids import is_uid
from gantry import database
from gantry.nodes.commit import read_report, report_received
from gantry.receiver.errors import IndexAway
from gantry.receiver.index import Index
from gantry.storage.errors import PathRefused
from gantry.storage.layout import resolve
from gantry.storage.spooled import digest_of

log = logging.getLogger("gantry.receiver")
NO_SUCH_INSTANCE, INVALID_ARGUMENT, NO_SUCH_ACTION, CLASS_CONFLICT = 0x0112, 0x0115, 0x0123, 0x0119
NO_SUCH_CLASS = 0x0118
#: Event types of PS3.4 table J.3-2: all is well; failures exist.
COMPLETE, FAILURES_EXIST = 1, 2
#: A report on the same association is made within so many seconds, if no more than so much has to be read for it.
SAME_ASSOCIATION_SECONDS, SAME_ASSOCIATION_BYTES = 2.0, 256 << 20
#: What was stored a moment ago may not be in the index yet: between two looks, seconds.
LOOK_SECONDS = 0.1
#: The digest check of a request reads so many bytes per second at most: receiving goes first.
BYTES_PER_SECOND = 400e6
#: The report on an association of our own waits so long for the one on the same association, seconds.
REPORT_AFTER_SECONDS = 5.0

Reference = tuple[str, str]
Failure = tuple[str, str, int]
Copy = tuple[str, str, str, int, int, bytes]


def commit(index: Index, home: Path, association: AssociationInfo, request: NormalisedRequest) -> NormalisedAnswer:
    """Take a request for commitment. Raises Refused with a status of PS3.7 10.1.4.1.10, 0110 while the index is away."""
    if request.sop_class_uid != STORAGE_COMMITMENT:
        raise Refused(NO_SUCH_CLASS, "only storage commitment push is known")
    if request.field is CommandField.N_EVENT_REPORT_RQ:
        return _take_report(index, request)
    if request.field is not CommandField.N_ACTION_RQ:
        raise Refused(UNRECOGNISED_OPERATION, "only N-ACTION is known")
    if request.sop_instance_uid != STORAGE_COMMITMENT_INSTANCE:
        raise Refused(NO_SUCH_INSTANCE, "not the well-known instance")
    if request.type_id != 1:
        raise Refused(NO_SUCH_ACTION, "the action type is 1")
    transaction, references = read_request(request)
    try:
        with index.connection() as connection:
            number = _note(connection, association, transaction, references)
    except IndexAway as error:
        raise Refused(PROCESSING_FAILURE, "index is away") from error
    log.info("commitment %s is asked for %s instances", number, len(references))
    syntax = request.transfer_syntax_uid
    return NormalisedAnswer(SUCCESS, reports=lambda: _same_association(index, home, (number, transaction, references), syntax))


def _take_report(index: Index, request: NormalisedRequest) -> NormalisedAnswer:
    """The report of a node on what `gantry.nodes.commit` has asked of it."""
    try:
        report = read_report(request)
    except (DimseError, ValueError) as error:
        raise Refused(INVALID_ARGUMENT, "the report cannot be read") from error
    try:
        with index.connection() as connection:
            ours = report_received(connection, report)
    except IndexAway as error:
        raise Refused(PROCESSING_FAILURE, "index is away") from error
    if not ours:
        raise Refused(NO_SUCH_INSTANCE, "the transaction is none of ours")
    return NormalisedAnswer(SUCCESS)


def read_request(request: NormalisedRequest) -> tuple[str, list[Reference]]:
    """Transaction UID and what is referenced (PS3.4 table J.3-1). Raises Refused with 0115."""
    try:
        data = Identifier.parse(request.data, request.transfer_syntax_uid)
        items = data.items_of("ReferencedSOPSequence")
        references = [(item.text("ReferencedSOPClassUID"), item.text("ReferencedSOPInstanceUID")) for item in items]
        transaction = data.text("TransactionUID")
    except (DimseError, ValueError) as error:
        raise Refused(INVALID_ARGUMENT, "the data set cannot be read") from error
    if not is_uid(transaction):
        raise Refused(INVALID_ARGUMENT, "Transaction UID is missing")
    if not references or not all(is_uid(uid) for reference in references for uid in reference):
        raise Refused(INVALID_ARGUMENT, "Referenced SOP Sequence is empty or has no UIDs")
    return transaction, list(dict.fromkeys(references))


def _note(connection: psycopg.Connection, association: AssociationInfo, transaction: str, references: Sequence[Reference]) -> int:
    queries = database.statements("gantry.receiver")
    with connection.transaction():
        row = connection.execute(
            queries["order_commitment"],
            {
                "transaction_uid": transaction,
                "calling_aet": association.calling_aet.strip(" "),
                "called_aet": association.called_aet.strip(" "),
                "remote_address": association.peer.host,
                "instances": Jsonb([list(reference) for reference in references]),
            },
        ).fetchone()
        assert row is not None
        number = int(row[0])
        # With the row: whatever happens to this process, the caller will hear.
        defer_report(connection, number, seconds=REPORT_AFTER_SECONDS)
    return number


def defer_report(connection: psycopg.Connection, number: int, *, seconds: float = 0.0) -> None:
    """Have the worker report, now or in so many seconds; an immediate one does not wait behind a later one."""
    arguments = {"id": number, "seconds": seconds, "lock": "later" if seconds else "now"}
    connection.execute(database.statements("gantry.receiver")["defer_report"], arguments)


def _same_association(
    index: Index, home: Path, asked: tuple[int, str, list[Reference]], syntax: str
) -> Generator[NormalisedRequest, NormalisedAnswer, None]:
    """The report while the caller is still there. What goes wrong is left to the worker."""
    number, transaction, references = asked
    reported = False
    try:
        failures = _judge_soon(index, home, references)
        if failures is not None:
            answer = yield report_request(transaction, references, failures, syntax)
            reported = answer.status == SUCCESS
            if reported:
                with index.connection() as connection:
                    save_judgement(connection, number, failures)
                    connection.execute(database.statements("gantry.receiver")["reported"], {"id": number})
    except (AssociationFailure, IndexAway) as error:
        log.debug("commitment %s is not reported on the same association: %s", number, type(error).__name__)
    finally:
        if not reported:
            _leave_to_worker(index, number)


def _leave_to_worker(index: Index, number: int) -> None:
    try:
        with index.connection() as connection:
            defer_report(connection, number)
    except IndexAway:
        log.warning("commitment %s is reported when the index is back", number)


def _judge_soon(index: Index, home: Path, references: Sequence[Reference]) -> list[Failure] | None:
    """The failures; None when it takes longer than a caller may be kept waiting, or something is not there yet."""
    until = time.monotonic() + SAME_ASSOCIATION_SECONDS
    while True:
        with index.connection() as connection:
            copies = find_copies(connection, references)
        if len(copies) == len({uid for _, uid in references}):
            break
        if time.monotonic() > until:
            return None
        time.sleep(LOOK_SECONDS)
    if sum(copy[4] for copy in copies.values()) > SAME_ASSOCIATION_BYTES:
        return None
    return judge(home, references, copies)


def find_copies(connection: psycopg.Connection, references: Sequence[Reference]) -> dict[str, Copy]:
    """The current version of each referenced instance that is in the index, by SOP Instance UID."""
    sql = database.statements("gantry.receiver")["stored_copies"]
    rows = connection.execute(sql, {"uids": [uid for _, uid in references]})
    return {row[0]: (row[0], row[1], row[2], row[3], row[4], bytes(row[5])) for row in rows}


def judge(home: Path, references: Sequence[Reference], copies: dict[str, Copy]) -> list[Failure]:
    """What cannot be committed to, with its Failure Reason: 0112 not here, 0119 of another class, 0110 not as received.

    Every byte of a data set is read and its digest compared; the pace is bounded.
    """
    failures: list[Failure] = []
    began, read = time.monotonic(), 0
    for sop_class, uid in references:
        copy = copies.get(uid)
        if copy is None:
            failures.append((sop_class, uid, NO_SUCH_INSTANCE))
        elif copy[1] != sop_class:
            failures.append((sop_class, uid, CLASS_CONFLICT))
        else:
            if not _is_whole(home, copy):
                failures.append((sop_class, uid, PROCESSING_FAILURE))
            read += copy[4]
            ahead = began + read / BYTES_PER_SECOND - time.monotonic()
            if ahead > 0.05:
                time.sleep(ahead)
    return failures


def _is_whole(home: Path, copy: Copy) -> bool:
    _, _, path, offset, size, digest = copy
    try:
        place = resolve(home, path)
        if os.stat(place).st_size >= offset + size and digest_of(place, offset, size) == digest:
            return True
        log.error("a stored object is not what was received: %s", path)
    except (OSError, PathRefused) as error:
        log.error("a stored object cannot be read: %s: %s", path, type(error).__name__)
    return False


def save_judgement(connection: psycopg.Connection, number: int, failures: Sequence[Failure]) -> None:
    """Keep what was found; the first judgement stands."""
    sql = database.statements("gantry.receiver")["judged"]
    connection.execute(sql, {"id": number, "failures": Jsonb([list(failure) for failure in failures])})


def report_request(
    transaction: str, references: Sequence[Reference], failures: Sequence[Failure], syntax: str
) -> NormalisedRequest:
    """The N-EVENT-REPORT of a judged request (PS3.4 table J.3-2)."""
    failed = {(sop_class, uid) for sop_class, uid, _ in failures}
    good = [_item(*reference) for reference in references if reference not in failed]
    values: dict[str, Any] = {"TransactionUID": transaction}
    if good:
        values["ReferencedSOPSequence"] = good
    if failures:
        values["FailedSOPSequence"] = [_item(sop_class, uid, reason) for sop_class, uid, reason in failures]
    return NormalisedRequest(
        CommandField.N_EVENT_REPORT_RQ, 0, STORAGE_COMMITMENT, STORAGE_COMMITMENT_INSTANCE, syntax,
        FAILURES_EXIST if failures else COMPLETE, data=Identifier.of(**values).encode(syntax),
    )  # fmt: skip


def _item(sop_class: str, uid: str, reason: int | None = None) -> Identifier:
    values: dict[str, Any] = {"ReferencedSOPClassUID": sop_class, "ReferencedSOPInstanceUID": uid}
    if reason is not None:
        values["FailureReason"] = reason
    return Identifier.of(**values)
