"""What is decided without a socket: services offered, requests read, sub-operations counted, answers understood."""

from __future__ import annotations

import random
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from dimse import AcceptServices, Final, Match, NormalisedAnswer, NormalisedRequest, Outgoing, SubOperations
from dimse.acceptance import Accept, build_accept
from dimse.answering import Answers, Asked, send_with_data
from dimse.asking import encode_cancel, encode_normalised, encode_query, read_answer, read_normalised_answer
from dimse.association import Association
from dimse.commands import (
    AFFECTED_CLASS,
    AFFECTED_INSTANCE,
    COMPLETED,
    MESSAGE_ID,
    REMAINING,
    RESPONDED_ID,
    STATUS,
    Command,
    CommandField,
    decode_command,
    encode_command,
)
from dimse.errors import AssociationReleased, LocalProtocolError, RemoteProtocolError
from dimse.events import AssociationRequested, CommandReceived, DataFragment
from dimse.identifier import Identifier
from dimse.items import CommonExtendedNegotiation, ContextAnswer, ExtendedNegotiation, ProposedContext, RoleSelection
from dimse.negotiation import (
    PATIENT_ROOT_FIND,
    PATIENT_ROOT_GET,
    PATIENT_ROOT_MOVE,
    STORAGE_COMMITMENT,
    STORAGE_COMMITMENT_INSTANCE,
    STUDY_ROOT_FIND,
    STUDY_ROOT_GET,
    STUDY_ROOT_MOVE,
    WORKLIST_FIND,
    AcceptedContext,
    ContextProposal,
    agreed,
    answer_all,
    policy_for,
    relational_classes,
)
from dimse.operations import MAX_IDENTIFIER, Progress
from dimse.requesting import MAX_REPORTS, Listener, StoreBegins, build_request, encode_store, store_result
from dimse.retrieval import Retrieval, end_of_move, failed_list, final_status, storable
from dimse.states import Role
from dimse.uids import (
    CT_IMAGE_STORAGE,
    EXPLICIT_VR_BIG_ENDIAN,
    EXPLICIT_VR_LITTLE_ENDIAN,
    IMPLICIT_VR_LITTLE_ENDIAN,
    JPEG_LOSSLESS_SV1,
    VERIFICATION,
)
from tests.dimse.pair import Pair, events_of

ALL = AcceptServices(find=True, retrieve=True, commitment=True, worklist=True, relational=True)
QUERIES = {
    "find": (PATIENT_ROOT_FIND, STUDY_ROOT_FIND),
    "retrieve": (PATIENT_ROOT_MOVE, STUDY_ROOT_MOVE, PATIENT_ROOT_GET, STUDY_ROOT_GET),
    "commitment": (STORAGE_COMMITMENT,),
    "worklist": (WORKLIST_FIND,),
}
UID = "1.2.840.99999.1"


# --- negotiation ---


@pytest.mark.parametrize("service", list(QUERIES))
def test_each_service_is_offered_by_its_own_switch(service: str) -> None:
    only = AcceptServices(**{service: True})  # type: ignore[arg-type]
    for name, classes in QUERIES.items():
        for sop_class in classes:
            context = ProposedContext(1, sop_class, (EXPLICIT_VR_BIG_ENDIAN, EXPLICIT_VR_LITTLE_ENDIAN))
            wanted = (
                ContextAnswer(1, 0, EXPLICIT_VR_LITTLE_ENDIAN) if name == service else ContextAnswer(1, 3, EXPLICIT_VR_BIG_ENDIAN)
            )
            assert only.answer(context) == wanted


def test_other_classes_and_syntaxes() -> None:
    assert ALL.answer(ProposedContext(1, STUDY_ROOT_FIND, (JPEG_LOSSLESS_SV1,))).result == 4
    assert ALL.answer(ProposedContext(1, CT_IMAGE_STORAGE, (JPEG_LOSSLESS_SV1,))) == ContextAnswer(1, 0, JPEG_LOSSLESS_SV1)
    assert ALL.answer(ProposedContext(1, "1.2.840.10008.3.1.2.3.3", (IMPLICIT_VR_LITTLE_ENDIAN,))).result == 3
    procedure_steps = AcceptServices(storage=False, also=("1.2.840.10008.3.1.2.3.3",))
    assert procedure_steps.answer(ProposedContext(1, "1.2.840.10008.3.1.2.3.3", (IMPLICIT_VR_LITTLE_ENDIAN,))).result == 0
    assert procedure_steps.answer(ProposedContext(1, CT_IMAGE_STORAGE, (IMPLICIT_VR_LITTLE_ENDIAN,))).result == 3
    assert procedure_steps.answer(ProposedContext(1, VERIFICATION, (IMPLICIT_VR_LITTLE_ENDIAN,))).result == 0
    for nothing in ("", "no uid", "1.2.840.10008.1.2"):
        assert ALL.answer(ProposedContext(1, nothing, (IMPLICIT_VR_LITTLE_ENDIAN,))).result == 3


