"""C-FIND, C-GET, C-MOVE, C-CANCEL and the N- services on threads: our client against our server, also over TLS."""

from __future__ import annotations

import dataclasses
import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from dimse import (
    AcceptServices,
    ContextProposal,
    Final,
    FindRequest,
    Match,
    MoveRequest,
    NormalisedAnswer,
    NormalisedRequest,
    Outgoing,
    Refused,
    SubOperations,
    blocking,
)
from dimse.blocking.exchange import Exchange
from dimse.commands import (
    CommandField,
)
from dimse.errors import (
    AssociationFailure,
    ContextNotAccepted,
    LocalProtocolError,
)
from dimse.identifier import Identifier
from dimse.items import ExtendedNegotiation
from dimse.messages import Buffer
from dimse.negotiation import (
    STORAGE_COMMITMENT,
    STORAGE_COMMITMENT_INSTANCE,
    STUDY_ROOT_FIND,
    STUDY_ROOT_GET,
    STUDY_ROOT_MOVE,
    WORKLIST_FIND,
)
from dimse.tls import client_context, server_context
from dimse.uids import CT_IMAGE_STORAGE, EXPLICIT_VR_LITTLE_ENDIAN, IMPLICIT_VR_LITTLE_ENDIAN
from tests.dimse.archive import (
    ACTION,
    CONTEXTS,
    MR,
    QUERY,
    Archive,
    Folder,
    commitment,
    dcmqrscp,
    endless,
    identifier,
    join,
    numbered,
    outgoing,
    part10,
    serving,
)
from tests.dimse.drivers import QUICK, REQUEST, Keeper, RawPeer
from tests.support.certificates import Authority

# --- C-FIND ---


def test_find_brings_every_match_and_the_end() -> None:
    archive = Archive(matches=numbered(500))
    with serving(archive) as port, join(port) as association:
        operation = association.find(identifier(association, STUDY_ROOT_FIND), sop_class_uid=STUDY_ROOT_FIND, priority=1)
        with pytest.raises(LocalProtocolError, match="under way"):
            _ = operation.final
        with pytest.raises(LocalProtocolError, match="under way"):
            association.echo()
        found = list(operation)
        assert operation.final == Final(0)
        assert [said.status for said in found[:3]] == [0xFF00, 0xFF01, 0xFF00]
        uids = [Identifier.parse(said.identifier, operation.transfer_syntax_uid)["StudyInstanceUID"] for said in found]
        assert uids == [f"1.2.{number}" for number in range(500)]
        assert list(operation) == []
        operation.cancel()  # too late: nothing is sent
        assert association.echo() == 0
        request = archive.asked[0]
        assert isinstance(request, FindRequest)
        assert (request.sop_class_uid, request.priority, request.relational) == (STUDY_ROOT_FIND, 1, False)
        assert Identifier.parse(request.identifier, request.transfer_syntax_uid) == QUERY
    assert archive.closed == 1


def test_find_on_every_size_of_pdu_and_identifier() -> None:
    for size in (8, 4090, 131_060, 131_070, 1_000_000):
        archive = Archive(matches=lambda request, cancelled: iter([Match(request.identifier)]))
        with serving(archive, policy=AcceptServices(worklist=True)) as port, join(port, max_pdu=16384) as association:
            operation = association.find(bytes(size), sop_class_uid=WORKLIST_FIND)
            assert [len(said.identifier) for said in operation] == [size]
            assert len(archive.asked[0].identifier) == size  # type: ignore[attr-defined]


def test_what_a_provider_says_or_raises_ends_a_find() -> None:
    def limited(request: FindRequest, cancelled: Callable[[], bool]) -> Iterator[Match | Final]:
        yield Match(b"12")
        yield Final(0xA700, "x" * 80, offending=(0x00100020,))
        raise AssertionError("asked on after the final answer")

    def refusing(request: FindRequest, cancelled: Callable[[], bool]) -> Iterator[Match | Final]:
        yield from ()
        raise Refused(0xA900, "level")

    def failing(request: FindRequest, cancelled: Callable[[], bool]) -> Iterator[Match | Final]:
        yield Match(b"12")
        raise ConnectionError("database of Mr Doe is away")

    wanted = [
        (limited, 1, Final(0xA700, "x" * 64, (0x00100020,))),
        (refusing, 0, Final(0xA900, "level")),
        (failing, 1, Final(0x0110, "ConnectionError")),
        (lambda request, cancelled: iter([Match(b"12"), Match(b"")]), 1, Final(0x0110, "ValueError")),
    ]
    for matches, count, final in wanted:
        archive = Archive(matches=matches)
        with serving(archive) as port, join(port) as association:
            operation = association.find(QUERY.encode(EXPLICIT_VR_LITTLE_ENDIAN), sop_class_uid=STUDY_ROOT_FIND)
            assert len(list(operation)) == count
            assert operation.final == final
            assert association.echo() == 0


