"""The protocol core without a network: feeding, messages, release, abort, limits."""

from __future__ import annotations

import itertools
import random
import struct
import tracemalloc

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dimse.association import Association
from dimse.commands import AFFECTED_CLASS, MESSAGE_ID, Command, CommandField
from dimse.errors import LocalProtocolError, RemoteProtocolError
from dimse.events import (
    Aborted,
    AssociationRejectedEvent,
    AssociationRequested,
    CommandReceived,
    DataFragment,
    ReleaseConfirmed,
    ReleaseRequested,
)
from dimse.items import ContextAnswer
from dimse.messages import fragment_size, header, pack_message
from dimse.pdu import DATA_HEADER, P_DATA_TF, AssociateAccept, AssociateReject, encode_accept, encode_request
from dimse.requesting import build_request, encode_store
from dimse.states import Role, State
from dimse.uids import CT_IMAGE_STORAGE, VERIFICATION
from tests.dimse import golden
from tests.dimse.pair import CONTEXTS, Pair, events_of, joined

ECHO = Command(CommandField.C_ECHO_RQ, {AFFECTED_CLASS: VERIFICATION, MESSAGE_ID: 7})


def store_stream(pair: Pair, data: bytes, message_id: int = 1) -> bytes:
    command = encode_store(message_id, CT_IMAGE_STORAGE, "1.2.3", 0, None)
    batches = pair.requestor.send_message(3, command, [memoryview(data)])
    return b"".join(bytes(piece) for batch in batches for piece in batch)


def test_echo_there_and_back() -> None:
    pair = Pair()
    (asked,) = pair.to_acceptor(pair.requestor.send_command(1, ECHO))
    assert isinstance(asked, CommandReceived)
    assert (asked.context_id, asked.command.name, asked.has_data_set) == (1, "C-ECHO-RQ", False)
    reply = Command(CommandField.C_ECHO_RSP, {AFFECTED_CLASS: VERIFICATION, 0x0120: 7, 0x0900: 0})
    (answered,) = pair.to_requestor(pair.acceptor.send_command(1, reply))
    assert isinstance(answered, CommandReceived)
    assert answered.command.number(0x0120) == 7


@pytest.mark.parametrize("peer_max", [16, 128, 16382, 131072, 0])
def test_a_data_set_arrives_whole_at_every_pdu_size(peer_max: int) -> None:
    pair = Pair(acceptor_max=peer_max)
    data = random.Random(1).randbytes(20_001)
    stream = store_stream(pair, data)
    command, *rest = joined(pair.to_acceptor(stream))
    assert isinstance(command, CommandReceived)
    assert command.command.text(0x1000) == "1.2.3"
    assert rest == [(3, data)]
    position, longest = 0, 0
    while position < len(stream):
        length = int.from_bytes(stream[position + 2 : position + 6], "big")
        longest, position = max(longest, length), position + 6 + length
    assert longest <= (peer_max or 256 * 1024)


def test_a_small_message_is_one_batch_and_nothing_is_copied() -> None:
    data = memoryview(bytes(10_000))
    (batch,) = pack_message(3, b"command!", [data], fragment_size(16384))
    assert any(piece is data for piece in batch)


def test_batches_stay_below_the_limit_of_sendmsg() -> None:
    views = [memoryview(bytes(100))] * 5000
    for size in (50, 16000, 10**6):
        batches = list(pack_message(3, b"command!", views, size))
        assert all(len(batch) <= 1000 for batch in batches)
        assert b"".join(bytes(p) for b in batches for p in b).count(b"command!") == 1


def test_an_empty_data_set_is_our_error() -> None:
    with pytest.raises(LocalProtocolError, match="at least one byte"):
        list(Pair().requestor.send_message(3, b"command!", []))


def whole_conversation(pair: Pair) -> bytes:
    stream = pair.requestor.send_command(1, ECHO) + store_stream(pair, bytes(range(256)) * 40)
    return stream + store_stream(pair, b"ab", 2) + pair.requestor.ask_release()