def test_abilities_make_the_policy() -> None:
    class Finder:
        def find(self) -> None: ...

    assert policy_for(Finder()) == AcceptServices(find=True)
    assert policy_for(object()) == AcceptServices()


def test_roles_and_relational_queries() -> None:
    proposals = (
        ContextProposal(CT_IMAGE_STORAGE, scu=False, scp=True),
        ContextProposal(STUDY_ROOT_FIND, scp=True),
        ContextProposal(STORAGE_COMMITMENT, scu=False, scp=True),
    )
    extended = (
        ExtendedNegotiation(STUDY_ROOT_FIND, b"\1\1"),
        ExtendedNegotiation(STUDY_ROOT_MOVE, b"\0"),
        ExtendedNegotiation(CT_IMAGE_STORAGE, b"\2\0"),
        ExtendedNegotiation(PATIENT_ROOT_FIND, b""),
        ExtendedNegotiation(PATIENT_ROOT_GET, b"\1" * 60_000),
    )
    request = build_request("A", "B", proposals, 16384, extended=extended)
    accept = build_accept(request, Accept(), ALL, 16384)
    assert accept.user.roles == (
        RoleSelection(CT_IMAGE_STORAGE, False, True),
        RoleSelection(STUDY_ROOT_FIND, True, False),
        RoleSelection(STORAGE_COMMITMENT, False, True),
    )
    assert accept.user.extended == (
        ExtendedNegotiation(STUDY_ROOT_FIND, b"\1\0"),
        ExtendedNegotiation(STUDY_ROOT_MOVE, b"\0"),
        ExtendedNegotiation(PATIENT_ROOT_GET, b"\1" + bytes(15)),
    )
    assert relational_classes(request, accept) == {STUDY_ROOT_FIND, PATIENT_ROOT_GET}
    assert [agreed(request, accept)[n].requestor_is_scp for n in (1, 3, 5)] == [True, False, True]
    store_only = build_accept(request, Accept(policy=AcceptServices()), ALL, 16384)
    assert [role.scp for role in store_only.user.roles] == [False, False, False]
    assert store_only.user.extended == ()
    own = Accept(contexts=(), roles=(), extended=())
    assert build_accept(request, own, ALL, 16384).user.roles == ()


def test_who_may_only_fetch_gets_no_context_to_store_in() -> None:
    fetching = AcceptServices(storage=False, retrieve=True)
    for scu, scp, result in ((True, False, 3), (True, True, 0), (False, True, 0)):
        proposals = [ContextProposal(CT_IMAGE_STORAGE, scu=scu, scp=scp), ContextProposal(STUDY_ROOT_GET)]
        request = build_request("A", "B", proposals, 16384)
        accept = build_accept(request, Accept(policy=fetching), ALL, 16384)
        assert [answer.result for answer in accept.contexts] == [result, 0]
        if result == 0:
            assert accept.user.roles == (RoleSelection(CT_IMAGE_STORAGE, False, True),)


@pytest.mark.parametrize(
    ("service", "related", "result"),
    [
        ("1.2.840.10008.4.2", (), 0),
        ("1.2.840.10008.4.2", (CT_IMAGE_STORAGE,), 0),
        ("1.2.840.10008.4.2", (STUDY_ROOT_MOVE,), 3),
        ("", ("1.2.840.10008.5.1.1.9",), 3),
        ("1.2.840.10008.5.1.1.9", (), 3),
        ("9.9.9", ("9.9.8",), 0),
    ],
)
def test_an_unknown_class_is_judged_by_what_it_is_related_to(service: str, related: tuple[str, ...], result: int) -> None:
    extended = (CommonExtendedNegotiation(UID, service, related),)
    request = build_request("A", "B", (ContextProposal(UID), ContextProposal(CT_IMAGE_STORAGE)), 16384, extended=extended)
    answers = answer_all(request, AcceptServices())
    assert [answer.result for answer in answers] == [result, 0]
    assert request.user.common_extended == extended


