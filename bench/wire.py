"""The few DICOM PDUs that a load generator and a sink need, written apart from our `dimse` package.

A benchmark that spoke through `dimse` would measure the faults of `dimse` on both sides. Everything here
is for trusted peers on loopback: it checks what it needs and no more. (PS3.8 9.3, PS3.7 9.3.1 and E.1.)
"""

from __future__ import annotations

import contextlib
import socket
import struct
from collections.abc import Sequence
from dataclasses import dataclass

APPLICATION_CONTEXT = b"1.2.840.10008.3.1.1.1"
VERIFICATION = "1.2.840.10008.1.1"
IMPLICIT_LE = "1.2.840.10008.1.2"
EXPLICIT_LE = "1.2.840.10008.1.2.1"
RELEASE_RQ = b"\x05\x00\x00\x00\x00\x04\x00\x00\x00\x00"
RELEASE_RP = b"\x06\x00\x00\x00\x00\x04\x00\x00\x00\x00"
ASSOCIATE_RQ, ASSOCIATE_AC, ASSOCIATE_RJ, P_DATA, RELEASE_RQ_TYPE, RELEASE_RP_TYPE, ABORT = range(1, 8)
C_STORE_RQ, C_STORE_RSP, C_ECHO_RQ, C_ECHO_RSP = 0x0001, 0x8001, 0x0030, 0x8030
C_GET_RQ, C_GET_RSP, C_MOVE_RQ, C_MOVE_RSP = 0x0010, 0x8010, 0x0021, 0x8021
NO_DATASET = 0x0101
SUCCESS = 0x0000
_IMPLEMENTATION = b"2.25.209374018237401982734"
_ELEMENT = struct.Struct("<HHI")


class WireError(Exception):
    """The other side did not do what a benchmark can go on with."""


@dataclass(frozen=True, slots=True)
class Context:
    """A presentation context: as proposed (several syntaxes) or as accepted (one, with its result)."""

    number: int
    abstract_syntax: str
    transfer_syntaxes: tuple[str, ...]
    result: int = 0


@dataclass(frozen=True, slots=True)
class Negotiation:
    """What an A-ASSOCIATE PDU says. `max_pdu`: what its sender will receive, bytes (0: no limit)."""

    contexts: tuple[Context, ...]
    max_pdu: int


def quickack(sock: socket.socket) -> None:
    """Ask for immediate ACKs; the kernel forgets it, so it is asked again before each receive."""
    with contextlib.suppress(OSError):
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_QUICKACK, 1)


def read_exact(sock: socket.socket, count: int, *, quick: bool = True) -> bytes:
    """Exactly `count` bytes; WireError when the other side closes first."""
    data = bytearray()
    while len(data) < count:
        if quick:
            quickack(sock)
        chunk = sock.recv(count - len(data))
        if not chunk:
            raise WireError(f"connection closed after {len(data)} of {count} bytes")
        data += chunk
    return bytes(data)


def read_pdu(sock: socket.socket, *, quick: bool = True, limit: int = 1 << 21) -> tuple[int, bytes]:
    """The next PDU as (type, body). Only for small ones: associate, response, release."""
    kind, _, length = struct.unpack(">BBI", read_exact(sock, 6, quick=quick))
    if length > limit:
        raise WireError(f"PDU type {kind} of {length} bytes")
    return kind, read_exact(sock, length, quick=quick)


def _item(kind: int, body: bytes) -> bytes:
    return struct.pack(">BBH", kind, 0, len(body)) + body


def _role(sop_class: str) -> bytes:
    """SCP/SCU role selection: the requestor will receive this class (PS3.7 D.3.3.4)."""
    name = sop_class.encode()
    return _item(0x54, struct.pack(">H", len(name)) + name + b"\x00\x01")


def _user_information(max_pdu: int, receives: Sequence[str] = ()) -> bytes:
    roles = b"".join(map(_role, receives))
    return _item(0x50, _item(0x51, struct.pack(">I", max_pdu)) + _item(0x52, _IMPLEMENTATION) + roles)


def _associate(kind: int, titles: bytes, items: bytes) -> bytes:
    body = struct.pack(">HH", 1, 0) + titles + bytes(32) + _item(0x10, APPLICATION_CONTEXT) + items
    return struct.pack(">BBI", kind, 0, len(body)) + body


