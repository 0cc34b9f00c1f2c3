"""Requestors without manners against a blocking server that works on a request."""

from __future__ import annotations

import asyncio
import dataclasses
import random
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

import pytest

from dimse import (
    Final,
    FindRequest,
    Match,
    SubOperations,
    aio,
    blocking,
)
from dimse.asking import encode_cancel, encode_normalised, encode_query
from dimse.commands import (
    DATA_SET_TYPE,
    HAS_DATA_SET,
    RESPONDED_ID,
    STATUS,
    Command,
    CommandField,
    decode_command,
    encode_command,
)
from dimse.messages import pack_command, pack_message
from dimse.negotiation import (
    STUDY_ROOT_FIND,
    STUDY_ROOT_GET,
    STUDY_ROOT_MOVE,
)
from dimse.operations import MAX_IDENTIFIER
from dimse.pdu import RELEASE_REQUEST_BYTES, encode_request
from dimse.requesting import build_request, encode_echo, encode_store
from dimse.uids import CT_IMAGE_STORAGE
from tests.dimse.archive import ACTION, CONTEXTS, Archive, commitment, endless, join, numbered, outgoing, serving
from tests.dimse.drivers import QUICK, RawPeer


def query_contexts(peer: RawPeer) -> None:
    peer.send(encode_request(build_request("GANTRY", "TESTER", CONTEXTS, 16384)))
    assert peer.read_pdu()[0] == 2


def find_bytes(data: bytes, message_id: int = 1) -> bytes:
    command = encode_query(CommandField.C_FIND_RQ, message_id, STUDY_ROOT_FIND, 0)
    command.values[DATA_SET_TYPE] = HAS_DATA_SET
    batches = pack_message(3, encode_command(command), [memoryview(data)], 16000)
    return b"".join(bytes(piece) for batch in batches for piece in batch)


def final_status(peer: RawPeer) -> int:
    """The status of the next final C-FIND answer."""
    while True:
        pdu = peer.read_pdu()
        assert pdu[0] == 4, pdu
        if pdu[11] & 1:
            status = decode_command(pdu[12:]).number(STATUS)
            if status not in {0xFF00, 0xFF01}:
                return status


def test_an_identifier_without_end_is_drained_and_refused() -> None:
    archive = Archive(matches=numbered(1))
    with serving(archive) as port, RawPeer(port) as peer:
        query_contexts(peer)
        peer.send(find_bytes(bytes(MAX_IDENTIFIER + 2)))
        assert final_status(peer) == 0xA700
        assert archive.asked == []
        peer.send(find_bytes(b"12", 2))
        assert final_status(peer) == 0


def test_request_and_cancel_in_one_packet() -> None:
    archive = Archive(matches=endless)
    with serving(archive) as port, RawPeer(port) as peer:
        query_contexts(peer)
        peer.send(find_bytes(b"12", 7) + pack_command(3, encode_command(encode_cancel(7)), 16000))
        assert final_status(peer) == 0xFE00


def test_a_second_request_while_one_is_answered_is_refused_not_fatal() -> None:
    """By either server: another query, an echo and a store, and after the answer all of them are welcome."""
    released = threading.Event()

    def slow(request: FindRequest, cancelled: Callable[[], bool]) -> Iterator[Match | Final]:
        yield Match(b"12")
        while request.message_id == 1 and not released.is_set():
            cancelled()  # looks at the connection
            time.sleep(0.005)
            yield Match(b"12")

    echo = pack_command(1, encode_command(encode_echo(3)), 16000)
    store = encode_store(4, CT_IMAGE_STORAGE, "1.2.3", 0, None)
    number = next(2 * at + 1 for at, proposal in enumerate(CONTEXTS) if proposal.abstract_syntax == CT_IMAGE_STORAGE)
    stored = b"".join(bytes(piece) for batch in pack_message(number, store, [memoryview(b"1234")], 16000) for piece in batch)
    for served in (serving, _serving_on_a_loop):
        released.clear()
        with served(Archive(matches=slow)) as port, RawPeer(port) as peer:
            query_contexts(peer)
            peer.send(find_bytes(b"12", 1) + find_bytes(b"34", 2) + echo + stored)
            assert [final_status(peer) for _ in range(3)] == [0x0213] * 3
            released.set()
            assert final_status(peer) == 0
            peer.send(find_bytes(b"12", 2))
            assert final_status(peer) == 0
            peer.send(echo)
            assert final_status(peer) == 0
            peer.send(stored)
            assert final_status(peer) == 0