def test_cancel_while_answers_stream() -> None:
    archive = Archive(matches=endless)
    with serving(archive) as port, join(port) as association:
        operation = association.find(b"12", sop_class_uid=STUDY_ROOT_FIND)
        for number, _ in enumerate(operation):
            if number == 2000:
                began = time.monotonic()
                operation.cancel()
        assert operation.final == Final(0xFE00)
        assert time.monotonic() - began < 6  # what was under way is read as well
        assert archive.closed == 1
        assert association.echo() == 0


def test_cancel_reaches_a_slow_provider_within_100_ms() -> None:
    seen: list[float] = []

    def slow(request: FindRequest, cancelled: Callable[[], bool]) -> Iterator[Match | Final]:
        yield Match(b"12")
        while not cancelled():
            time.sleep(0.002)
        seen.append(time.monotonic())
        yield Final(0xFE00, "as you like")

    with serving(Archive(matches=slow)) as port, join(port) as association:
        operation = association.find(b"12", sop_class_uid=STUDY_ROOT_FIND)
        next(operation)
        began = time.monotonic()
        operation.cancel()
        assert operation.finish() == Final(0xFE00, "as you like")
        assert seen[0] - began < 0.1


def test_a_cancel_for_another_message_is_ignored() -> None:
    def patient(request: FindRequest, cancelled: Callable[[], bool]) -> Iterator[Match | Final]:
        for _ in range(20):
            time.sleep(0.02)
            assert not cancelled()
            yield Match(b"12")

    with serving(Archive(matches=patient)) as port, join(port) as association:
        operation = association.find(b"12", sop_class_uid=STUDY_ROOT_FIND)
        association._cancel(3, operation.message_id + 1)
        assert operation.finish() == Final(0)


def test_a_requestor_that_leaves_ends_the_provider() -> None:
    for leave in ("close", "abort"):
        archive = Archive(matches=endless)
        with serving(archive) as port:
            association = join(port)
            next(association.find(b"12", sop_class_uid=STUDY_ROOT_FIND))
            getattr(association, leave)()
            deadline = time.monotonic() + 3
            while not archive.ended and time.monotonic() < deadline:
                time.sleep(0.01)
        assert archive.ended in (["lost"], ["aborted"])
        assert archive.closed == 1


def test_release_in_the_middle_aborts() -> None:
    archive = Archive(matches=endless)
    with serving(archive) as port:
        with join(port) as association:
            next(association.find(b"12", sop_class_uid=STUDY_ROOT_FIND))
        with pytest.raises(LocalProtocolError, match="closed"):
            association.echo()


def test_a_server_that_stops_ends_what_is_under_way() -> None:
    outcome: list[object] = []
    for work in ("find", "report"):
        archive = Archive(matches=endless, answer=commitment(outcome))
        with blocking.listen("127.0.0.1", 0) as listener:
            server = blocking.Server(listener, archive, limits=QUICK)
            thread = threading.Thread(target=server.serve_forever)
            thread.start()
            association = join(server.address[1])
            if work == "find":
                operation = association.find(b"12", sop_class_uid=STUDY_ROOT_FIND)
                reader = threading.Thread(target=swallow, args=(operation,))
                reader.start()
            else:
                association.normalised(ACTION)
            time.sleep(0.1)
            began = time.monotonic()
            late = server.stop(0.3 if work == "find" else 5)
            assert time.monotonic() - began < 4
            assert late == (1 if work == "find" else 0)
            thread.join()
            reader.join()
        assert archive.ended == ["stopped"]
    assert len(outcome) == 1
    assert isinstance(outcome[0], AssociationFailure)


