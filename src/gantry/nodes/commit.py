"""Have a node commit itself to keep instances: Storage Commitment Push Model as user (PS3.4 annex J)."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from time import monotonic, sleep
from typing import Any
from uuid import uuid4

import psycopg

from dimse.blocking import ClientAssociation
from dimse.commands import CommandField
from dimse.errors import DimseError
from dimse.identifier import Identifier, IdentifierError
from dimse.negotiation import ContextProposal
from dimse.operations import NormalisedAnswer, NormalisedRequest
from dimse.status import Category, Service, category_of
from dimse.uids import EXPLICIT_VR_LITTLE_ENDIAN, IMPLICIT_VR_LITTLE_ENDIAN
from gantry import database
from gantry.nodes.errors import BadQuery
from gantry.nodes.explain import explain, explain_final
from gantry.nodes.items import SendTarget
from gantry.nodes.parting import parting

COMMITMENT_CLASS = "1.2.840.10008.1.20.1"
COMMITMENT_INSTANCE = "1.2.840.10008.1.20.1.1"
#: Action and event types (PS3.4 tables J.3-1 and J.3-3).
REQUEST_COMMITMENT, ALL_COMMITTED, SOME_FAILED = 1, 1, 2
#: Instances in one transaction: far below what an identifier may hold.
TOGETHER = 2000
#: Failure reasons (PS3.3 C.14.1.1) in words.
_REASONS = {
    0x0110: "processing failure", 0x0112: "the node does not have it", 0x0213: "the node is out of resources",
    0x0122: "the node does not take this SOP class", 0x0119: "its SOP class is another one at the node",
    0x0131: "the transaction was known already",
}  # fmt: skip
_SLICE_SECONDS = 0.25
_POLL_SECONDS = 0.1
#: Rows that are deleted at once.
_BATCH = 1000

Instance = tuple[str, str]


@dataclass(frozen=True, slots=True)
class Report:
    """What an N-EVENT-REPORT says: pairs of SOP class and instance, and triples with a failure reason."""

    transaction_uid: str
    committed: list[Instance]
    failed: list[tuple[str, str, int]]


@dataclass(slots=True)
class CommitResult:
    """What a request came to. An instance is in `committed`, in `failed` with its reason, or in neither: then no report
    came in time (it may come later), or the report did not name it."""

    transactions: list[str] = field(default_factory=list)
    committed: list[str] = field(default_factory=list)
    failed: dict[str, int] = field(default_factory=dict)
    unanswered: list[str] = field(default_factory=list)
    error: str = ""
    remedy: str = ""

    @property
    def ok(self) -> bool:
        """The node has committed itself to all of them."""
        return bool(self.committed) and not (self.failed or self.unanswered or self.error)


def reason_text(reason: int) -> str:
    """A failure reason in words."""
    return _REASONS.get(reason, f"failure reason {reason:04X}")


def instances_of_study(connection: psycopg.Connection[Any], study_instance_uid: str) -> list[Instance]:
    """(SOP class, instance) of all instances of a study in the index. Raises BadQuery when there are none."""
    rows = connection.execute(database.statements("gantry.nodes")["study_instances"], {"study": study_instance_uid}).fetchall()
    if not rows:
        raise BadQuery(f"the study {study_instance_uid[:64]!r} is not in the index")
    return [(str(sop_class), str(uid)) for sop_class, uid in rows]


def commit(
    target: SendTarget,
    instances: Sequence[Instance],
    *,
    connection: psycopg.Connection[Any] | None = None,
    node_id: int | None = None,
    wait_seconds: float = 30.0,
) -> CommitResult:
    """Ask for commitment and wait for the report, on the same association or, with a `connection` (in autocommit),
    on any process of ours that calls `report_received`. Never raises for what the node does.
    """
    result = CommitResult()
    for start in range(0, len(instances), TOGETHER):
        some = list(dict.fromkeys(instances[start : start + TOGETHER]))
        deal = _Deal(target, some, connection, node_id)
        result.transactions.append(deal.transaction_uid)
        reasons: dict[str, int] | None = None
        try:
            reasons = deal.run(monotonic() + wait_seconds)
        except (DimseError, OSError) as error:
            why = explain(error, target)
            result.error, result.remedy = why.cause, why.remedy
        except _Refused as error:
            result.error, result.remedy = str(error), error.remedy
        _take(result, some, reasons)
        if result.error:
            break
    if result.unanswered and not result.error:
        result.error = f"no report came for {len(result.unanswered)} instances in {wait_seconds:g} s"
        result.remedy = "it may come later; the node must know the address of our receiver to report there"
    return result


def _take(result: CommitResult, some: Sequence[Instance], reasons: dict[str, int] | None) -> None:
    for _, uid in some:
        reason = (reasons or {}).get(uid)
        if reason is None:
            result.unanswered.append(uid)
        elif reason:
            result.failed[uid] = reason
        else:
            result.committed.append(uid)


class _Refused(Exception):
    """The node refused the request."""

    def __init__(self, cause: str, remedy: str) -> None:
        super().__init__(cause)
        self.remedy = remedy


class _Deal:
    """One transaction."""

    def __init__(
        self, target: SendTarget, instances: list[Instance], connection: psycopg.Connection[Any] | None, node_id: int | None
    ) -> None:
        self.transaction_uid = f"2.25.{uuid4().int}"
        self._target = target
        self._instances = instances
        self._connection = connection
        self._node_id = node_id

    def run(self, deadline: float) -> dict[str, int] | None:
        """Failure reason by instance, 0 where committed; None when no report came."""
        self._note()
        try:
            with parting(
                self._target, [ContextProposal(COMMITMENT_CLASS, (EXPLICIT_VR_LITTLE_ENDIAN, IMPLICIT_VR_LITTLE_ENDIAN))]
            ) as association:
                self._ask(association)
                reasons = self._listen(association, deadline)
        except (DimseError, OSError, _Refused):
            self._forget()
            raise
        while reasons is None and self._connection is not None and monotonic() < deadline:
            sleep(_POLL_SECONDS)
            reasons = self._reported()
        return reasons

    def _ask(self, association: ClientAssociation) -> None:
        items = [Identifier.of(ReferencedSOPClassUID=cls, ReferencedSOPInstanceUID=uid) for cls, uid in self._instances]
        asked = Identifier.of(TransactionUID=self.transaction_uid, ReferencedSOPSequence=items)
        syntax = association.syntax_of(COMMITMENT_CLASS)
        request = NormalisedRequest(
            CommandField.N_ACTION_RQ, 0, COMMITMENT_CLASS, COMMITMENT_INSTANCE, syntax, REQUEST_COMMITMENT,
            data=asked.encode(syntax),
        )  # fmt: skip
        answer = association.normalised(request)
        if category_of(answer.status) is Category.FAILURE:
            raise _Refused(*explain_final(answer.status, answer.comment, Service.N_ACTION, self._target))

    def _listen(self, association: ClientAssociation, deadline: float) -> dict[str, int] | None:
        """The node may report on this association, or on one of its own, or end this one first."""
        heard: list[Report] = []

        def answer(request: NormalisedRequest) -> NormalisedAnswer:
            report = read_report(request)
            heard.append(report)
            return NormalisedAnswer() if report.transaction_uid == self.transaction_uid else NormalisedAnswer(0x0112)

        try:
            while (left := deadline - monotonic()) > 0:
                association.await_report(min(left, _SLICE_SECONDS), answer)
                for report in heard:
                    if report.transaction_uid == self.transaction_uid:
                        return self._take_report(report)
                heard.clear()
                if (reasons := self._reported()) is not None:
                    return reasons
        except (DimseError, OSError):
            pass  # it rather ends the association: the report comes on another one
        return None

    def _take_report(self, report: Report) -> dict[str, int]:
        if self._connection is not None:
            report_received(self._connection, report)
        return _reasons(report)

    def _note(self) -> None:
        if self._connection is not None:
            values = {"transaction_uid": self.transaction_uid, "node_id": self._node_id, "instances": json.dumps(self._instances)}
            self._connection.execute(database.statements("gantry.nodes")["open_commitment"], values)

    def _forget(self) -> None:
        if self._connection is not None:
            values = {"transaction_uid": self.transaction_uid}
            self._connection.execute(database.statements("gantry.nodes")["drop_commitment"], values)

    def _reported(self) -> dict[str, int] | None:
        if self._connection is None:
            return None
        values = {"transaction_uid": self.transaction_uid}
        row = self._connection.execute(database.statements("gantry.nodes")["commitment_result"], values).fetchone()
        return {str(uid): int(reason) for uid, reason in row[0].items()} if row is not None else None


def read_report(request: NormalisedRequest) -> Report:
    """What an N-EVENT-REPORT of the class says. Raises IdentifierError for data that cannot be read."""
    syntax = request.transfer_syntax_uid or IMPLICIT_VR_LITTLE_ENDIAN
    said = Identifier.parse(request.data, syntax)
    committed = [
        (item.text("ReferencedSOPClassUID"), item.text("ReferencedSOPInstanceUID"))
        for item in said.items_of("ReferencedSOPSequence")
    ]
    failed = [
        (item.text("ReferencedSOPClassUID"), item.text("ReferencedSOPInstanceUID"), _number(item.text("FailureReason")))
        for item in said.items_of("FailedSOPSequence")
    ]
    transaction_uid = said.text("TransactionUID")
    if not transaction_uid:
        raise IdentifierError("the report has no Transaction UID")
    return Report(transaction_uid, committed, failed)


def _number(text: str) -> int:
    return int(text) if text.isascii() and text.isdigit() and int(text) else 0x0110


def _reasons(report: Report) -> dict[str, int]:
    # What is named as committed and as failed has failed.
    return {uid: 0 for _, uid in report.committed} | {uid: reason for _, uid, reason in report.failed}


def report_received(connection: psycopg.Connection[Any], report: Report) -> bool:
    """Keep a report that came in, whichever association it came on; False: the transaction is none of ours.

    For the receiver: call it from the answer to N-EVENT-REPORT, answer 0000 for True and 0112 (no such SOP
    instance) for False. The caller commits.
    """
    values = {"transaction_uid": report.transaction_uid, "result": json.dumps(_reasons(report))}
    return connection.execute(database.statements("gantry.nodes")["report_commitment"], values).rowcount == 1


def forget_old(connection: psycopg.Connection[Any], days: int) -> int:
    """Delete what we asked for, and its reports, more than `days` ago; gives how many. 0 days: none. As `forget`."""
    return forget(connection, "gantry.nodes", "forget_commitments", days)


def forget(connection: psycopg.Connection[Any], room: str, statement: str, days: int) -> int:
    """Run a statement that deletes at most a batch of old rows until it finds no more. `connection` in autocommit."""
    total = 0
    while days:
        deleted = connection.execute(database.statements(room)[statement], {"days": days, "batch": _BATCH}).rowcount
        total += deleted
        if deleted < _BATCH:
            break
    return total
