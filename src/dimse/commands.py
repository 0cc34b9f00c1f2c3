"""Command sets: group 0000 in implicit VR little endian (PS3.7 sections 6.3, 9 and 10, annex E).

Every message kind is a row of `KINDS`, every element a row of `ELEMENTS`; the reader and the writer are
generic. The two messages of the hot path, C-STORE-RQ and C-STORE-RSP, also have writers of their own.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping
from dataclasses import dataclass
from dataclasses import field as default
from enum import IntEnum
from functools import lru_cache

from dimse.errors import RemoteProtocolError

#: Longest command set that is read, bytes.
MAX_COMMAND = 65536
NO_DATA_SET = 0x0101
HAS_DATA_SET = 0x0001

GROUP_LENGTH = 0x0000
AFFECTED_CLASS = 0x0002
REQUESTED_CLASS = 0x0003
FIELD = 0x0100
MESSAGE_ID = 0x0110
RESPONDED_ID = 0x0120
MOVE_DESTINATION = 0x0600
PRIORITY = 0x0700
DATA_SET_TYPE = 0x0800
STATUS = 0x0900
OFFENDING = 0x0901
COMMENT = 0x0902
ERROR_ID = 0x0903
AFFECTED_INSTANCE = 0x1000
REQUESTED_INSTANCE = 0x1001
EVENT_TYPE = 0x1002
ATTRIBUTES = 0x1005
ACTION_TYPE = 0x1008
REMAINING = 0x1020
COMPLETED = 0x1021
FAILED = 0x1022
WARNED = 0x1023
MOVE_AET = 0x1030
MOVE_ID = 0x1031

#: Element number -> value representation (PS3.7 table E.1-1).
ELEMENTS: dict[int, str] = {
    GROUP_LENGTH: "UL",
    AFFECTED_CLASS: "UI",
    REQUESTED_CLASS: "UI",
    FIELD: "US",
    MESSAGE_ID: "US",
    RESPONDED_ID: "US",
    MOVE_DESTINATION: "AE",
    PRIORITY: "US",
    DATA_SET_TYPE: "US",
    STATUS: "US",
    OFFENDING: "AT",
    COMMENT: "LO",
    ERROR_ID: "US",
    AFFECTED_INSTANCE: "UI",
    REQUESTED_INSTANCE: "UI",
    EVENT_TYPE: "US",
    ATTRIBUTES: "AT",
    ACTION_TYPE: "US",
    REMAINING: "US",
    COMPLETED: "US",
    FAILED: "US",
    WARNED: "US",
    MOVE_AET: "AE",
    MOVE_ID: "US",
}


class CommandField(IntEnum):
    """Command Field (0000,0100) of PS3.7 table E.1-1; bit 15 marks responses."""

    C_STORE_RQ = 0x0001
    C_STORE_RSP = 0x8001
    C_GET_RQ = 0x0010
    C_GET_RSP = 0x8010
    C_FIND_RQ = 0x0020
    C_FIND_RSP = 0x8020
    C_MOVE_RQ = 0x0021
    C_MOVE_RSP = 0x8021
    C_ECHO_RQ = 0x0030
    C_ECHO_RSP = 0x8030
    N_EVENT_REPORT_RQ = 0x0100
    N_EVENT_REPORT_RSP = 0x8100
    N_GET_RQ = 0x0110
    N_GET_RSP = 0x8110
    N_SET_RQ = 0x0120
    N_SET_RSP = 0x8120
    N_ACTION_RQ = 0x0130
    N_ACTION_RSP = 0x8130
    N_CREATE_RQ = 0x0140
    N_CREATE_RSP = 0x8140
    N_DELETE_RQ = 0x0150
    N_DELETE_RSP = 0x8150
    C_CANCEL_RQ = 0x0FFF


F = CommandField
_REQUEST = (AFFECTED_CLASS, MESSAGE_ID)
_ON_INSTANCE = (REQUESTED_CLASS, MESSAGE_ID, REQUESTED_INSTANCE)
_RESPONSE = (RESPONDED_ID, STATUS)


@dataclass(frozen=True, slots=True)
class Kind:
    """A row of PS3.7 sections 9.3 and 10.3: elements without which the message means nothing, and whether a
    data set may (None), must (True) or must not (False) follow."""

    required: tuple[int, ...]
    data_set: bool | None


KINDS: dict[int, Kind] = {
    F.C_STORE_RQ: Kind((*_REQUEST, AFFECTED_INSTANCE), True),
    F.C_STORE_RSP: Kind(_RESPONSE, False),
    F.C_GET_RQ: Kind(_REQUEST, True),
    F.C_GET_RSP: Kind(_RESPONSE, None),
    F.C_FIND_RQ: Kind(_REQUEST, True),
    F.C_FIND_RSP: Kind(_RESPONSE, None),
    F.C_MOVE_RQ: Kind((*_REQUEST, MOVE_DESTINATION), True),
    F.C_MOVE_RSP: Kind(_RESPONSE, None),
    F.C_ECHO_RQ: Kind(_REQUEST, False),
    F.C_ECHO_RSP: Kind(_RESPONSE, False),
    F.N_EVENT_REPORT_RQ: Kind((*_REQUEST, AFFECTED_INSTANCE, EVENT_TYPE), None),
    F.N_EVENT_REPORT_RSP: Kind(_RESPONSE, None),
    F.N_GET_RQ: Kind(_ON_INSTANCE, False),
    F.N_GET_RSP: Kind(_RESPONSE, None),
    F.N_SET_RQ: Kind(_ON_INSTANCE, True),
    F.N_SET_RSP: Kind(_RESPONSE, None),
    F.N_ACTION_RQ: Kind((*_ON_INSTANCE, ACTION_TYPE), None),
    F.N_ACTION_RSP: Kind(_RESPONSE, None),
    F.N_CREATE_RQ: Kind(_REQUEST, None),
    F.N_CREATE_RSP: Kind(_RESPONSE, None),
    F.N_DELETE_RQ: Kind(_ON_INSTANCE, False),
    F.N_DELETE_RSP: Kind(_RESPONSE, False),
    F.C_CANCEL_RQ: Kind((RESPONDED_ID,), False),
}
Value = int | str | tuple[int, ...]
_HEADER = struct.Struct("<HHL")
_US = struct.Struct("<H")
_NUMBER = frozenset(element for element, vr in ELEMENTS.items() if vr == "US")
_TEXT = frozenset(element for element, vr in ELEMENTS.items() if vr in {"UI", "AE", "LO"})


@dataclass(slots=True)
class Command:
    """A command set as read: `field` says what it is, `values` holds the known elements by element number."""

    field: int
    values: dict[int, Value] = default(default_factory=dict)

    @property
    def name(self) -> str:
        """As in the standard: C-STORE-RQ."""
        try:
            return CommandField(self.field).name.replace("_", "-")
        except ValueError:
            return f"command {self.field:04X}H"

    @property
    def is_response(self) -> bool:
        """True for responses."""
        return bool(self.field & 0x8000)

    @property
    def has_data_set(self) -> bool:
        """True when a data set follows."""
        return self.values.get(DATA_SET_TYPE, NO_DATA_SET) != NO_DATA_SET

    def number(self, element: int, default: int = 0) -> int:
        """An element of type US."""
        value = self.values.get(element, default)
        return value if isinstance(value, int) else default

    def text(self, element: int) -> str:
        """An element of text, empty when absent."""
        value = self.values.get(element, "")
        return value if isinstance(value, str) else ""


def decode_command(data: bytes | bytearray | memoryview) -> Command:
    """Read a command set. `RemoteProtocolError` for wrong lengths, foreign groups, missing elements."""
    raw = bytes(data)
    position, end = 0, len(raw)
    values: dict[int, Value] = {}
    header = _HEADER.unpack_from
    while position < end:
        if end - position < 8:
            raise RemoteProtocolError("command set ends inside an element header")
        group, element, length = header(raw, position)
        position += 8
        if group:
            raise RemoteProtocolError(f"element of group {group:04X} in a command set")
        if length > end - position:
            raise RemoteProtocolError(f"command element {element:04X} claims {length} bytes")
        if element in _NUMBER:
            if length != 2:
                raise RemoteProtocolError(f"command element {element:04X} has {length} bytes, not 2")
            values[element] = raw[position] | raw[position + 1] << 8
        elif element in _TEXT:
            values[element] = raw[position : position + length].decode("latin-1").strip(" \0")
        elif element in {OFFENDING, ATTRIBUTES}:
            values[element] = _tags(raw[position : position + length])
        position += length
    return _checked(values)


def _tags(raw: bytes) -> tuple[int, ...]:
    if len(raw) % 4:
        raise RemoteProtocolError("list of tags in a command set is no multiple of 4 bytes")
    return tuple(group << 16 | element for group, element in struct.iter_unpack("<HH", raw))


def _checked(values: dict[int, Value]) -> Command:
    kind_number = values.get(FIELD)
    if not isinstance(kind_number, int):
        raise RemoteProtocolError("command set without command field")
    if DATA_SET_TYPE not in values:
        raise RemoteProtocolError("command set without data set type")
    kind = KINDS.get(kind_number)
    if kind is not None:
        for element in kind.required:
            if element not in values:
                raise RemoteProtocolError(f"{Command(kind_number).name} without element {element:04X}")
        if kind.data_set is not None and kind.data_set != (values[DATA_SET_TYPE] != NO_DATA_SET):
            wrong = "without" if kind.data_set else "with"
            raise RemoteProtocolError(f"{Command(kind_number).name} {wrong} data set")
    return Command(kind_number, values)


def _encode_value(element: int, value: Value) -> bytes:
    vr = ELEMENTS[element]
    if isinstance(value, int):
        return _US.pack(value)
    if isinstance(value, tuple):
        return b"".join(struct.pack("<HH", tag >> 16, tag & 0xFFFF) for tag in value)
    raw = value.encode("latin-1", "replace")
    if len(raw) % 2:
        raw += b"\0" if vr == "UI" else b" "
    return raw


def encode_elements(values: Mapping[int, Value]) -> bytes:
    """Elements in ascending order, without group length."""
    parts = []
    for element in sorted(values):
        raw = _encode_value(element, values[element])
        parts.append(_HEADER.pack(0, element, len(raw)) + raw)
    return b"".join(parts)


def with_group_length(body: bytes) -> bytes:
    """The command set: group length first (PS3.7 section 6.3.1)."""
    return _HEADER.pack(0, 0, 4) + len(body).to_bytes(4, "little") + body


def encode_command(command: Command) -> bytes:
    """The command set as bytes. `values` must hold the data set type when there is a data set."""
    values = {DATA_SET_TYPE: NO_DATA_SET, **command.values, FIELD: command.field}
    values.pop(GROUP_LENGTH, None)
    return with_group_length(encode_elements(values))


@lru_cache(maxsize=512)
def _store_request_head(sop_class_uid: str) -> bytes:
    return encode_elements({AFFECTED_CLASS: sop_class_uid, FIELD: F.C_STORE_RQ})


@lru_cache(maxsize=512)
def _store_response_head(sop_class_uid: str) -> bytes:
    return encode_elements({AFFECTED_CLASS: sop_class_uid, FIELD: F.C_STORE_RSP})


_RQ_MIDDLE = struct.Struct("<HHLHHHLHHHLHHHL")
_RSP_MIDDLE = struct.Struct("<HHLHHHLHHHLHHHL")


def _padded_uid(uid: str) -> bytes:
    raw = uid.encode("latin-1")
    return raw + b"\0" if len(raw) & 1 else raw


def encode_store_request(message_id: int, sop_class_uid: str, sop_instance_uid: str, priority: int, tail: bytes = b"") -> bytes:
    """C-STORE-RQ, fast. `tail` are encoded elements above (0000,1000): the move originator."""
    uid = _padded_uid(sop_instance_uid)
    body = (
        _store_request_head(sop_class_uid)
        + _RQ_MIDDLE.pack(
            *(0, MESSAGE_ID, 2, message_id),
            *(0, PRIORITY, 2, priority),
            *(0, DATA_SET_TYPE, 2, HAS_DATA_SET),
            *(0, AFFECTED_INSTANCE, len(uid)),
        )
        + uid
        + tail
    )
    return with_group_length(body)


def encode_store_response(
    message_id: int, sop_class_uid: str, sop_instance_uid: str, status: int = 0, comment: str = ""
) -> bytes:
    """C-STORE-RSP, fast when there is no comment. The comment is cut to 64 characters (LO)."""
    if comment:
        values: dict[int, Value] = {AFFECTED_CLASS: sop_class_uid, RESPONDED_ID: message_id, STATUS: status}
        values |= {COMMENT: comment[:64], AFFECTED_INSTANCE: sop_instance_uid}
        return encode_command(Command(F.C_STORE_RSP, values))
    uid = _padded_uid(sop_instance_uid)
    body = (
        _store_response_head(sop_class_uid)
        + _RSP_MIDDLE.pack(
            *(0, RESPONDED_ID, 2, message_id),
            *(0, DATA_SET_TYPE, 2, NO_DATA_SET),
            *(0, STATUS, 2, status),
            *(0, AFFECTED_INSTANCE, len(uid)),
        )
        + uid
    )
    return with_group_length(body)