def swallow(operation: blocking.Operation) -> None:
    with suppress(AssociationFailure):
        operation.finish()


def test_a_flood_that_is_not_read_ends_by_the_clock() -> None:
    archive = Archive(matches=endless)
    with serving(archive, dataclasses.replace(QUICK, send_seconds=0.5)) as port:
        association = join(port)
        association.find(b"12", sop_class_uid=STUDY_ROOT_FIND)
        deadline = time.monotonic() + 5
        while not archive.ended and time.monotonic() < deadline:
            time.sleep(0.02)
        assert archive.ended == ["timed out"]
        association.close()


def test_relational_queries_when_both_sides_say_so() -> None:
    asked = (ExtendedNegotiation(STUDY_ROOT_FIND, b"\1\1\1"),)
    for relational in (True, False):
        archive = Archive(matches=numbered(0))
        policy = AcceptServices(find=True, relational=relational)
        with serving(archive, policy=policy) as port, join(port, extended=asked) as association:
            assert association.core.accept_pdu is not None
            answered = association.core.accept_pdu.user.extended
            assert answered == (ExtendedNegotiation(STUDY_ROOT_FIND, bytes((relational, 0, 0))),)
            association.find(b"12", sop_class_uid=STUDY_ROOT_FIND).finish()
            assert association.relational == ({STUDY_ROOT_FIND} if relational else set())
            assert archive.asked[0].relational is relational  # type: ignore[attr-defined]
            assert archive.asked[0].combined is False  # type: ignore[attr-defined]
            with pytest.raises(ContextNotAccepted):
                association.syntax_of(STUDY_ROOT_MOVE)


@pytest.mark.parametrize(
    ("wish", "granted"), [(b"\0\1", b"\0\1"), (b"\1\1\1\1", b"\1\1\0\0"), (b"\1", b"\1"), (b"\1\2", b"\1\0")]
)
def test_date_and_time_combined_when_both_sides_say_so(wish: bytes, granted: bytes) -> None:
    archive = Archive(matches=numbered(0))
    policy = AcceptServices(find=True, retrieve=True, relational=True, combined=True)
    asked = (ExtendedNegotiation(STUDY_ROOT_FIND, wish), ExtendedNegotiation(STUDY_ROOT_MOVE, b"\1\1"))
    with serving(archive, policy=policy) as port, join(port, extended=asked) as association:
        assert association.core.accept_pdu is not None
        answers = {item.sop_class_uid: item.information for item in association.core.accept_pdu.user.extended}
        assert answers == {STUDY_ROOT_FIND: granted, STUDY_ROOT_MOVE: b"\1\0"}, "a retrieve has no such option"
        association.find(b"12", sop_class_uid=STUDY_ROOT_FIND).finish()
        assert archive.asked[0].combined is (granted[1:2] == b"\1")  # type: ignore[attr-defined]


@pytest.mark.parametrize(("more", "writes"), [(True, 1), (False, 51)])
def test_answers_that_are_at_hand_go_in_one_write(more: bool, writes: int, monkeypatch: pytest.MonkeyPatch) -> None:
    sent: list[int] = []
    push = Exchange._push

    def counted(self: Exchange, batch: Sequence[Buffer]) -> None:
        sent.append(sum(map(len, batch)))
        push(self, batch)

    monkeypatch.setattr(Exchange, "_push", counted)
    archive = Archive(matches=lambda request, cancelled: (Match(b"%04d" % number, more=more) for number in range(50)))
    with serving(archive) as port, join(port) as association:
        found = [one.identifier for one in association.find(b"12", sop_class_uid=STUDY_ROOT_FIND)]
        assert found == [b"%04d" % number for number in range(50)]
        assert len(sent) == writes
        # Much more than 64 KB is cut into several.
        archive.matches = lambda request, cancelled: (Match(bytes(4000), more=True) for _ in range(100))
        sent.clear()
        assert len(list(association.find(b"12", sop_class_uid=STUDY_ROOT_FIND))) == 100
        assert 6 <= len(sent) <= 8
        assert max(sent) < 80_000