def test_byte_at_a_time_gives_the_same_events() -> None:
    pair = Pair(acceptor_max=1000)
    stream = whole_conversation(pair)
    whole = joined(pair.to_acceptor(stream))
    again = Pair(acceptor_max=1000)
    assert joined(events_of(again.acceptor, [stream[i : i + 1] for i in range(len(stream))])) == whole


@settings(max_examples=60, deadline=None)
@given(st.lists(st.integers(0, 11_000), max_size=30))
def test_random_splits_give_the_same_events(cuts: list[int]) -> None:
    pair = Pair(acceptor_max=1000)
    stream = whole_conversation(pair)
    whole = joined(pair.to_acceptor(stream))
    edges = [0, *sorted(min(cut, len(stream)) for cut in cuts), len(stream)]
    chunks = [stream[a:b] for a, b in itertools.pairwise(edges)]
    assert joined(events_of(Pair(acceptor_max=1000).acceptor, chunks)) == whole


def test_several_values_in_one_pdu() -> None:
    pair = Pair()
    command = encode_store(1, CT_IMAGE_STORAGE, "1.2.3", 0, None)
    value = struct.Struct(">LBB")
    body = value.pack(len(command) + 2, 3, 3) + command + value.pack(5, 3, 0) + b"abc" + value.pack(2, 3, 2)
    events = pair.to_acceptor(struct.pack(">BxL", 4, len(body)) + body)
    assert [type(event) for event in events] == [CommandReceived, DataFragment, DataFragment]
    assert joined(events)[1] == (3, b"abc")
    assert not pair.acceptor.in_message


def test_a_command_in_many_fragments() -> None:
    pair = Pair(acceptor_max=16)
    (asked,) = pair.to_acceptor(pair.requestor.send_command(1, ECHO))
    assert isinstance(asked, CommandReceived)
    assert asked.command.number(MESSAGE_ID) == 7


def test_fragments_are_views_into_the_buffer_of_the_caller() -> None:
    pair = Pair()
    buffer = bytearray(store_stream(pair, b"Z" * 500))
    pair.acceptor.receive(buffer)
    pair.acceptor.next_event()
    fragment = pair.acceptor.next_event()
    assert isinstance(fragment, DataFragment)
    assert [view.obj for view in fragment.views] == [buffer]


def test_many_small_values_are_one_event() -> None:
    """Also when the last of them is not whole: what is left comes with the next bytes."""
    pair = Pair(acceptor_max=64)
    stream = store_stream(pair, data := bytes(range(200)) * 20)
    command, whole, *rest = events_of(pair.acceptor, [stream[:-300], stream[-300:]])
    assert isinstance(command, CommandReceived)
    assert isinstance(whole, DataFragment)
    assert len(b"".join(whole.views)) > 3000
    assert all(isinstance(event, DataFragment) and not event.last for event in rest[:-1])
    assert len(rest) <= 3
    assert joined([command, whole, *rest])[1] == (3, data)


def test_an_event_holds_a_bounded_number_of_views() -> None:
    pair = Pair(acceptor_max=64)
    pair.to_acceptor(store_stream(pair, b"Z" * 58)[:-70])
    values = b"".join(header(3, 0, 1) + b"x" for _ in range(1000))
    found = pair.to_acceptor(values)
    assert max(len(event.views) for event in found if isinstance(event, DataFragment)) <= 257
    assert joined(found)[0] == b"x" * 1000


