"""Hostile peers against a server in a process of its own: its memory stays bounded, honest clients go on."""

from __future__ import annotations

import hashlib
import socket
import struct
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, suppress

import pytest

from dimse import blocking
from dimse.association import Association
from dimse.commands import (
    AFFECTED_CLASS,
    DATA_SET_TYPE,
    HAS_DATA_SET,
    MESSAGE_ID,
    PRIORITY,
    RESPONDED_ID,
    STATUS,
    Command,
    CommandField,
    decode_command,
    encode_command,
)
from dimse.errors import DimseError, RemoteProtocolError
from dimse.identifier import Identifier
from dimse.items import pack_item
from dimse.messages import pack_command
from dimse.negotiation import STUDY_ROOT_FIND
from dimse.pdu import MAX_ASSOCIATE_BODY, PDU_HEADER, encode_request
from dimse.requesting import build_request, encode_store
from dimse.states import Role
from dimse.uids import CT_IMAGE_STORAGE, EXPLICIT_VR_LITTLE_ENDIAN, IMPLICIT_VR_LITTLE_ENDIAN, VERIFICATION
from tests.dimse.drivers import RawPeer
from tests.dimse.pair import Pair, events_of
from tests.dimse.victim import PROPOSALS, UNWANTED, Honest, Victim

drivers = pytest.mark.parametrize("driver", ["threads", "asyncio"])
MIB = 1024
#: What a few dozen buffers may take, KiB: each association has one of 256 KiB.
ROOM = 24 * MIB
#: Slower than this an honest store is not, whatever goes on beside it (it takes about a millisecond alone).
PATIENCE = 1.0
REQUEST = encode_request(build_request("A", "B", PROPOSALS, 16384))
STORE = encode_store(1, CT_IMAGE_STORAGE, "1.2.3", 0, None)
FIXED = REQUEST[6:74]


@pytest.fixture(scope="module")
def victims() -> Iterator[Callable[[str], Victim]]:
    """One server process for each driver, started when first needed."""
    with ExitStack() as stack:
        started: dict[str, Victim] = {}

        def start(driver: str) -> Victim:
            if driver not in started:
                started[driver] = stack.enter_context(Victim(driver))
                warm_up(started[driver])
            return started[driver]

        yield start


@pytest.fixture
def victim(driver: str, victims: Callable[[str], Victim]) -> Victim:
    made = victims(driver)
    made.rest()
    return made


def warm_up(victim: Victim) -> None:
    """What is allocated once is allocated before anything is measured."""
    with Honest(victim.port) as honest:
        while len(honest.seconds) < 20 and not honest.problems:
            time.sleep(0.01)


def request_of(body: bytes, length: int | None = None) -> bytes:
    """An A-ASSOCIATE-RQ with any items behind the fixed part, and a length that may lie."""
    whole = FIXED + body
    return PDU_HEADER.pack(1, len(whole) if length is None else length) + whole


def contexts(count: int) -> bytes:
    """So many presentation contexts; ids repeat."""
    syntaxes = pack_item(0x30, b"1.2.840.10008.1.1") + pack_item(0x40, b"1.2.840.10008.1.2")
    return b"".join(pack_item(0x20, bytes((2 * n + 1 & 0xFF, 0, 0, 0)) + syntaxes) for n in range(count))


LIES = {
    "4 GB request": PDU_HEADER.pack(1, 0xFFFFFFFF) + bytes(70_000),
    "4 GB data first": PDU_HEADER.pack(4, 0xFFFFFFFF) + bytes(70_000),
    "4 GB of something": PDU_HEADER.pack(0x55, 0xFFFFFFFF),
    "100 000 contexts": request_of(contexts(100_000)),
    "100 000 contexts in 1 MiB": request_of(contexts(100_000)[: MAX_ASSOCIATE_BODY - 68], MAX_ASSOCIATE_BODY),
    "250 000 empty items": request_of(pack_item(0x20, b"") * 250_000),
    "8 000 unknown items": request_of(pack_item(0x99, b"") * 8193),
    "an item longer than all": request_of(b"\x20\0\xff\xff" + bytes(100)),
    "a user item longer than its place": request_of(contexts(1) + pack_item(0x50, b"\x51\0\xff\xff" + bytes(4))),
    "a role longer than its item": request_of(contexts(1) + pack_item(0x50, pack_item(0x54, b"\xff\xff1.2"))),
    "endless related classes": request_of(contexts(1) + pack_item(0x50, pack_item(0x57, bytes(4) + b"\xff\xff" + bytes(60_000)))),
    "shorter than its fixed part": PDU_HEADER.pack(1, 10) + bytes(10),
    "no length at all": PDU_HEADER.pack(1, 0),
}