def test_an_acceptor_without_the_methods_offers_nothing() -> None:
    with serving(Keeper()) as port, join(port) as association:
        with pytest.raises(ContextNotAccepted):
            association.find(b"12", sop_class_uid=STUDY_ROOT_FIND)
        assert association.echo() == 0
    # contexts accepted all the same: 0211
    policy = AcceptServices(find=True, retrieve=True, commitment=True)
    with serving(Keeper(), policy=policy) as port, join(port) as association:
        assert association.find(b"12", sop_class_uid=STUDY_ROOT_FIND).finish().status == 0x0211
        request = NormalisedRequest(CommandField.N_ACTION_RQ, 0, STORAGE_COMMITMENT, STORAGE_COMMITMENT_INSTANCE, type_id=1)
        assert association.normalised(request).status == 0x0211


# --- C-GET ---


def test_get_stores_on_the_same_association() -> None:
    wanted = {f"1.2.{n}": bytes([n]) * (n * 40_000 + 200) for n in range(30)}
    archive = Archive(instances=[outgoing(uid, data) for uid, data in wanted.items()])
    folder = Folder()
    with serving(archive) as port, join(port) as association:
        identifier_bytes = identifier(association, STUDY_ROOT_GET)
        operation = association.get(identifier_bytes, sop_class_uid=STUDY_ROOT_GET, store=folder)
        assert operation.finish() == Final(0, counts=SubOperations(0, 30, 0, 0))
        assert folder.data == wanted
        assert association.echo() == 0
        with pytest.raises(LocalProtocolError, match="identifier"):
            association.get(b"", sop_class_uid=STUDY_ROOT_GET, store=folder)
        again = association.store(
            sop_class_uid=CT_IMAGE_STORAGE, sop_instance_uid="1.9", transfer_syntax_uid=EXPLICIT_VR_LITTLE_ENDIAN, data=b"12"
        )
        assert again.stored


def test_get_counts_what_fails_and_names_it() -> None:
    @contextmanager
    def broken() -> Iterator[list[memoryview]]:
        yield from ()
        raise FileNotFoundError("gone")

    archive = Archive(
        instances=[
            outgoing("1.2.1", bytes(300)),
            outgoing("1.2.2", bytes(300)),
            outgoing("1.2.3", bytes(300)),
            outgoing("1.2.4", bytes(300), sop_class=MR),
            outgoing("1.2.5", bytes(300), syntax=IMPLICIT_VR_LITTLE_ENDIAN),
            Outgoing(CT_IMAGE_STORAGE, "1.2.6", EXPLICIT_VR_LITTLE_ENDIAN, broken),
        ],
        announced=7,
    )
    folder = Folder()
    folder.refuse.add("1.2.2")
    folder.warn.add("1.2.3")
    with serving(archive) as port, join(port) as association:
        query = identifier(association, STUDY_ROOT_GET)
        final = association.get(query, sop_class_uid=STUDY_ROOT_GET, store=folder).finish()
        assert (final.status, final.counts) == (0xB000, SubOperations(0, 1, 5, 1))
        named = Identifier.parse(final.data, IMPLICIT_VR_LITTLE_ENDIAN)
        assert named["FailedSOPInstanceUIDList"] == ["1.2.2", "1.2.4", "1.2.5", "1.2.6"]
        archive.instances, archive.announced = archive.instances[3:], None
        final = association.get(query, sop_class_uid=STUDY_ROOT_GET, store=folder).finish()
        assert (final.status, final.counts) == (0xA702, SubOperations(0, 0, 3, 0))
        archive.instances = []
        assert association.get(query, sop_class_uid=STUDY_ROOT_GET, store=folder).finish().status == 0
        refused = association.get(b"nonsense", sop_class_uid=STUDY_ROOT_GET, store=folder).finish()
        assert refused == Final(0xA900, "no such identifier")


def test_get_without_the_role_sends_nothing() -> None:
    archive = Archive(instances=[outgoing("1.2.1", bytes(300))])
    contexts = (ContextProposal(STUDY_ROOT_GET), ContextProposal(CT_IMAGE_STORAGE, (EXPLICIT_VR_LITTLE_ENDIAN,)))
    folder = Folder()
    with serving(archive) as port, join(port, contexts=contexts) as association:
        final = association.get(QUERY.encode(IMPLICIT_VR_LITTLE_ENDIAN), sop_class_uid=STUDY_ROOT_GET, store=folder).finish()
        assert final.status == 0xA702
        assert folder.data == {}


