"""Tell a caller what we commit to, on an association of our own (PS3.4 J.3.3): judged again if need be, tried for hours."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

import psycopg

from dimse.errors import DimseError
from dimse.negotiation import STORAGE_COMMITMENT, ContextProposal
from dimse.status import Category, category_of
from dimse.uids import EXPLICIT_VR_LITTLE_ENDIAN, IMPLICIT_VR_LITTLE_ENDIAN
from gantry import database
from gantry.nodes import registry
from gantry.nodes.commit import forget
from gantry.nodes.explain import explain
from gantry.nodes.items import SendTarget
from gantry.nodes.models import Node
from gantry.nodes.parting import parting
from gantry.receiver.commit import Failure, Reference, defer_report, find_copies, judge, report_request, save_judgement
from gantry.transfers.backoff import ceiling

log = logging.getLogger("gantry.receiver")
#: What was stored just before may reach the index within so many seconds.
INDEX_SECONDS = 20.0
#: Attempts before we give up, and the waits between them, seconds: about twelve hours together.
ATTEMPTS, FIRST_SECONDS, LONGEST_SECONDS = 20, 5.0, 3600.0


def report(connection: psycopg.Connection, home: Path, number: int, stop: threading.Event) -> str:
    """Judge and report one commitment; gives its status after that. Arranges the next attempt when this one failed.

    `connection` in autocommit. Two of us never work on one commitment.
    """
    queries = database.statements("gantry.receiver")
    row = connection.execute(queries["lock_commitment"], {"id": number}).fetchone()
    if not row or not row[0]:
        return "busy"
    try:
        return _report(connection, home, number, stop)
    finally:
        with suppress(psycopg.Error):
            connection.execute(queries["unlock_commitment"], {"id": number})


def _report(connection: psycopg.Connection, home: Path, number: int, stop: threading.Event) -> str:
    queries = database.statements("gantry.receiver")
    row = connection.execute(queries["commitment"], {"id": number}).fetchone()
    if row is None or row[5] not in {"asked", "judged"}:
        return row[5] if row else "gone"
    _, transaction, calling_aet, instances, kept, status, _ = row
    references: list[Reference] = [(sop_class, uid) for sop_class, uid in instances]
    failures: list[Failure] = [(sop_class, uid, reason) for sop_class, uid, reason in kept]
    if status == "asked":
        failures = _judge(connection, home, references, stop)
        if stop.is_set():
            return "stopped"
        save_judgement(connection, number, failures)
    error = _tell(calling_aet, transaction, references, failures)
    if not error:
        connection.execute(queries["reported"], {"id": number})
        log.info("commitment %s is reported: %s of %s failed", number, len(failures), len(references))
        return "reported"
    after = connection.execute(queries["not_reported"], {"id": number, "error": error[:1000], "limit": ATTEMPTS}).fetchone()
    attempts, state = after or (ATTEMPTS, "given up")
    log.warning("commitment %s could not be reported (attempt %s): %s", number, attempts, error)
    if state == "judged":
        defer_report(connection, number, seconds=ceiling(attempts, first=FIRST_SECONDS, cap=LONGEST_SECONDS))
    return str(state)


def _judge(connection: psycopg.Connection, home: Path, references: Sequence[Reference], stop: threading.Event) -> list[Failure]:
    until = time.monotonic() + INDEX_SECONDS
    wanted = {uid for _, uid in references}
    while True:
        copies = find_copies(connection, references)
        if len(copies) == len(wanted) or time.monotonic() > until or stop.wait(0.25):
            break
    return judge(home, references, copies)


def _tell(calling_aet: str, transaction: str, references: Sequence[Reference], failures: Sequence[Failure]) -> str:
    """Send the report; gives what went wrong, empty when the caller took it."""
    node = Node.objects.filter(aet=calling_aet, removed_at=None).order_by("-enabled", "pk").first()
    if node is None:
        return f"{calling_aet} is no node: where to report is not known (gantry node add)"
    target = registry.target_of(node)
    try:
        return _send(target, transaction, references, failures)
    except (DimseError, OSError) as error:
        return str(explain(error, target))


def _send(target: SendTarget, transaction: str, references: Sequence[Reference], failures: Sequence[Failure]) -> str:
    # We are the provider although we call: role selection says so (PS3.4 J.3.3.1).
    proposal = ContextProposal(STORAGE_COMMITMENT, (EXPLICIT_VR_LITTLE_ENDIAN, IMPLICIT_VR_LITTLE_ENDIAN), scu=False, scp=True)
    with parting(target, [proposal]) as association:
        syntax = next((syntax for sop_class, syntax in association.accepted if sop_class == STORAGE_COMMITMENT), "")
        if not syntax:
            return "it does not take reports of storage commitment"
        answer = association.normalised(report_request(transaction, references, failures, syntax))
    if category_of(answer.status) in {Category.SUCCESS, Category.WARNING}:
        return ""
    return f"it answered {answer.status:04X} {answer.comment}".strip()


def forget_ended(connection: psycopg.Connection, days: int) -> int:
    """Delete commitments that were reported, or given up, more than `days` ago; gives how many. 0 days: none.

    `connection` in autocommit: a few at a time, so that nobody waits for us. What was asked of us and is not yet
    reported stays.
    """
    return forget(connection, "gantry.receiver", "forget_commitments", days)