# --- the provider's side ---


class Side:
    """A requestor and an acceptor that agreed on everything, wired together."""

    def __init__(self) -> None:
        proposals = [
            ContextProposal(STUDY_ROOT_FIND),
            ContextProposal(STUDY_ROOT_GET, (EXPLICIT_VR_LITTLE_ENDIAN,)),
            ContextProposal(STORAGE_COMMITMENT),
            ContextProposal(CT_IMAGE_STORAGE, (EXPLICIT_VR_LITTLE_ENDIAN,), scp=True),
        ]
        self.requestor, self.acceptor = Association(Role.REQUESTOR), Association(Role.ACCEPTOR)
        request = build_request("A", "B", proposals, 131072)
        (asked,) = events_of(self.acceptor, [self.requestor.request(request)])
        assert isinstance(asked, AssociationRequested)
        events_of(self.requestor, [self.acceptor.accept(build_accept(asked.request, Accept(), ALL, 131072))])
        self.listener = Listener(self.requestor)

    def ask(self, context_id: int, command: Command, data: bytes = b"") -> Asked:
        """The request as the acceptor reads it."""
        sent = b"".join(bytes(piece) for batch in send_with_data(self.requestor, context_id, command, data) for piece in batch)
        asked: Asked | None = None
        for event in events_of(self.acceptor, [sent]):
            if isinstance(event, CommandReceived):
                asked = Asked(event.command, self.acceptor.contexts[event.context_id])
            elif isinstance(event, DataFragment):
                assert asked is not None
                asked.write_all(event.views)
        assert asked is not None
        return asked


def raw(batches: Iterator[list[bytes | memoryview]]) -> bytes:
    return b"".join(bytes(piece) for batch in batches for piece in batch)


def find_command(message_id: int = 7) -> Command:
    return encode_query(CommandField.C_FIND_RQ, message_id, STUDY_ROOT_FIND, 2)


def test_requests_are_read_whole() -> None:
    side = Side()
    asked = side.ask(1, find_command(), b"1234")
    found = asked.find(relational=True)
    assert (found.message_id, found.sop_class_uid, found.identifier, found.priority) == (7, STUDY_ROOT_FIND, b"1234", 2)
    assert found.relational
    move = Asked(encode_query(CommandField.C_MOVE_RQ, 8, STUDY_ROOT_MOVE, 0, "THERE"), asked.context)
    assert move.move(relational=False).destination == "THERE"
    request = NormalisedRequest(CommandField.N_GET_RQ, 0, STORAGE_COMMITMENT, "1.2", attributes=(0x00081199,))
    read = side.ask(5, encode_normalised(request, 9)).normalised()
    assert (read.message_id, read.attributes, read.sop_instance_uid) == (9, (0x00081199,), "1.2")


def test_requests_that_are_refused_unasked() -> None:
    side = Side()
    fine = side.ask(1, find_command(), b"1234")
    assert fine.refusal() is None
    foreign = side.ask(1, encode_query(CommandField.C_FIND_RQ, 1, WORKLIST_FIND, 0), b"1234").refusal()
    assert foreign is not None
    assert foreign.status == 0x0122
    mixed = side.ask(1, encode_query(CommandField.C_GET_RQ, 1, STUDY_ROOT_FIND, 0), b"1234").refusal()
    assert mixed is not None
    assert mixed.status == 0x0211


def test_memory_of_a_request_is_bounded() -> None:
    asked = Asked(find_command(), AcceptedContext(1, STUDY_ROOT_FIND, IMPLICIT_VR_LITTLE_ENDIAN))
    piece = memoryview(bytes(100_000))
    for _ in range(100):
        asked.write(piece)
        assert len(asked.data) <= MAX_IDENTIFIER
    refused = asked.refusal()
    assert refused is not None
    assert refused.status == 0xA700
    assert asked.data == b""


def test_cancel_counts_for_its_own_message_only() -> None:
    asked = Asked(find_command(7), AcceptedContext(1, STUDY_ROOT_FIND, IMPLICIT_VR_LITTLE_ENDIAN))
    asked.hear_cancel(encode_cancel(6))
    assert not asked.cancelled
    asked.hear_cancel(encode_cancel(7))
    assert asked.cancelled