@pytest.mark.parametrize("name", LIES)
def test_a_lying_request_is_refused_at_once(name: str) -> None:
    core = Association(Role.ACCEPTOR)
    began = time.perf_counter()
    with pytest.raises(RemoteProtocolError) as caught:
        events_of(core, [LIES[name]])
    assert time.perf_counter() - began < 2
    assert caught.value.reply[:1] == b"\x07"


@drivers
def test_lengths_that_lie(driver: str, victim: Victim) -> None:
    descriptors, memory = victim.descriptors(), victim.memory()
    inside = (b"\x04\0\xff\xff\xff\xff\xff\xff\xff\xfb\3\2", b"\x04\0\0\0\0\6\xff\xff\xff\xff\3\2", b"\x05\0\xff\xff\xff\xff")
    with Honest(victim.port) as honest:
        for _ in range(4):
            for lie in LIES.values():
                with RawPeer(victim.port) as peer:
                    with suppress(OSError):  # a server that hangs up early may be quicker than we are
                        peer.send(lie)
                    with suppress(ConnectionError):
                        assert peer.read_pdu()[:1] in {b"\x07", b""}
            for lie in inside:
                with RawPeer(victim.port) as peer:
                    peer.associate()
                    peer.send(lie)
                    assert peer.read_pdu()[0] == 7
    victim.calm(descriptors)
    assert victim.peak() - memory < ROOM
    assert honest.median < PATIENCE


def fragment(payload: bytes, flags: int = 0, context_id: int = 3) -> bytes:
    return struct.pack(">BxLLBB", 4, len(payload) + 6, len(payload) + 2, context_id, flags) + payload


@drivers
@pytest.mark.parametrize("payload", [b"", b"x"], ids=["empty", "one byte"])
def test_endless_fragments(driver: str, victim: Victim, payload: bytes) -> None:
    """A peer that sends nothing but headers, as fast as it can, gets nowhere and hurts nobody."""
    memory = victim.memory()
    flood = fragment(payload) * 5000
    with Honest(victim.port) as honest, RawPeer(victim.port) as peer:
        peer.associate()
        peer.send(pack_command(3, STORE, 16384))
        deadline, sent = time.monotonic() + 0.25, 0
        while time.monotonic() < deadline:
            peer.send(flood)
            sent += 5000
        peer.send(fragment(b"end", 2))
        answer = peer.read_pdu()
        assert hashlib.sha256(payload * sent + b"end").hexdigest()[:32].encode() in answer
    assert victim.peak() - memory < ROOM
    assert honest.median < PATIENCE


@drivers
def test_a_command_without_end(driver: str, victim: Victim) -> None:
    memory = victim.memory()
    with RawPeer(victim.port) as peer:
        peer.associate()
        with suppress(ConnectionError):
            for _ in range(200):
                peer.send(fragment(bytes(16_000), 1))
        with suppress(ConnectionError):
            assert peer.read_pdu()[:1] in {b"\x07", b""}
    assert victim.peak() - memory < ROOM


FIND = encode_command(
    Command(CommandField.C_FIND_RQ, {AFFECTED_CLASS: STUDY_ROOT_FIND, MESSAGE_ID: 7, PRIORITY: 0, DATA_SET_TYPE: HAS_DATA_SET})
)
ECHO = pack_command(1, encode_command(Command(CommandField.C_ECHO_RQ, {AFFECTED_CLASS: VERIFICATION, MESSAGE_ID: 1})), 16384)
CANCEL = pack_command(5, encode_command(Command(CommandField.C_CANCEL_RQ, {RESPONDED_ID: 7})), 16384)
KEYS = Identifier.of(QueryRetrieveLevel="STUDY", PatientName="*", StudyInstanceUID="").encode(IMPLICIT_VR_LITTLE_ENDIAN)


