"""A whole `Connection` of the blocking server, fed through a socket pair: what it answers is well formed, what the
acceptor was given is ended once, and nothing is an unforeseen error of ours."""

from __future__ import annotations

import logging
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from dimse.acceptance import Accept, AssociationInfo, Limits, PeerAddress, Reject, StoreAnswer, StoreRequest
from dimse.association import Association
from dimse.blocking.connection import Connection
from dimse.commands import (
    AFFECTED_CLASS,
    DATA_SET_TYPE,
    HAS_DATA_SET,
    MESSAGE_ID,
    MOVE_DESTINATION,
    PRIORITY,
    RESPONDED_ID,
    Command,
    CommandField,
    Value,
    encode_command,
)
from dimse.errors import Refused
from dimse.identity import username_passcode
from dimse.messages import header, pack_command
from dimse.negotiation import AcceptedContext, AcceptServices, ContextProposal
from dimse.operations import (
    Final,
    FindRequest,
    GetRequest,
    Match,
    MoveRequest,
    NormalisedAnswer,
    NormalisedRequest,
    Outgoing,
    SubOperations,
)
from dimse.pdu import RELEASE_REQUEST_BYTES, AssociateRequest
from dimse.requesting import build_request
from dimse.states import Role
from dimse.uids import CT_IMAGE_STORAGE, EXPLICIT_VR_LITTLE_ENDIAN, VERIFICATION
from fuzz.targets.conversation import STORE
from fuzz.targets.recorded import streams

_FIND, _MOVE, _GET = (f"1.2.840.10008.5.1.4.1.2.2.{number}" for number in (1, 2, 3))
_COMMITMENT = "1.2.840.10008.1.20.1"
_PROPOSALS = (
    ContextProposal(VERIFICATION),
    ContextProposal(CT_IMAGE_STORAGE, (EXPLICIT_VR_LITTLE_ENDIAN,), scp=True),
    *(ContextProposal(uid) for uid in (_FIND, _MOVE, _GET, _COMMITMENT)),
)
_REQUEST = Association(Role.REQUESTOR).request(
    build_request("GANTRY", "FUZZ", _PROPOSALS, 16384, username_passcode("doe", "secret"), ())
)
_POLICY = AcceptServices(find=True, retrieve=True, commitment=True, relational=True)
_LIMITS = Limits(association_seconds=1, idle_seconds=1, send_seconds=1, close_seconds=0.2, max_pdu=16384, receive_buffer=32768)
_PEER = PeerAddress("127.0.0.1", 104)
_IDENTIFIER = b"\x08\x00\x52\x00\x06\0\0\0STUDY "


def _ask(context_id: int, field: CommandField, uid: str, **more: Value) -> bytes:
    values: dict[int, Value] = {AFFECTED_CLASS: uid, MESSAGE_ID: 7, PRIORITY: 0, DATA_SET_TYPE: HAS_DATA_SET}
    if "destination" in more:
        values[MOVE_DESTINATION] = more["destination"]
    return pack_command(context_id, encode_command(Command(field, values)), 16378)


_STORE = header(3, 3, len(STORE)) + STORE
_BEGUN = {
    "find": _ask(5, CommandField.C_FIND_RQ, _FIND),
    "move": _ask(7, CommandField.C_MOVE_RQ, _MOVE, destination="ELSEWHERE"),
    "get": _ask(9, CommandField.C_GET_RQ, _GET),
}
_WHOLE = header(9, 2, len(_IDENTIFIER)) + _IDENTIFIER
#: What has been said before the bytes that are tried.
BEFORE = (
    b"",
    _REQUEST,
    _REQUEST + _STORE,
    _REQUEST + _STORE + header(3, 0, 4) + b"half",
    _REQUEST + _BEGUN["find"],
    _REQUEST + _BEGUN["move"],
    _REQUEST + _BEGUN["get"],
    _REQUEST + _BEGUN["get"] + _WHOLE,  # sub-operations wait for their answers
    _REQUEST + RELEASE_REQUEST_BYTES,
    _REQUEST + _STORE + RELEASE_REQUEST_BYTES,
)


class _Cut(socket.socket):
    """One end of a socket pair that reads as little at once as it is told to, and has no TCP options. The peer hangs up
    when it has said all and somebody waits for more: not before, so that what was asked is worked on."""

    def __init__(self, sock: socket.socket, other: socket.socket, seed: int) -> None:
        super().__init__(sock.family, sock.type, sock.proto, sock.detach())
        self.other = other
        self.seed = seed

    def recv_into(self, buffer: Any, nbytes: int = 0, flags: int = 0) -> int:
        size = nbytes
        if self.seed:
            self.seed = (self.seed * 1103515245 + 12345) & 0x7FFFFFFF
            size = min(len(buffer), (self.seed >> 8) % 97 + 1)
        try:
            return super().recv_into(buffer, size, flags | socket.MSG_DONTWAIT)
        except BlockingIOError:
            if flags & socket.MSG_DONTWAIT:
                raise
            self.other.shutdown(socket.SHUT_WR)
            return 0

    def setsockopt(self, level: int, *rest: Any) -> None:
        if level != socket.IPPROTO_TCP:
            super().setsockopt(level, *rest)