def test_a_run_of_values_ends_where_one_is_wrong() -> None:
    """What was right before it is still told; the wrong one ends the association as it would alone."""
    right = header(3, 0, 4) + b"data"
    wrong = {
        "another context": header(1, 0, 4) + b"data",
        "a command inside": header(3, 1, 4) + b"data",
        "a PDU that is too long": header(3, 0, 100) + bytes(100),
        "a value longer than its PDU": DATA_HEADER.pack(P_DATA_TF, 10, 20, 3, 0) + b"data",
        "a value without flags": DATA_HEADER.pack(P_DATA_TF, 5, 1, 3, 0),
        "stray bytes": DATA_HEADER.pack(P_DATA_TF, 11, 5, 3, 0) + b"abcde",
        "another PDU": b"\x03\0\0\0\0\4\0\1\1\1" + bytes(8),
    }
    for what, value in wrong.items():
        pair = Pair(acceptor_max=64)
        pair.acceptor.receive(store_stream(pair, b"data")[:-16] + right * 3 + value)
        assert isinstance(pair.acceptor.next_event(), CommandReceived)
        fragment = pair.acceptor.next_event()
        assert isinstance(fragment, DataFragment), what
        assert (b"".join(fragment.views), fragment.last) == (b"data" * 3, False), what
        with pytest.raises(RemoteProtocolError) as caught:
            list(iter(pair.acceptor.next_event, None))
        assert caught.value.reply[:1] == b"\7", what


def test_four_gigabytes_cost_nothing() -> None:
    pair = Pair(acceptor_max=0)
    stream = store_stream(pair, b"ab")
    head = stream[: -len(b"ab") - 12]
    pair.to_acceptor(head + DATA_HEADER.pack(4, 0xFFFFFFFF, 0xFFFFFFFB, 3, 2))
    chunk = bytearray(1 << 20)
    tracemalloc.start()
    for _ in range(256):
        pair.acceptor.receive(chunk)
        while pair.acceptor.next_event() is not None:
            continue
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 100_000
    assert pair.acceptor.in_message


def data_pdu(pdu: int, value: int, context_id: int, flags: int, payload: bytes) -> bytes:
    return DATA_HEADER.pack(4, pdu, value, context_id, flags) + payload


STORE = encode_store(1, CT_IMAGE_STORAGE, "1.2.3", 0, None)
SIZE = len(STORE)


@pytest.mark.parametrize(
    ("stream", "says", "reason"),
    [
        (b"\x09\0\0\0\0\4abcd", "unknown PDU type 09", 1),
        (b"\x01\0\0\0\0\4abcd", "REQUEST_PDU while ESTABLISHED", 2),
        (b"\x06\0\0\0\0\4abcd", "RELEASE_REPLY_PDU while ESTABLISHED", 2),
        (b"\x05\0\0\0\0\5abcde", "length of 5", 6),
        (b"\x07\0\xff\xff\xff\xffabcde", "length of 4294967295", 6),
        (data_pdu(200_000, 10, 1, 3, b""), "131072 were announced", 6),
        (data_pdu(6, 1, 1, 3, b""), "data value of 1 bytes", 6),
        (data_pdu(6, 3, 1, 3, b""), "data value of 3 bytes in 6", 6),
        (data_pdu(8, 2, 1, 1, b"ab"), "stray bytes", 6),
        (data_pdu(8, 4, 5, 3, b"ab"), "context 5, which is not accepted", 6),
        (data_pdu(8, 4, 3, 0, b"ab"), "data set without its command", 6),
        (data_pdu(8, 4, 3, 3, b"ab"), "inside an element header", 6),
        (data_pdu(SIZE + 6, SIZE + 2, 3, 3, STORE) * 2, "command inside another message", 6),
        (data_pdu(SIZE + 6, SIZE + 2, 3, 1, STORE) + data_pdu(8, 4, 1, 1, b"ab"), "inside another", 6),
        (data_pdu(SIZE + 6, SIZE + 2, 3, 3, STORE) + data_pdu(8, 4, 1, 0, b"ab"), "without its command", 6),
        (data_pdu(40_006, 40_002, 1, 1, bytes(40_000)) * 2, "more than 65536", 6),
    ],
)
def test_a_broken_protocol_is_named_and_aborted(stream: bytes, says: str, reason: int) -> None:
    for chunks in ([stream], [stream[i : i + 1] for i in range(min(len(stream), 300))] + [stream[300:]]):
        acceptor = Pair().acceptor
        with pytest.raises(RemoteProtocolError, match=says) as caught:
            events_of(acceptor, chunks)
        assert caught.value.reply == bytes((7, 0, 0, 0, 0, 4, 0, 0, 2, reason))
        assert acceptor.state is State.AWAITING_CLOSE
        assert acceptor.artim_runs
        assert events_of(acceptor, [b"anything", golden.ECHOSCU_RQ]) == []