def associate_request(
    called: str, calling: str, contexts: Sequence[Context], max_pdu: int, receives: Sequence[str] = ()
) -> bytes:
    """A-ASSOCIATE-RQ; of the classes in `receives` we want to be the provider (for C-GET)."""
    items = b"".join(
        _item(
            0x20,
            bytes((context.number, 0, 0, 0))
            + _item(0x30, context.abstract_syntax.encode())
            + b"".join(_item(0x40, syntax.encode()) for syntax in context.transfer_syntaxes),
        )
        for context in contexts
    )
    titles = called.encode().ljust(16) + calling.encode().ljust(16)
    return _associate(ASSOCIATE_RQ, titles, items + _user_information(max_pdu, receives))


def associate_accept(request: bytes, negotiation: Negotiation, max_pdu: int) -> bytes:
    """A-ASSOCIATE-AC to the request with body `request`: every context, the first syntax proposed."""
    items = b"".join(
        _item(0x21, bytes((context.number, 0, 0, 0)) + _item(0x40, context.transfer_syntaxes[0].encode()))
        for context in negotiation.contexts
    )
    return _associate(ASSOCIATE_AC, request[4:36], items + _user_information(max_pdu))


def _items(body: bytes) -> list[tuple[int, bytes]]:
    found = []
    at = 0
    while at + 4 <= len(body):
        kind, length = body[at], int.from_bytes(body[at + 2 : at + 4], "big")
        found.append((kind, body[at + 4 : at + 4 + length]))
        at += 4 + length
    return found


def read_associate(body: bytes) -> Negotiation:
    """The contexts and the maximum PDU of an A-ASSOCIATE-RQ or -AC body."""
    contexts = []
    max_pdu = 0
    for kind, value in _items(body[68:]):
        if kind in (0x20, 0x21):
            parts = _items(value[4:])
            syntaxes = tuple(text.rstrip(b"\0 ").decode() for sub, text in parts if sub == 0x40)
            abstract = next((text.rstrip(b"\0 ").decode() for sub, text in parts if sub == 0x30), "")
            contexts.append(Context(value[0], abstract, syntaxes, value[2]))
        elif kind == 0x50:
            for sub, text in _items(value):
                if sub == 0x51:
                    max_pdu = int.from_bytes(text, "big")
    return Negotiation(tuple(contexts), max_pdu)


def _uid(value: str) -> bytes:
    raw = value.encode()
    return raw + b"\0" if len(raw) % 2 else raw


def command_set(elements: Sequence[tuple[int, bytes]]) -> bytes:
    """A command set from (element number, value), group 0000, implicit little endian (PS3.7 6.3.1)."""
    body = b"".join(_ELEMENT.pack(0, element, len(value)) + value for element, value in elements)
    return _ELEMENT.pack(0, 0, 4) + struct.pack("<I", len(body)) + body


def _us(value: int) -> bytes:
    return struct.pack("<H", value)


def store_request(message_id: int, sop_class: str, sop_instance: str) -> bytes:
    """The command set of a C-STORE-RQ, priority medium."""
    return command_set(
        [
            (0x0002, _uid(sop_class)),
            (0x0100, _us(C_STORE_RQ)),
            (0x0110, _us(message_id)),
            (0x0700, _us(0)),
            (0x0800, _us(0x0001)),
            (0x1000, _uid(sop_instance)),
        ]
    )


def retrieve_request(command: int, message_id: int, sop_class: str, destination: str = "") -> bytes:
    """The command set of a C-GET-RQ, or of a C-MOVE-RQ to `destination`."""
    move = [(0x0600, destination.encode() + b" " * (len(destination) % 2))] if destination else []
    return command_set(
        [
            (0x0002, _uid(sop_class)),
            (0x0100, _us(command)),
            (0x0110, _us(message_id)),
            *move,
            (0x0700, _us(0)),
            (0x0800, _us(0x0001)),
        ]
    )


def study_identifier(study: str) -> bytes:
    """An identifier at STUDY level with one Study Instance UID, implicit VR little endian."""
    level, uid = b"STUDY ", _uid(study)
    return struct.pack("<HHI", 0x0008, 0x0052, len(level)) + level + struct.pack("<HHI", 0x0020, 0x000D, len(uid)) + uid