def asks(peer: RawPeer) -> None:
    """Associate with all contexts."""
    peer.send(REQUEST)
    assert peer.read_pdu()[0] == 2


@drivers
def test_an_identifier_without_end(driver: str, victim: Victim) -> None:
    """32 MB where a few hundred bytes belong: thrown away, and refused with a status."""
    memory = victim.memory()
    with Honest(victim.port) as honest, RawPeer(victim.port) as peer:
        asks(peer)
        peer.send(pack_command(5, FIND, 16384))
        block = fragment(bytes(16_000), context_id=5) * 100
        for _ in range(20):
            peer.send(block)
        peer.send(fragment(b"ab", 2, context_id=5))
        answer = decode_command(peer.read_pdu()[12:])
        assert answer.field == CommandField.C_FIND_RSP
        assert 0xA700 <= answer.number(STATUS) < 0xD000
        peer.send(ECHO)
        assert peer.read_pdu()[0] == 4
    assert victim.peak() - memory < ROOM
    assert honest.median < PATIENCE


def shout(sock: socket.socket) -> None:
    """Echo requests until the server hangs up."""
    with suppress(OSError):
        while True:
            sock.sendall(ECHO * 200)


@drivers
@pytest.mark.parametrize("question", [pack_command(5, FIND, 16384), ECHO], ids=["matches without end", "echoes"])
def test_answers_that_nobody_reads(driver: str, victim: Victim, question: bytes) -> None:
    """The server stops answering when the wire is full, holds next to nothing, and gives up after a while."""
    descriptors, memory = victim.descriptors(), victim.memory()
    with ExitStack() as stack, Honest(victim.port) as honest:
        for _ in range(1 if question is ECHO else 3):
            peer = stack.enter_context(RawPeer(victim.port))
            peer.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            asks(peer)
            if question is ECHO:
                threading.Thread(target=shout, args=(peer.sock,), daemon=True).start()
            else:
                peer.send(question + fragment(KEYS, 2, context_id=5))
        time.sleep(0.5)
        assert victim.peak() - memory < ROOM
        deadline = time.monotonic() + 10
        while victim.descriptors() > descriptors + 1 and time.monotonic() < deadline:
            time.sleep(0.02)
        assert victim.descriptors() <= descriptors + 1, "the server holds on to peers that take nothing"
    assert honest.median < PATIENCE
    assert victim.peak() - memory < ROOM


@drivers
def test_cancels_without_end(driver: str, victim: Victim) -> None:
    """Cancels of nothing are nothing; a cancel of something ends it, however many follow."""
    memory = victim.memory()
    with RawPeer(victim.port) as peer:
        asks(peer)
        peer.send(CANCEL * 20_000)
        peer.send(pack_command(5, FIND, 16384) + fragment(KEYS, 2, context_id=5))
        assert decode_command(peer.read_pdu()[12:]).number(STATUS) == 0xFF00
        peer.send(CANCEL * 1000)
        status = 0xFF00
        while status == 0xFF00:
            pdu = peer.read_pdu()
            if pdu[11] & 1:
                answer = decode_command(pdu[12:])
                assert answer.field == CommandField.C_FIND_RSP
                status = answer.number(STATUS)
        assert status == 0xFE00
        peer.send(ECHO)
        assert decode_command(peer.read_pdu()[12:]).field == CommandField.C_ECHO_RSP
    assert victim.peak() - memory < ROOM


def nested(depth: int, *, implicit: bool = False) -> bytes:
    """A sequence in a sequence in a sequence, of undefined lengths."""
    tag = struct.pack("<HH", 0x0040, 0xA730)
    head = tag + (b"" if implicit else b"SQ\0\0") + b"\xff\xff\xff\xff" + struct.pack("<HHL", 0xFFFE, 0xE000, 0xFFFFFFFF)
    return head * depth + struct.pack("<HHLHHL", 0xFFFE, 0xE00D, 0, 0xFFFE, 0xE0DD, 0) * depth


@pytest.mark.parametrize("depth", [17, 5000, 40_000])
@pytest.mark.parametrize("syntax", ["1.2.840.10008.1.2", "1.2.840.10008.1.2.1"])
def test_deep_identifiers_are_refused_by_name(depth: int, syntax: str) -> None:
    data = nested(depth, implicit=syntax == "1.2.840.10008.1.2")
    began = time.perf_counter()
    with pytest.raises(DimseError, match="deep"):
        Identifier.parse(data[: 1 << 20], syntax)
    assert time.perf_counter() - began < 2