def test_endless_empty_fragments_do_not_grow() -> None:
    acceptor = Pair().acceptor
    acceptor.receive(data_pdu(SIZE + 6, SIZE + 2, 3, 3, STORE))
    acceptor.next_event()
    tracemalloc.start()
    flood = data_pdu(6, 2, 3, 0, b"") * 20_000
    acceptor.receive(flood)
    assert acceptor.next_event() is None
    assert tracemalloc.get_traced_memory()[1] < 1_000_000
    tracemalloc.stop()


def test_wrong_first_pdus() -> None:
    for stream in (
        golden.STORESCP_AC,
        golden.ECHOSCU_ECHO_RQ,
        b"GET / HTTP/1.1\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00",
    ):
        acceptor = Association(Role.ACCEPTOR)
        with pytest.raises(RemoteProtocolError) as caught:
            events_of(acceptor, [stream])
        assert caught.value.reply == bytes((7, 0, 0, 0, 0, 4, 0, 0, 0, 0))


def test_a_long_association_request_is_refused_by_its_header() -> None:
    acceptor = Association(Role.ACCEPTOR)
    with pytest.raises(RemoteProtocolError, match="1048577"):
        events_of(acceptor, [struct.pack(">BxL", 1, (1 << 20) + 1)])


def test_recorded_conversation_of_echoscu() -> None:
    acceptor = Association(Role.ACCEPTOR)
    (asked,) = events_of(acceptor, [golden.ECHOSCU_RQ])
    assert isinstance(asked, AssociationRequested)
    from dimse.acceptance import Accept, build_accept
    from dimse.negotiation import AcceptAsProposed

    acceptor.accept(build_accept(asked.request, Accept(), AcceptAsProposed(), 16384))
    echo, release = events_of(acceptor, [golden.ECHOSCU_ECHO_RQ + golden.ECHOSCU_RELEASE_RQ])
    assert isinstance(echo, CommandReceived)
    assert echo.command.name == "C-ECHO-RQ"
    assert release == ReleaseRequested()
    assert acceptor.reply_release() == golden.STORESCP_RELEASE_RP
    assert acceptor.connection_ended().clean


def test_release() -> None:
    pair = Pair()
    assert pair.to_acceptor(pair.requestor.ask_release()) == [ReleaseRequested()]
    late = Command(CommandField.C_ECHO_RSP, {0x0120: 1, 0x0900: 0})
    assert len(pair.to_requestor(pair.acceptor.send_command(1, late))) == 1
    assert pair.to_requestor(pair.acceptor.reply_release()) == [ReleaseConfirmed()]
    assert pair.requestor.state is State.IDLE
    assert pair.acceptor.state is State.AWAITING_CLOSE


def test_release_collision() -> None:
    pair = Pair()
    from_requestor, from_acceptor = pair.requestor.ask_release(), pair.acceptor.ask_release()
    assert pair.to_requestor(from_acceptor) == [ReleaseRequested(collision=True)]
    assert pair.to_acceptor(from_requestor) == [ReleaseRequested(collision=True)]
    assert pair.requestor.owes_release_reply
    assert not pair.acceptor.owes_release_reply
    assert pair.to_acceptor(pair.requestor.reply_release()) == [ReleaseConfirmed(collision=True)]
    assert pair.to_requestor(pair.acceptor.reply_release()) == [ReleaseConfirmed()]
    assert (pair.requestor.state, pair.acceptor.state) == (State.IDLE, State.AWAITING_CLOSE)