def test_who_may_only_fetch_cannot_store() -> None:
    archive = Archive(instances=[outgoing("1.2.1", bytes(300))])
    folder = Folder()
    with serving(archive, policy=AcceptServices(storage=False, retrieve=True)) as port, join(port) as association:
        final = association.get(identifier(association, STUDY_ROOT_GET), sop_class_uid=STUDY_ROOT_GET, store=folder).finish()
        assert (final.status, list(folder.data)) == (0, ["1.2.1"])
        refused = association.store(
            sop_class_uid=CT_IMAGE_STORAGE, sop_instance_uid="1.9", transfer_syntax_uid=EXPLICIT_VR_LITTLE_ENDIAN, data=b"12"
        )
        assert refused.status == 0x0124
    assert archive.stored == {}


def test_cancel_of_a_get_says_what_is_left() -> None:
    archive = Archive(instances=[outgoing(f"1.2.{n}", bytes(200_000)) for n in range(400)])
    folder = Folder()
    folder.pause = 0.002
    with serving(archive) as port, join(port) as association:
        operation = association.get(identifier(association, STUDY_ROOT_GET), sop_class_uid=STUDY_ROOT_GET, store=folder)
        said = next(operation)
        assert said.status == 0xFF00
        assert said.counts is not None
        assert said.counts.total == 400
        operation.cancel()
        final = operation.finish()
        assert final.status == 0xFE00
        assert final.counts is not None
        assert final.counts.total == 400
        assert final.counts.completed == len(folder.data) < 400
        assert association.echo() == 0


def test_a_get_that_breaks_aborts_the_sink() -> None:
    archive = Archive(instances=[outgoing("1.2.1", bytes(9_000_000))])
    folder = Folder()
    with serving(archive) as port:
        association = join(port)
        operation = association.get(identifier(association, STUDY_ROOT_GET), sop_class_uid=STUDY_ROOT_GET, store=folder)
        folder.pause = 0.01
        timer = threading.Timer(0.1, association._sock.shutdown, (2,))
        timer.start()
        with pytest.raises(AssociationFailure):
            operation.finish()
        timer.join()
        assert folder.aborted == ["1.2.1"]
        assert folder.data == {}


# --- C-MOVE ---


def test_move_reports_counts_and_its_end() -> None:
    def moving(request: MoveRequest, cancelled: Callable[[], bool]) -> Iterator[SubOperations | Final]:
        if request.destination != "THERE":
            yield Final(0xA801, "no such destination")
        yield SubOperations(2, 1, 0, 0)
        yield SubOperations(0, 2, 1, 0)

    with serving(Archive(moves=moving)) as port, join(port) as association:
        query = identifier(association, STUDY_ROOT_MOVE)
        operation = association.move(query, sop_class_uid=STUDY_ROOT_MOVE, destination="THERE")
        assert [said.counts for said in operation] == [SubOperations(2, 1, 0, 0), SubOperations(0, 2, 1, 0)]
        assert operation.final == Final(0xB000, counts=SubOperations(0, 2, 1, 0))
        elsewhere = association.move(query, sop_class_uid=STUDY_ROOT_MOVE, destination="ELSEWHERE")
        assert elsewhere.finish() == Final(0xA801, "no such destination")
        with pytest.raises(LocalProtocolError, match="AE title"):
            association.move(query, sop_class_uid=STUDY_ROOT_MOVE, destination="much too long a title")
        assert association.echo() == 0


def test_cancel_of_a_move() -> None:
    def moving(request: MoveRequest, cancelled: Callable[[], bool]) -> Iterator[SubOperations | Final]:
        for done in range(1000):
            yield SubOperations(1000 - done, done)
            time.sleep(0.005)

    with serving(Archive(moves=moving)) as port, join(port) as association:
        operation = association.move(identifier(association, STUDY_ROOT_MOVE), sop_class_uid=STUDY_ROOT_MOVE, destination="A")
        next(operation)
        operation.cancel()
        final = operation.finish()
        assert final.status == 0xFE00
        assert final.counts is not None
        assert final.counts.remaining > 900