@contextmanager
def _serving_on_a_loop(archive: Archive) -> Iterator[int]:
    """An asyncio server in a thread of its own."""
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    with blocking.listen("127.0.0.1", 0) as listener:
        server = aio.Server(listener, archive, limits=QUICK)
        loop.call_soon_threadsafe(server.start)
        try:
            yield server.address[1]
        finally:
            asyncio.run_coroutine_threadsafe(server.stop(0), loop).result(30)
            loop.call_soon_threadsafe(loop.stop)
            thread.join()
            loop.close()


def test_a_request_that_is_cut_by_the_end_of_the_operation_before() -> None:
    def slow(request: FindRequest, cancelled: Callable[[], bool]) -> Iterator[Match | Final]:
        time.sleep(0.1)
        yield Match(b"12")

    with serving(Archive(matches=slow)) as port, RawPeer(port) as peer:
        query_contexts(peer)
        second = find_bytes(bytes(50_000), 2)
        peer.send(find_bytes(b"12", 1) + second[:30_000])
        assert final_status(peer) == 0
        peer.send(second[30_000:])
        assert final_status(peer) == 0x0213
        peer.send(find_bytes(b"12", 3))
        assert final_status(peer) == 0


def noise(chance: random.Random) -> bytes:
    """Some messages in an order that makes little sense, now and then damaged, now and then a release."""
    number = chance.choice([1, 1, 1, 2, 7])
    kinds: list[tuple[int, Command, bytes]] = [
        (3, encode_query(CommandField.C_FIND_RQ, number, STUDY_ROOT_FIND, 0), b"\x08\0"),
        (5, encode_query(CommandField.C_GET_RQ, number, STUDY_ROOT_GET, 0), b"\x08\0"),
        (7, encode_query(CommandField.C_MOVE_RQ, number, STUDY_ROOT_MOVE, 0, "A"), b"\x08\0"),
        (9, encode_normalised(ACTION, number), b"12"),
        (3, encode_cancel(number), b""),
        (13, Command(CommandField.C_STORE_RSP, {RESPONDED_ID: number, STATUS: chance.choice([0, 0xA700, 0xFF00])}), b""),
        (9, Command(CommandField.N_EVENT_REPORT_RSP, {RESPONDED_ID: number, STATUS: 0}), chance.choice([b"", b"12"])),
        (13, decode_command(encode_store(number, CT_IMAGE_STORAGE, "1.2", 0, None)), bytes(5000)),
        (1, encode_echo(number), b""),
    ]
    data = bytearray()
    for context_id, command, content in chance.choices(kinds, k=chance.randrange(1, 8)):
        if content:
            command.values[DATA_SET_TYPE] = HAS_DATA_SET
            batches = pack_message(context_id, encode_command(command), [memoryview(content)], 900)
            data += b"".join(bytes(piece) for batch in batches for piece in batch)
        else:
            data += pack_command(context_id, encode_command(command), 16000)
    if chance.random() < 0.3:
        data += RELEASE_REQUEST_BYTES
    if chance.random() < 0.5:
        data[chance.randrange(len(data))] = chance.randrange(256)
    return bytes(data)


def test_noise_never_breaks_more_than_its_association(caplog: pytest.LogCaptureFixture) -> None:
    chance = random.Random(5)

    def some(request: FindRequest, cancelled: Callable[[], bool]) -> Iterator[Match | Final]:
        for _ in range(chance.choice([0, 3, 500])):
            yield Match(bytes(500))

    archive = Archive(
        matches=some,
        instances=[outgoing(f"1.2.{n}", bytes(3000)) for n in range(4)],
        moves=lambda request, cancelled: iter([SubOperations(1, 1)]),
        answer=commitment([]),
    )
    rounds = 150
    with serving(archive, dataclasses.replace(QUICK, idle_seconds=1, close_seconds=0.1)) as port:
        for _ in range(rounds):
            with RawPeer(port) as peer, suppress(OSError):
                query_contexts(peer)
                data = noise(chance)
                while data:
                    size = chance.randrange(1, 900)
                    peer.send(data[:size])
                    data = data[size:]
                peer.sock.settimeout(0.01)
                while chance.random() < 0.9 and peer.sock.recv(65536):
                    continue
        deadline = time.monotonic() + 5
        while len(archive.ended) < rounds and time.monotonic() < deadline:
            time.sleep(0.01)
        with join(port) as association:
            assert association.echo() == 0
    assert len(archive.ended) >= rounds
    assert set(archive.ended) <= {"released", "lost", "protocol error", "timed out", "aborted"}
    assert not [record.getMessage() for record in caplog.records if record.exc_info and record.name.startswith("dimse.blocking")]