@pytest.mark.parametrize("depth", [5000, 100_000])
@pytest.mark.parametrize("syntax", ["1.2.840.10008.1.2", "1.2.840.10008.1.2.1"])
def test_deep_data_sets_are_scanned(depth: int, syntax: str) -> None:
    """Neither recursion nor time without bound; what stands before the depth is found."""
    dataset = pytest.importorskip("gantry.dataset")
    implicit = syntax == "1.2.840.10008.1.2"
    first = struct.pack("<HH", 8, 0x18) + (struct.pack("<L", 6) if implicit else b"UI\6\0") + b"1.2.3\0"
    data = first + nested(depth, implicit=implicit)
    began = time.perf_counter()
    header = dataset.scan(data, syntax, whole=True)
    identity = dataset.scan_identity(data, syntax, whole=True)
    assert time.perf_counter() - began < 6
    assert header.values["SOPInstanceUID"] == identity.sop_instance_uid == "1.2.3"
    assert len(header.warnings) < 100


@drivers
def test_a_deep_data_set_is_stored_as_it_is(driver: str, victim: Victim) -> None:
    memory = victim.memory()
    data = nested(100_000)
    with blocking.connect("127.0.0.1", victim.port, called_aet="A", calling_aet="B", contexts=PROPOSALS) as association:
        result = association.store(
            sop_class_uid=CT_IMAGE_STORAGE,
            sop_instance_uid="1.2.3",
            transfer_syntax_uid=EXPLICIT_VR_LITTLE_ENDIAN,
            data=data,
        )
    assert result.comment == hashlib.sha256(data).hexdigest()[:32]
    assert victim.peak() - memory < ROOM


@drivers
def test_a_thousand_half_open_connections(driver: str, victim: Victim) -> None:
    """Each sends a byte of its request now and then. There are places for 64, and the honest get theirs."""
    descriptors, memory = victim.descriptors(), victim.memory()
    with ExitStack() as stack, Honest(victim.port) as honest:
        slow: list[socket.socket] = []
        for _ in range(1000):
            sock = socket.create_connection(("127.0.0.1", victim.port), 5)
            stack.enter_context(sock)
            sock.setblocking(False)
            slow.append(sock)
        sent = 0
        deadline = time.monotonic() + 0.7
        while time.monotonic() < deadline:
            for sock in slow:
                with suppress(OSError):
                    sock.send(REQUEST[sent % 60 : sent % 60 + 1])
            sent += 1
            time.sleep(0.05)
        before = len(honest.seconds)
        time.sleep(0.5)
        assert len(honest.seconds) > before
    assert honest.median < PATIENCE
    assert max(honest.entering) < 5
    assert victim.peak() - memory < 64 * MIB
    victim.calm(descriptors)
    assert victim.threads() < 10


@drivers
def test_a_flood_of_rejections(driver: str, victim: Victim) -> None:
    unwanted = encode_request(build_request("A", UNWANTED, PROPOSALS, 16384))
    descriptors, memory, rejected = victim.descriptors(), victim.memory(), 0
    with Honest(victim.port) as honest:
        deadline = time.monotonic() + 0.6
        while time.monotonic() < deadline:
            flood = [RawPeer(victim.port) for _ in range(20)]
            for peer in flood:
                peer.send(unwanted)
            for peer in flood:
                rejected += peer.read_pdu()[:1] == b"\x03"
                peer.sock.close()
    assert rejected >= 100
    victim.calm(descriptors)
    assert victim.peak() - memory < ROOM
    assert honest.median < PATIENCE


def test_the_core_holds_nothing_of_a_stream() -> None:
    """A hundred thousand one-byte fragments: the association is as big as before, and told of them in few events."""
    pair = Pair(acceptor_max=0)
    core = pair.acceptor
    events_of(core, [pack_command(3, STORE, 16384)])
    flood = fragment(b"x") * 1000
    for _ in range(100):
        assert len(events_of(core, [flood])) == 4
    held = [value for name in vars(core) if isinstance(value := getattr(core, name), bytes | bytearray)]
    assert sum(map(len, held)) == 0