# --- N- services ---


def test_each_normalised_service_is_carried_whole() -> None:
    def answer(request: NormalisedRequest) -> NormalisedAnswer:
        if request.field is CommandField.N_GET_RQ:
            return NormalisedAnswer(0x0107, "partly", b"data", offending=(0x00081199,))
        if request.field is CommandField.N_CREATE_RQ:
            return NormalisedAnswer(sop_instance_uid="1.2.3.4")
        if request.field is CommandField.N_DELETE_RQ:
            raise Refused(0x0112, "unknown")
        if request.field is CommandField.N_SET_RQ:
            raise KeyError("x")
        return NormalisedAnswer(data=request.data)

    archive = Archive(answer=answer)
    with serving(archive) as port, join(port) as association:

        def ask(kind: CommandField, **more: object) -> NormalisedAnswer:
            request = NormalisedRequest(kind, 0, STORAGE_COMMITMENT, STORAGE_COMMITMENT_INSTANCE, **more)  # type: ignore[arg-type]
            return association.normalised(request)

        acted = ask(CommandField.N_ACTION_RQ, type_id=1, data=b"1234")
        assert acted == NormalisedAnswer(0, data=b"1234", sop_instance_uid=STORAGE_COMMITMENT_INSTANCE, type_id=1)
        got = ask(CommandField.N_GET_RQ, attributes=(0x00081199, 0x00081190))
        assert (got.status, got.data, got.offending) == (0x0107, b"data", (0x00081199,))
        assert ask(CommandField.N_CREATE_RQ).sop_instance_uid == "1.2.3.4"
        assert ask(CommandField.N_DELETE_RQ).status == 0x0112
        assert ask(CommandField.N_SET_RQ, data=b"12").comment == "KeyError"
        assert ask(CommandField.N_EVENT_REPORT_RQ, type_id=2, data=b"12").type_id == 2
        with pytest.raises(LocalProtocolError, match="no request of an N- service"):
            ask(CommandField.C_FIND_RQ)
        assert association.echo() == 0
    seen = [request for request in archive.asked if isinstance(request, NormalisedRequest)]
    assert seen[1].attributes == (0x00081199, 0x00081190)
    assert [request.data for request in seen] == [b"1234", b"", b"", b"", b"12", b"12"]


def test_reports_come_on_the_same_association_while_other_work_goes_on() -> None:
    outcome: list[object] = []
    archive = Archive(answer=commitment(outcome), matches=numbered(3))
    with serving(archive) as port, join(port) as association:
        assert association.normalised(ACTION).status == 0
        # the acceptor waits for the answer to its report; meanwhile it serves us
        assert association.echo() == 0
        assert len(list(association.find(b"12", sop_class_uid=STUDY_ROOT_FIND))) == 3
        stored = association.store(
            sop_class_uid=CT_IMAGE_STORAGE,
            sop_instance_uid="1.9",
            transfer_syntax_uid=EXPLICIT_VR_LITTLE_ENDIAN,
            data=bytes(9**6),
        )
        assert stored.stored
        first = association.await_report(3, lambda request: NormalisedAnswer())
        assert first is not None
        assert (first.field, first.type_id, first.data) == (CommandField.N_EVENT_REPORT_RQ, 1, b"report")
        with pytest.raises(Refused):
            association.await_report(3, lambda request: (_ for _ in ()).throw(Refused(0x0113)))
        assert association.await_report(0.05, lambda request: NormalisedAnswer()) is None
    assert outcome == [0, 0x0113]
    assert archive.stored["1.9"] == bytes(9**6)


def test_a_release_in_the_same_segment_as_the_answer_to_a_report() -> None:
    outcome: list[object] = []
    archive = Archive(answer=commitment(outcome))
    with serving(archive) as port:
        association = join(port)
        association.normalised(ACTION)
        association.await_report(3, lambda request: NormalisedAnswer())

        def hold_back(request: NormalisedRequest) -> NormalisedAnswer:
            sock = association._sock
            assert isinstance(sock, socket.socket)
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_CORK, 1)  # 0.2 s at most, by the kernel
            return NormalisedAnswer()

        association.await_report(3, hold_back)
        began = time.monotonic()
        association.release()
        assert time.monotonic() - began < 6
    assert (outcome, archive.ended) == ([0, 0], ["released"])