def test_final_answers_hold_the_counts_that_the_standard_wants() -> None:
    side = Side()
    answers = Answers(side.acceptor, side.ask(3, encode_query(CommandField.C_GET_RQ, 3, STUDY_ROOT_GET, 0), b"12"))
    counts = SubOperations(4, 3, 2, 1)
    for status, remaining in ((0xB000, False), (0xFE00, True)):
        event = events_of(side.requestor, [raw(answers.final(Final(status, counts=counts)))])[0]
        assert isinstance(event, CommandReceived)
        assert (REMAINING in event.command.values) is remaining
        assert event.command.number(COMPLETED) == 3
        assert read_answer(event.command, b"") == Final(status, counts=SubOperations(4 if remaining else 0, 3, 2, 1))
    pending = events_of(side.requestor, [raw(answers.progress(SubOperations(70_000, 1, 0, 0)))])[0]
    assert isinstance(pending, CommandReceived)
    assert pending.command.number(REMAINING) == 0xFFFF


@pytest.mark.parametrize(
    ("counts", "cancelled", "status"),
    [
        (SubOperations(0, 0, 0, 0), False, 0),
        (SubOperations(0, 5, 0, 0), False, 0),
        (SubOperations(0, 4, 1, 0), False, 0xB000),
        (SubOperations(0, 4, 0, 1), False, 0xB000),
        (SubOperations(0, 0, 1, 1), False, 0xB000),
        (SubOperations(0, 0, 5, 0), False, 0xA702),
        (SubOperations(3, 2, 0, 0), True, 0xFE00),
    ],
)
def test_counts_make_the_status(counts: SubOperations, cancelled: bool, status: int) -> None:
    assert final_status(counts, cancelled=cancelled) == status


def test_the_end_of_a_move() -> None:
    asked = Asked(find_command(), AcceptedContext(1, STUDY_ROOT_MOVE, IMPLICIT_VR_LITTLE_ENDIAN))
    counts = SubOperations(2, 1, 1, 0)
    assert end_of_move(asked, None, None) == Final(0, counts=SubOperations())
    assert end_of_move(asked, counts, Final(0xA701)) == Final(0xA701, counts=counts)
    own = Final(0, counts=SubOperations(0, 4))
    assert end_of_move(asked, counts, own) is own
    asked.cancelled = True
    assert end_of_move(asked, counts, None).status == 0xFE00
    assert end_of_move(asked, SubOperations(0, 4), None).status == 0


def instance(uid: str, syntax: str = EXPLICIT_VR_LITTLE_ENDIAN) -> Outgoing:
    @contextmanager
    def opened() -> Iterator[list[memoryview]]:
        yield [memoryview(b"12")]

    return Outgoing(CT_IMAGE_STORAGE, uid, syntax, opened)


def response(message_id: int, status: int) -> Command:
    return Command(CommandField.C_STORE_RSP, {RESPONDED_ID: message_id, STATUS: status})


def test_sub_operations_are_counted_and_the_failed_named() -> None:
    side = Side()
    asked = side.ask(3, encode_query(CommandField.C_GET_RQ, 3, STUDY_ROOT_GET, 1), b"12")
    retrieval = Retrieval(side.acceptor.contexts, asked, 5)
    assert storable(side.acceptor.contexts) == {CT_IMAGE_STORAGE: {EXPLICIT_VR_LITTLE_ENDIAN: 7}}
    for number, status in enumerate((0, 0xB007, 0xA700), 1):
        begun = retrieval.begin(instance(f"1.2.{number}"), number)
        assert begun is not None
        context_id, command = begun
        assert (context_id, decode_command(command).number(MESSAGE_ID)) == (7, number)
        retrieval.answered(instance(f"1.2.{number}"), response(number, status))
    assert retrieval.begin(instance("1.2.4", JPEG_LOSSLESS_SV1), 4) is None
    assert retrieval.counts == SubOperations(1, 1, 2, 1)
    with pytest.raises(RemoteProtocolError, match="does not answer"):
        retrieval.answered(instance("1.2.5"), Command(CommandField.C_ECHO_RSP, {RESPONDED_ID: 5, STATUS: 0}))
    final = retrieval.final()
    assert (final.status, final.counts) == (0xB000, SubOperations(0, 1, 3, 1))
    named = Identifier.parse(final.data, EXPLICIT_VR_LITTLE_ENDIAN)
    assert named["FailedSOPInstanceUIDList"] == ["1.2.3", "1.2.4"]
    asked.cancelled = True
    assert retrieval.final().status == 0xFE00
    assert retrieval.final(OSError("disk")).status == 0x0110