class _Sink:
    def __init__(self) -> None:
        self.ends = self.size = 0

    def write(self, view: memoryview) -> None:
        assert not self.ends
        assert len(view)
        self.size += len(view)

    def finish(self) -> StoreAnswer:
        self.ends += 1
        return StoreAnswer()

    def abort(self) -> None:
        self.ends += 1


class Everything:
    """An acceptor of all services that counts how what it gave ends."""

    def __init__(self) -> None:
        self.ended = 0
        self.sinks: list[_Sink] = []

    def association_requested(self, request: AssociateRequest, peer: PeerAddress) -> Accept | Reject:
        return Reject() if request.calling_aet == "NOBODY" else Accept()

    def association_ended(self, association: AssociationInfo, how: str) -> None:
        self.ended += 1

    def echo(self, association: AssociationInfo) -> int:
        return 0

    def store(self, association: AssociationInfo, request: StoreRequest, context: AcceptedContext) -> _Sink:
        if request.sop_instance_uid == "1.2.4":
            raise Refused(0xA700, "full")
        self.sinks.append(_Sink())
        return self.sinks[-1]

    def find(self, association: AssociationInfo, request: FindRequest, cancelled: Callable[[], bool]) -> Iterator[Match | Final]:
        yield from (Match(_IDENTIFIER) for _ in range(3) if not cancelled())

    def move(
        self, association: AssociationInfo, request: MoveRequest, cancelled: Callable[[], bool]
    ) -> Iterator[SubOperations | Final]:
        yield from (SubOperations(2 - done, done, 0, 0) for done in range(3) if not cancelled())

    def get(
        self, association: AssociationInfo, request: GetRequest, cancelled: Callable[[], bool]
    ) -> tuple[int, Iterator[Outgoing]]:
        return 2, iter(Outgoing(CT_IMAGE_STORAGE, f"1.2.{n}", EXPLICIT_VR_LITTLE_ENDIAN, _opened) for n in range(2))

    def normalised(self, association: AssociationInfo, request: NormalisedRequest) -> NormalisedAnswer:
        return NormalisedAnswer(0)


@contextmanager
def _opened() -> Iterator[list[memoryview]]:
    yield [memoryview(b"\x08\x00\x16\x00UI\x04\x001.2\0")]


class _Errors(logging.Handler):
    """What the driver calls a failure of ours."""

    def __init__(self) -> None:
        super().__init__(logging.ERROR)
        self.found: list[logging.LogRecord] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.found.append(record)


_errors = _Errors()
_log = logging.getLogger("dimse")


def seeds() -> list[bytes]:
    """Recorded requestors, whole; their messages behind each beginning."""
    found = []
    for number, stream in enumerate(streams("requestor")):
        found.append(bytes((0, number)) + stream)
        found.append(bytes((1 + number % (len(BEFORE) - 1), number)) + stream[6 + int.from_bytes(stream[2:6], "big") :])
    cancel = pack_command(9, encode_command(Command(CommandField.C_CANCEL_RQ, {RESPONDED_ID: 7})), 16378)
    return [*found, bytes((4, 0)) + header(5, 2, len(_IDENTIFIER)) + _IDENTIFIER + cancel, bytes((7, 5)) + cancel]


def one(data: bytes) -> None:
    """The first byte: what came before; the second: how little is read at once."""
    if len(data) < 2:
        return
    ours, theirs = socket.socketpair()
    with theirs:
        theirs.sendall(BEFORE[data[0] % len(BEFORE)] + data[2:])
        acceptor = Everything()
        del _errors.found[:]
        _log.addHandler(_errors)
        propagate, _log.propagate = _log.propagate, False
        try:
            connection = Connection(_Cut(ours, theirs, data[1]), _PEER, acceptor, _POLICY, _LIMITS)
            connection.run()
        finally:
            _log.removeHandler(_errors)
            _log.propagate = propagate
        if _errors.found:
            raise AssertionError(_errors.found[0].getMessage()) from (_errors.found[0].exc_info or (None, None))[1]
        assert acceptor.ended == (connection.info is not None)
        assert all(sink.ends == 1 for sink in acceptor.sinks)
        theirs.settimeout(1)
        _judge(b"".join(iter(lambda: _take(theirs), b"")))


def _take(sock: socket.socket) -> bytes:
    """The next bytes; that the other end was closed over unread ones is said once, before what it had sent."""
    try:
        return sock.recv(1 << 20)
    except ConnectionResetError:
        return sock.recv(1 << 20)


def _judge(said: bytes) -> None:
    """Whole PDUs of an acceptor; nothing behind an A-ABORT, an A-ASSOCIATE-RJ or an A-RELEASE-RP."""
    at, over = 0, False
    while at < len(said):
        assert not over
        assert said[at] in {2, 3, 4, 6, 7}
        over = said[at] in {3, 6, 7}
        at += 6 + int.from_bytes(said[at + 2 : at + 6], "big")
    assert at == len(said)
