"""Storage commitment: noted, judged by index and bytes, reported on the same association or on one of our own."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator, Sequence
from typing import Any

import psycopg
import pytest
from tests.gantry.receiver.asking import ask
from tests.gantry.receiver.served import Served, serving
from tests.gantry.transfers.seed import SeededStudy, add_node, seed_study
from tests.support.part10_files import CT_IMAGE_STORAGE, EXPLICIT_LITTLE_ENDIAN

from dimse.blocking import Server, listen
from dimse.commands import CommandField
from dimse.identifier import Identifier
from dimse.negotiation import STORAGE_COMMITMENT, STORAGE_COMMITMENT_INSTANCE
from dimse.operations import NormalisedAnswer, NormalisedRequest
from gantry.main.home import Home
from gantry.receiver import commit as receiver_commit
from gantry.receiver import report as receiver_report
from gantry.receiver.models import Commitment

TRANSACTION = "1.2.3.4.5"


@pytest.fixture
def receiver(home: Home, connection: psycopg.Connection) -> Iterator[Served]:
    with serving(home.path) as made:
        yield made


def request(references: Sequence[tuple[str, str]], *, transaction: str = TRANSACTION, **changes: Any) -> NormalisedRequest:
    items = [Identifier.of(ReferencedSOPClassUID=sop_class, ReferencedSOPInstanceUID=uid) for sop_class, uid in references]
    data = Identifier.of(TransactionUID=transaction, ReferencedSOPSequence=items).encode(EXPLICIT_LITTLE_ENDIAN)
    values = {
        "field": CommandField.N_ACTION_RQ, "message_id": 0, "sop_class_uid": STORAGE_COMMITMENT,
        "sop_instance_uid": STORAGE_COMMITMENT_INSTANCE, "transfer_syntax_uid": EXPLICIT_LITTLE_ENDIAN, "type_id": 1, "data": data,
    }  # fmt: skip
    return NormalisedRequest(**{**values, **changes})


def said(report: NormalisedRequest) -> tuple[int, set[str], dict[str, int]]:
    """Event type, what is committed to, and the failures."""
    data = Identifier.parse(report.data, report.transfer_syntax_uid or EXPLICIT_LITTLE_ENDIAN)
    assert data.text("TransactionUID") == TRANSACTION
    good = {item.text("ReferencedSOPInstanceUID") for item in data.items_of("ReferencedSOPSequence")}
    bad = {item.text("ReferencedSOPInstanceUID"): int(item.text("FailureReason")) for item in data.items_of("FailedSOPSequence")}
    return report.type_id, good, bad


def references_of(study: SeededStudy) -> list[tuple[str, str]]:
    return [(CT_IMAGE_STORAGE, stored.uid) for stored in study.instances]


def statuses() -> list[str]:
    return list(Commitment.objects.order_by("pk").values_list("status", flat=True))


def until_status(*wanted: str) -> None:
    deadline = time.monotonic() + 60
    while statuses() != list(wanted):
        assert time.monotonic() < deadline, statuses()
        time.sleep(0.02)


def test_the_report_comes_on_the_same_association(receiver: Served) -> None:
    study = seed_study(receiver.home, 3)
    with ask(receiver.port) as association:
        assert association.normalised(request(references_of(study))).status == 0
        report = association.await_report(60, lambda _: NormalisedAnswer())
        until_status("reported")
    assert report is not None
    assert said(report) == (1, {stored.uid for stored in study.instances}, {})


def test_what_cannot_be_committed_to_is_named(receiver: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(receiver_report, "INDEX_SECONDS", 0.1)
    study = seed_study(receiver.home, 5)
    uids = [stored.uid for stored in study.instances]
    study.instances[1].path.unlink()
    content = bytearray(study.instances[2].path.read_bytes())
    content[-3] ^= 8
    study.instances[2].path.write_bytes(content)
    study.instances[3].path.write_bytes(study.instances[3].path.read_bytes()[:-10])
    asked = [*references_of(study)[:4], ("1.2.840.10008.5.1.4.1.1.4", uids[4])]
    with ask(receiver.port) as association:
        association.normalised(request(asked))
        report = association.await_report(60, lambda _: NormalisedAnswer())
        until_status("reported")
    assert report is not None
    assert said(report) == (2, {uids[0]}, {uids[1]: 0x0110, uids[2]: 0x0110, uids[3]: 0x0110, uids[4]: 0x0119})
    assert Commitment.objects.get().failures[3] == ["1.2.840.10008.5.1.4.1.1.4", uids[4], 0x0119]


@pytest.mark.parametrize(
    ("changes", "status"),
    [
        ({"type_id": 2}, 0x0123), ({"sop_instance_uid": "1.2.3"}, 0x0112), ({"field": CommandField.N_GET_RQ, "data": b""}, 0x0211),
        ({"data": b"\x01\x02\x03"}, 0x0115), ({"transaction": ""}, 0x0115), ({"references": []}, 0x0115),
        ({"references": [("", "1.2.3")]}, 0x0115),
    ],
)  # fmt: skip
def test_requests_that_cannot_be(changes: dict[str, Any], status: int) -> None:
    from uuid import uuid4

    from dimse.errors import Refused
    from gantry.receiver.index import Index

    asked = request(changes.pop("references", [(CT_IMAGE_STORAGE, "1.2.3")]), **changes)
    with pytest.raises(Refused) as caught:
        receiver_commit.commit(Index(), None, uuid4(), asked)  # type: ignore[arg-type]  # neither is asked
    assert caught.value.status == status


class Caller:
    """A modality that takes reports on a port of its own."""

    def __init__(self, status: int = 0) -> None:
        self.status = status
        self.reports: list[NormalisedRequest] = []
        self._socket = listen("127.0.0.1", 0)
        self.port = int(self._socket.getsockname()[1])
        self._server = Server(self._socket, self)  # type: ignore[arg-type]  # it stores nothing
        self._thread = threading.Thread(target=self._server.serve_forever, daemon=True)
        self._thread.start()

    def association_requested(self, request: object, peer: object) -> Any:
        from dimse.acceptance import Accept

        return Accept()

    def association_ended(self, association: object, how: str) -> None:
        """Nothing to do."""

    def normalised(self, association: object, request: NormalisedRequest) -> NormalisedAnswer:
        self.reports.append(request)
        return NormalisedAnswer(self.status)

    def stop(self) -> None:
        self._server.stop(1)
        self._socket.close()


def test_the_report_comes_on_an_association_of_our_own(
    receiver: Served, connection: psycopg.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(receiver_report, "INDEX_SECONDS", 0.1)
    study = seed_study(receiver.home, 2)
    with ask(receiver.port, calling="DEST") as association:
        association.normalised(request([*references_of(study), (CT_IMAGE_STORAGE, "1.2.3")]))
        # It leaves at once, as most modalities do.
    until_status("asked")
    number = Commitment.objects.get().pk
    jobs = "SELECT count(*) FROM procrastinate_jobs WHERE task_name = 'gantry.receiver.work.report_commitment'"
    assert connection.execute(jobs).fetchall()[0][0] >= 1
    tell = lambda: receiver_report.report(connection, receiver.home, number, threading.Event())  # noqa: E731
    assert tell() == "judged"
    assert "no node" in Commitment.objects.get().error
    refusing = Caller(status=0x0110)
    add_node("modality", refusing.port)
    assert tell() == "judged"
    assert Commitment.objects.get().error.startswith("it answered 0110")
    refusing.status = 0
    assert tell() == "reported"
    assert tell() == "reported"
    refusing.stop()
    assert len(refusing.reports) == 2
    assert said(refusing.reports[1]) == (2, {stored.uid for stored in study.instances}, {"1.2.3": 0x0112})
    assert (Commitment.objects.get().attempts, Commitment.objects.get().error) == (3, "")


def test_a_report_to_us_reaches_who_asked(receiver: Served, connection: psycopg.Connection) -> None:
    from gantry.nodes.models import Commitment as Asked

    statement = "INSERT INTO nodes_commitment (transaction_uid, instances, requested_at, result) VALUES (%s, '[]', now(), '{}')"
    connection.execute(statement, [TRANSACTION])
    report = receiver_commit.report_request(TRANSACTION, [(CT_IMAGE_STORAGE, "1.2.3")], [], EXPLICIT_LITTLE_ENDIAN)
    other = receiver_commit.report_request("1.2.3.9", [(CT_IMAGE_STORAGE, "1.2.3")], [], EXPLICIT_LITTLE_ENDIAN)
    with ask(receiver.port) as association:
        assert association.normalised(report).status == 0
        assert association.normalised(other).status == 0x0112
    assert Asked.objects.get().result == {"1.2.3": 0}


def test_the_worker_knows_what_is_deferred(connection: psycopg.Connection) -> None:
    from procrastinate.contrib.django import app

    receiver_commit.defer_report(connection, 7)
    receiver_commit.defer_report(connection, 7, seconds=60)
    receiver_commit.defer_report(connection, 7, seconds=5)
    rows = connection.execute(
        "SELECT task_name, args, scheduled_at < now() + interval '6 s' FROM procrastinate_jobs ORDER BY id"
    ).fetchall()
    assert [(row[1], row[2]) for row in rows] == [({"commitment_id": 7}, None), ({"commitment_id": 7}, True)]
    assert {row[0] for row in rows} <= set(app.tasks)


def test_old_commitments_are_forgotten_and_open_ones_never(connection: psycopg.Connection) -> None:
    from datetime import UTC, datetime, timedelta

    from gantry.nodes.commit import forget_old
    from gantry.nodes.models import Commitment as Asked

    now = datetime.now(UTC)
    for number, (status, days) in enumerate(
        [("reported", 91), ("reported", 89), ("given up", 91), ("asked", 500), ("judged", 500)]
    ):
        old = now - timedelta(days=days)
        Commitment.objects.create(
            transaction_uid=f"1.2.{number}", calling_aet="A", called_aet="B", instances=[], status=status, created_at=old,
            judged_at=None if status == "asked" else old, reported_at=old if status == "reported" else None,
        )  # fmt: skip
    for number, days in enumerate((100, 10)):
        Asked.objects.create(transaction_uid=f"1.3.{number}", instances=[], requested_at=now - timedelta(days=days))
    assert (receiver_report.forget_ended(connection, 0), forget_old(connection, 0)) == (0, 0)
    assert (receiver_report.forget_ended(connection, 90), forget_old(connection, 90)) == (2, 1)
    assert statuses() == ["reported", "asked", "judged"]
    assert list(Asked.objects.values_list("transaction_uid", flat=True)) == ["1.3.1"]