@pytest.mark.parametrize("syntax", [IMPLICIT_VR_LITTLE_ENDIAN, EXPLICIT_VR_LITTLE_ENDIAN])
def test_failed_lists_of_every_length(syntax: str) -> None:
    assert failed_list([], syntax) == b""
    for count in (1, 2, 3, 1000, 100_000):
        uids = [f"1.2.840.10008.{number}.{'9' * 40}" for number in range(count)]
        data = failed_list(uids, syntax)
        assert len(data) % 2 == 0
        assert len(data) < 65_536
        found = Identifier.parse(data, syntax)["FailedSOPInstanceUIDList"]
        listed = [found] if isinstance(found, str) else list(found)
        assert listed == uids[: len(listed)]
        assert len(listed) == min(count, len(listed)) >= min(count, 1000)


# --- the requestor's side ---


def test_a_listener_understands_the_same_however_the_bytes_are_cut() -> None:
    side = Side()
    asked = side.ask(1, find_command(), b"1234")
    answers = Answers(side.acceptor, asked)
    sent = b"".join(raw(answers.match(Match(bytes([number]) * (2 + number * 40)))) for number in range(20))
    sent += raw(answers.final(Final(0xA700, "enough", (0x00100010,))))
    for seed in range(12):
        listener = Listener(Side().requestor)
        listener.expect(7, CommandField.C_FIND_RSP)
        chance, position = random.Random(seed), 0
        while position < len(sent):
            step = 1 if seed == 0 else chance.randint(1, 900)
            assert listener.hear(memoryview(bytearray(sent[position : position + step]))) == []
            position += step
        said = [read_answer(*answer) for answer in listener.answers]
        wanted = [Progress(0xFF00, bytes([number]) * (2 + number * 40)) for number in range(20)]
        assert said == [*wanted, Final(0xA700, "enough", (0x00100010,))]


def test_answers_to_something_else() -> None:
    side = Side()
    stray = side.acceptor.send_command(1, Command(CommandField.C_FIND_RSP, {RESPONDED_ID: 3, STATUS: 0}))
    assert side.listener.hear(memoryview(stray)) == []  # nothing was asked: ignored, not kept
    assert not side.listener.answers
    side.listener.expect(4, CommandField.C_FIND_RSP)
    with pytest.raises(RemoteProtocolError, match="does not answer") as caught:
        side.listener.hear(memoryview(stray))
    assert caught.value.reply[:1] == b"\x07"


def test_an_answer_without_end_is_an_error_not_memory() -> None:
    side = Side()
    asked = side.ask(1, find_command(), b"1234")
    side.listener.expect(7, CommandField.C_FIND_RSP)
    sent = raw(Answers(side.acceptor, asked).match(Match(bytes(MAX_IDENTIFIER + 2))))
    for position in range(0, MAX_IDENTIFIER - 60_000, 60_000):
        assert side.listener.hear(memoryview(sent[position : position + 60_000])) == []
    rest = memoryview(sent[position + 60_000 :])
    with pytest.raises(RemoteProtocolError, match="more than"):
        side.listener.hear(rest)


def test_stores_are_for_a_get_only() -> None:
    side = Side()
    store = raw(side.acceptor.send_message(7, encode_store(1, CT_IMAGE_STORAGE, "1.2", 0, None), [memoryview(b"1234")]))
    (refused,) = side.listener.hear(memoryview(store))
    assert decode_command(refused[12:]).number(STATUS) == 0x0211
    side.listener.expect(9, CommandField.C_GET_RSP)
    side.listener.takes_stores = True
    begun, fragment = list(side.listener.listen(memoryview(store)))
    assert isinstance(begun, StoreBegins)
    assert (begun.request.sop_instance_uid, begun.context.context_id) == ("1.2", 7)
    assert isinstance(fragment, DataFragment)
    assert (b"".join(fragment.views), fragment.last) == (b"1234", True)
    final = side.acceptor.send_command(3, Command(CommandField.C_GET_RSP, {RESPONDED_ID: 9, STATUS: 0}))
    side.listener.hear(memoryview(final))
    assert len(side.listener.hear(memoryview(store))) == 1  # refused again