def test_abort_in_the_middle_of_a_data_set() -> None:
    pair = Pair()
    stream = store_stream(pair, bytes(1000))
    events = pair.to_acceptor(stream[:-400])
    assert isinstance(events[-1], DataFragment)
    assert pair.acceptor.in_message
    pair = Pair(acceptor_max=200)
    stream = store_stream(pair, bytes(1000))
    rest = stream.rindex(b"\x04\0\0\0")
    assert isinstance(pair.to_acceptor(stream[:rest])[-1], DataFragment)
    assert pair.acceptor.in_message
    assert pair.to_acceptor(pair.requestor.abort()) == [Aborted(0, 0)]
    assert pair.acceptor.state is State.IDLE


def test_rejection() -> None:
    requestor, acceptor = Association(Role.REQUESTOR), Association(Role.ACCEPTOR)
    events_of(acceptor, [requestor.request(build_request("A", "B", CONTEXTS, 16384))])
    answer = acceptor.reject(AssociateReject(1, 1, 7))
    assert events_of(requestor, [answer]) == [AssociationRejectedEvent(AssociateReject(1, 1, 7))]


def test_artim_runs_only_while_it_should() -> None:
    acceptor = Association(Role.ACCEPTOR)
    assert acceptor.artim_runs
    events_of(acceptor, [encode_request(build_request("A", "B", CONTEXTS, 16384))])
    assert not acceptor.artim_runs
    acceptor = Association(Role.ACCEPTOR)
    acceptor.timer_expired()
    assert acceptor.state is State.IDLE


def test_lost_connection() -> None:
    pair = Pair()
    assert not pair.acceptor.connection_ended().clean
    assert pair.acceptor.connection_ended().clean


def test_an_answer_that_fits_no_proposal() -> None:
    requestor = Association(Role.REQUESTOR)
    requestor.request(build_request("A", "B", CONTEXTS, 16384))
    answer = AssociateAccept("A", "B", (ContextAnswer(9, 0, "1.2"),))
    with pytest.raises(RemoteProtocolError, match="not proposed") as caught:
        events_of(requestor, [encode_accept(answer)])
    assert caught.value.reply


def test_a_peer_that_takes_next_to_nothing() -> None:
    acceptor = Association(Role.ACCEPTOR)
    events_of(acceptor, [encode_request(build_request("A", "B", CONTEXTS, 3))])
    with pytest.raises(RemoteProtocolError, match="too little"):
        acceptor.accept(AssociateAccept("A", "B", ()))


def test_wrong_calls_are_our_errors() -> None:
    acceptor = Association(Role.ACCEPTOR)
    for call in (acceptor.ask_release, acceptor.reply_release, lambda: acceptor.send_command(1, ECHO)):
        with pytest.raises(LocalProtocolError):
            call()
    with pytest.raises(LocalProtocolError):
        acceptor.accept(AssociateAccept("A", "B", ()))
    with pytest.raises(LocalProtocolError, match="context 9"):
        Pair().requestor.send_command(9, ECHO)
    pair = Pair()
    pair.acceptor.receive(store_stream(pair, bytes(10)))
    with pytest.raises(LocalProtocolError, match="before next_event"):
        pair.acceptor.receive(b"")


@settings(max_examples=300, deadline=None)
@given(st.binary(max_size=200), st.sampled_from(["new", "asked", "established", "releasing", "in data"]))
def test_any_bytes_give_events_or_a_remote_error(tail: bytes, where: str) -> None:
    pair = Pair()
    association, prefix = pair.acceptor, b""
    if where == "new":
        association = Association(Role.ACCEPTOR)
    elif where == "asked":
        association = Association(Role.REQUESTOR)
        association.request(build_request("A", "B", CONTEXTS, 16384))
    elif where == "releasing":
        association.ask_release()
    elif where == "in data":
        prefix = data_pdu(SIZE + 6, SIZE + 2, 3, 3, STORE)
    for stream in (
        tail,
        b"\x04\0\0\0\0" + tail,
        golden.PYNETDICOM_RQ[:-50] + tail,
        b"\x02\0\0\0\0\x50" + tail,
    ):
        try:
            events_of(association, [prefix + stream])
        except RemoteProtocolError:
            break