def test_both_sides_send_without_reading_and_nobody_hangs() -> None:
    """More than the buffers of the system hold, both ways at once: then every answer is there."""

    def many(request: FindRequest, cancelled: Callable[[], bool]) -> Iterator[Match | Final]:
        for _ in range(20_000):
            yield Match(bytes(1000))

    with serving(Archive(matches=many)) as port, RawPeer(port) as peer:
        query_contexts(peer)
        peer.send(find_bytes(b"12", 1) + find_bytes(bytes(200_000), 2) * 60)
        assert sorted(final_status(peer) for _ in range(61)) == [0] + [0x0213] * 60


def test_a_flood_of_requests_ends_by_a_clear_error() -> None:
    archive = Archive(matches=endless)
    with serving(archive) as port, RawPeer(port) as peer:
        query_contexts(peer)
        with suppress(OSError):
            peer.send(find_bytes(b"12", 1) + find_bytes(bytes(20), 2) * 20_000)
        deadline = time.monotonic() + 3
        while not archive.ended and time.monotonic() < deadline:
            time.sleep(0.01)
        assert archive.ended == ["protocol error"]


def test_answers_that_nobody_asked_for_abort() -> None:
    archive = Archive(matches=endless)
    stray = Command(CommandField.C_STORE_RSP, {RESPONDED_ID: 9, STATUS: 0})
    with serving(archive) as port, RawPeer(port) as peer:
        query_contexts(peer)
        peer.send(find_bytes(b"12") + pack_command(3, encode_command(stray), 16000))
        deadline = time.monotonic() + 3
        while not archive.ended and time.monotonic() < deadline:
            time.sleep(0.01)
        assert archive.ended == ["protocol error"]


def test_requests_that_come_while_a_long_report_is_sent_are_answered_after_it() -> None:
    """The peer reads nothing at first: the report is stuck half-way when the echoes arrive."""
    size = 12_000_000
    archive = Archive(answer=commitment([], data=bytes(size)))
    with serving(archive) as port, socket.socket() as sock:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        sock.connect(("127.0.0.1", port))
        peer = RawPeer.__new__(RawPeer)
        peer.sock = sock
        sock.settimeout(8)
        query_contexts(peer)
        command = encode_normalised(ACTION, 1)
        command.values[DATA_SET_TYPE] = HAS_DATA_SET
        sock.sendall(
            b"".join(
                bytes(piece) for batch in pack_message(9, encode_command(command), [memoryview(b"12")], 16000) for piece in batch
            )
        )
        time.sleep(0.2)
        sock.sendall(pack_command(1, encode_command(encode_echo(2)), 16000) * 3)
        time.sleep(0.1)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 20)
        kinds: list[tuple[int, int]] = []
        received = 0
        while len(kinds) < 5:
            pdu = peer.read_pdu()
            assert pdu[0] == 4
            assert int.from_bytes(pdu[6:10], "big") == len(pdu) - 10
            if pdu[11] & 1:
                kinds.append((decode_command(pdu[12:]).field, received))
            else:
                assert not any(pdu[12:])
                received += len(pdu) - 12
        assert kinds == [
            (CommandField.N_ACTION_RSP, 0),
            (CommandField.N_EVENT_REPORT_RQ, 0),
            *[(CommandField.C_ECHO_RSP, size)] * 3,
        ]


def test_a_message_that_is_stuck_is_not_followed_by_an_abort() -> None:
    """What was sent until the end of patience is the beginning of whole PDUs: nothing stands inside the last one."""
    archive = Archive(matches=endless)
    with serving(archive, dataclasses.replace(QUICK, send_seconds=0.3)) as port, RawPeer(port) as peer:
        query_contexts(peer)
        peer.send(find_bytes(b"12", 1))
        deadline = time.monotonic() + 5
        while not archive.ended and time.monotonic() < deadline:
            time.sleep(0.02)
        assert archive.ended == ["timed out"]
        while len(pdu := peer.read_pdu()) > 6:  # of the last one only the beginning came
            assert pdu[0] == 4
            assert int.from_bytes(pdu[6:10], "big") == len(pdu) - 10
        assert pdu[:1] in {b"", b"\x04"}