def test_event_reports_wait_in_bounds() -> None:
    side = Side()
    request = NormalisedRequest(
        CommandField.N_EVENT_REPORT_RQ, 0, STORAGE_COMMITMENT, STORAGE_COMMITMENT_INSTANCE, type_id=2, data=b"12"
    )

    def report(number: int) -> memoryview:
        return memoryview(raw(send_with_data(side.acceptor, 5, encode_normalised(request, number), b"12")))

    (refused,) = side.listener.hear(report(1))
    assert decode_command(refused[12:]).number(STATUS) == 0x0211
    side.listener.takes_reports = True
    for number in range(MAX_REPORTS):
        assert side.listener.hear(report(number)) == []
    (refused,) = side.listener.hear(report(99))
    assert decode_command(refused[12:]).number(STATUS) == 0x0213
    first = side.listener.reports[0].normalised()
    assert (first.type_id, first.data, first.sop_class_uid) == (2, b"12", STORAGE_COMMITMENT)
    with pytest.raises(AssociationReleased):
        side.listener.hear(memoryview(side.acceptor.ask_release()))


def test_normalised_answers_are_read_as_they_were_written() -> None:
    side = Side()
    request = NormalisedRequest(CommandField.N_ACTION_RQ, 0, STORAGE_COMMITMENT, "1.2", type_id=4, data=b"12")
    asked = side.ask(5, encode_normalised(request, 11), b"12")
    answer = NormalisedAnswer(0x0107, "why", b"1234", "1.2.3", 4, (0x00081199, 0x00100010))
    side.listener.expect(11, CommandField.N_ACTION_RSP)
    side.listener.hear(memoryview(raw(Answers(side.acceptor, asked).normalised(answer))))
    assert read_normalised_answer(*side.listener.answers.popleft()) == answer


def test_what_cannot_be_asked() -> None:
    for title in ("", " ", "A" * 17, "Ärzte"):
        with pytest.raises(LocalProtocolError, match="AE title"):
            encode_query(CommandField.C_MOVE_RQ, 1, STUDY_ROOT_MOVE, 0, title)
    with pytest.raises(LocalProtocolError, match="no request"):
        encode_normalised(NormalisedRequest(CommandField.N_ACTION_RSP, 0, "1.2", "1.3"), 1)
    command = find_command()
    assert decode_command(encode_command(Command(CommandField.C_CANCEL_RQ, {RESPONDED_ID: 5}))).number(RESPONDED_ID) == 5
    assert command.text(AFFECTED_CLASS) == STUDY_ROOT_FIND


def test_nothing_is_answered_after_we_asked_for_release() -> None:
    """PS3.8 AR-6: what the peer still asks is no reason to fail, and gets no answer."""
    pair = Pair()
    ours = pair.requestor
    theirs_asks = pair.acceptor.send_command(1, Command(CommandField.C_ECHO_RQ, {AFFECTED_CLASS: VERIFICATION, MESSAGE_ID: 5}))
    listener = Listener(ours)
    ours.ask_release()
    assert listener.hear(memoryview(theirs_asks)) == []


def test_an_answer_about_another_instance_is_no_success() -> None:
    answer = Command(CommandField.C_STORE_RSP, {RESPONDED_ID: 1, STATUS: 0, AFFECTED_INSTANCE: "1.2.3"})
    assert store_result(answer, "1.2.3").stored
    with pytest.raises(RemoteProtocolError, match="another SOP instance"):
        store_result(answer, "1.2.4")


def test_what_is_fetched_comes_in_explicit_vr_when_both_are_listed() -> None:
    both = (IMPLICIT_VR_LITTLE_ENDIAN, EXPLICIT_VR_LITTLE_ENDIAN)
    for scp, chosen in ((True, EXPLICIT_VR_LITTLE_ENDIAN), (False, IMPLICIT_VR_LITTLE_ENDIAN)):
        request = build_request("A", "B", [ContextProposal(CT_IMAGE_STORAGE, both, scp=scp)], 16384)
        (answer,) = answer_all(request, AcceptServices(retrieve=True))
        assert answer.transfer_syntax == chosen