def echo_request(message_id: int) -> bytes:
    """The command set of a C-ECHO-RQ."""
    uid = _uid(VERIFICATION)
    return command_set([(0x0002, uid), (0x0100, _us(C_ECHO_RQ)), (0x0110, _us(message_id)), (0x0800, _us(NO_DATASET))])


def response(command: int, message_id: bytes, sop_class: bytes, sop_instance: bytes | None, status: int) -> bytes:
    """The command set of a C-STORE-RSP or C-ECHO-RSP; UIDs and message id as they came."""
    elements = [
        (0x0002, sop_class),
        (0x0100, _us(command)),
        (0x0120, message_id),
        (0x0800, _us(NO_DATASET)),
        (0x0900, _us(status)),
    ]
    if sop_instance is not None:
        elements.append((0x1000, sop_instance))
    return command_set(elements)


def read_command(body: bytes) -> dict[int, bytes]:
    """A command set as {element number: raw value}."""
    found: dict[int, bytes] = {}
    at = 0
    while at + 8 <= len(body):
        group, element, length = _ELEMENT.unpack_from(body, at)
        if group != 0:
            raise WireError(f"group {group:04x} in a command set")
        found[element] = body[at + 8 : at + 8 + length]
        at += 8 + length
    return found


def pdata_header(context: int, length: int, *, command: bool, last: bool) -> bytes:
    """The 12 bytes before a fragment of `length` bytes: one PDU with one PDV."""
    return struct.pack(">BBIIBB", P_DATA, 0, length + 6, length + 2, context, (1 if command else 0) | (2 if last else 0))


def command_pdu(context: int, command: bytes) -> bytes:
    """A whole P-DATA-TF that holds one command set."""
    return pdata_header(context, len(command), command=True, last=True) + command


def read_response(sock: socket.socket, *, quick: bool = True) -> dict[int, bytes]:
    """The next command set from the other side, also when it comes in several PDVs or PDUs."""
    command = b""
    while True:
        kind, body = read_pdu(sock, quick=quick)
        if kind != P_DATA:
            raise WireError(f"PDU type {kind} where a response was awaited (7: abort, source {body[2:4].hex()})")
        at = 0
        while at + 6 <= len(body):
            length = int.from_bytes(body[at : at + 4], "big")
            command += body[at + 6 : at + 4 + length]
            if body[at + 5] & 2:
                return read_command(command)
            at += 4 + length


def associate(
    address: tuple[str, int],
    contexts: Sequence[Context],
    *,
    called: str = "ANY-SCP",
    seconds: float = 120.0,
    receives: Sequence[str] = (),
) -> tuple[socket.socket, Negotiation]:
    """Connect and associate. WireError when refused."""
    sock = socket.create_connection(address, timeout=seconds)
    try:
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        sock.sendall(associate_request(called, "BENCH", contexts, 131072, receives))
        kind, body = read_pdu(sock)
        if kind == ASSOCIATE_RJ:
            raise WireError(f"association rejected: result {body[1]} source {body[2]} reason {body[3]}")
        if kind != ASSOCIATE_AC:
            raise WireError(f"association not accepted: PDU type {kind}")
    except BaseException:
        sock.close()
        raise
    return sock, read_associate(body)


def release(sock: socket.socket) -> None:
    """Release and close; whether the peer answers nicely is not what we measure."""
    with contextlib.suppress(OSError, WireError):
        sock.sendall(RELEASE_RQ)
        read_pdu(sock)
    sock.close()


def echo(address: tuple[str, int], *, called: str = "ANY-SCP", seconds: float = 5.0) -> None:
    """One C-ECHO; raises OSError or WireError when the peer is not ready."""
    sock, negotiation = associate(address, [Context(1, VERIFICATION, (IMPLICIT_LE,))], called=called, seconds=seconds)
    try:
        if negotiation.contexts[0].result != 0:
            raise WireError("Verification not accepted")
        sock.sendall(command_pdu(1, echo_request(1)))
        status = read_response(sock).get(0x0900, b"")
        if status != b"\0\0":
            raise WireError(f"C-ECHO status {status.hex()}")
    finally:
        release(sock)