def test_a_report_that_cannot_be_delivered_is_told_to_the_provider() -> None:
    outcome: list[object] = []
    archive = Archive(answer=commitment(outcome))
    with serving(archive) as port:
        with join(port) as association:
            association.normalised(ACTION)
        deadline = time.monotonic() + 3
        while not archive.ended and time.monotonic() < deadline:
            time.sleep(0.01)
    assert archive.ended == ["released"]
    assert isinstance(outcome[0], AssociationFailure)


def test_a_report_on_an_association_of_its_own_with_the_roles_reversed() -> None:
    archive = Archive(answer=lambda request: NormalisedAnswer())
    contexts = (ContextProposal(STORAGE_COMMITMENT, scu=False, scp=True),)
    with serving(archive) as port, join(port, contexts=contexts) as association:
        accepted = next(iter(association.core.contexts.values()))
        assert (accepted.requestor_is_scu, accepted.requestor_is_scp) == (False, True)
        report = dataclasses.replace(ACTION, field=CommandField.N_EVENT_REPORT_RQ, type_id=2)
        assert association.normalised(report) == NormalisedAnswer(0, sop_instance_uid=STORAGE_COMMITMENT_INSTANCE, type_id=2)
    assert archive.asked[0].type_id == 2  # type: ignore[attr-defined]


# --- TLS ---


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("tls") / "authority")


def test_everything_over_tls(authority: Authority) -> None:
    trust = authority.certificate
    client = authority.issue("client")
    wanted = {f"1.2.{n}": bytes([n]) * 600_000 for n in range(5)}
    archive = Archive(matches=numbered(300), instances=[outgoing(uid, data) for uid, data in wanted.items()])
    folder = Folder()
    server_tls = server_context(authority.issue("server").files(trust))
    client_tls = client_context(client.files(trust))
    with serving(archive, tls=server_tls) as port, join(port, tls=client_tls) as association:
        assert len(list(association.find(b"12", sop_class_uid=STUDY_ROOT_FIND))) == 300
        final = association.get(identifier(association, STUDY_ROOT_GET), sop_class_uid=STUDY_ROOT_GET, store=folder).finish()
        assert final.status == 0
        assert folder.data == wanted
        stored = association.store(
            sop_class_uid=CT_IMAGE_STORAGE,
            sop_instance_uid="1.9",
            transfer_syntax_uid=EXPLICIT_VR_LITTLE_ENDIAN,
            data=bytes(9**6),
        )
        assert stored.stored
        archive.matches = endless
        operation = association.find(b"12", sop_class_uid=STUDY_ROOT_FIND)
        next(operation)
        operation.cancel()
        assert operation.finish().status == 0xFE00
        assert association.await_report(0.05, lambda request: NormalisedAnswer()) is None
    assert archive.infos[0].peer.certificate == ssl.PEM_cert_to_DER_cert(Path(client.certificate).read_text())


def test_nothing_is_said_in_plain_on_a_tls_listener(authority: Authority) -> None:
    server_tls = server_context(authority.issue("server").files(authority.certificate))
    limits = dataclasses.replace(QUICK, max_associations=1, association_seconds=1, request_grace_seconds=10)
    archive = Archive()
    with serving(archive, limits, tls=server_tls) as port:
        with RawPeer(port) as peer:
            peer.send(REQUEST)
            head = peer.sock.recv(1)
            assert head in {b"", b"\x15"}  # an alert of TLS, or nothing
        time.sleep(0.2)
        with RawPeer(port) as slow:  # takes the only place
            time.sleep(0.1)
            with RawPeer(port) as late:
                late.send(REQUEST)
                with suppress(ConnectionResetError):
                    assert late.sock.recv(1) in {b"", b"\x15"}
            began = time.monotonic()
            assert slow.sock.recv(1) in {b"", b"\x15"}
            assert time.monotonic() - began < 8
    assert archive.ended == []


__all__ = ["ACTION", "CONTEXTS", "MR", "QUERY", "Archive", "dcmqrscp", "numbered", "outgoing", "part10"]
