"""Command sets: recorded, made up, wrong."""

from __future__ import annotations

import struct

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dimse import status
from dimse.commands import (
    DATA_SET_TYPE,
    ELEMENTS,
    FIELD,
    GROUP_LENGTH,
    KINDS,
    NO_DATA_SET,
    Command,
    CommandField,
    decode_command,
    encode_command,
    encode_store_request,
    encode_store_response,
)
from dimse.errors import RemoteProtocolError
from dimse.requesting import encode_store
from tests.dimse import golden

VALUES = {"US": 5, "UI": "1.2.34", "AE": "SOMEONE", "LO": "words", "AT": (0x00100010, 0x00080018)}


def sample(field: CommandField, *, data_set: bool) -> Command:
    kind = KINDS[field]
    values = {element: VALUES[ELEMENTS[element]] for element in kind.required}
    return Command(field, {**values, FIELD: field, DATA_SET_TYPE: 1 if data_set else NO_DATA_SET})


@pytest.mark.parametrize("field", CommandField)
def test_every_message_survives_the_wire(field: CommandField) -> None:
    may = KINDS[field].data_set
    for data_set in (True, False) if may is None else (may,):
        command = sample(field, data_set=data_set)
        found = decode_command(encode_command(command))
        assert found.field == field
        assert {k: v for k, v in found.values.items() if k != GROUP_LENGTH} == command.values
        assert found.has_data_set == data_set
        assert found.is_response == (field & 0x8000 != 0)


@pytest.mark.parametrize("field", CommandField)
def test_every_required_element_is_missed(field: CommandField) -> None:
    for element in (*KINDS[field].required, DATA_SET_TYPE):
        command = sample(field, data_set=bool(KINDS[field].data_set))
        del command.values[element]
        raw = encode_command(command)
        if element == DATA_SET_TYPE:  # the writer adds it: take it out of the bytes
            raw = raw.replace(struct.pack("<HHLH", 0, DATA_SET_TYPE, 2, NO_DATA_SET), b"")
        with pytest.raises(RemoteProtocolError, match="without"):
            decode_command(raw)


@pytest.mark.parametrize("field", [f for f in CommandField if KINDS[f].data_set is not None])
def test_a_data_set_where_none_may_be_and_the_other_way_round(field: CommandField) -> None:
    with pytest.raises(RemoteProtocolError, match="data set"):
        decode_command(encode_command(sample(field, data_set=not KINDS[field].data_set)))


def payload(pdu: bytes) -> bytes:
    return pdu[12:]


def test_recorded_commands() -> None:
    echo = decode_command(payload(golden.ECHOSCU_ECHO_RQ))
    assert (echo.name, echo.number(0x0110), echo.text(0x0002)) == ("C-ECHO-RQ", 1, "1.2.840.10008.1.1")
    assert encode_command(echo) == payload(golden.ECHOSCU_ECHO_RQ)
    for recorded in (golden.STORESCP_ECHO_RSP, golden.PYNETDICOM_ECHO_RSP, golden.STORESCP_STORE_RSP):
        answer = decode_command(payload(recorded))
        assert answer.number(0x0900) == 0
        assert encode_command(answer) == payload(recorded)


def test_the_fast_writers_write_what_the_general_one_writes() -> None:
    asked = decode_command(payload(golden.DCMSEND_STORE_RQ))
    uids = asked.text(0x0002), asked.text(0x1000)
    fast = encode_store_request(asked.number(0x0110), *uids, asked.number(0x0700))
    assert decode_command(fast).values | {DATA_SET_TYPE: 0} == asked.values | {DATA_SET_TYPE: 0}
    assert fast == encode_command(decode_command(fast))
    answer = encode_store_response(9, *uids, 0xA700)
    assert answer == encode_command(decode_command(answer))
    spoken = decode_command(encode_store_response(9, *uids, 0xC000, "x" * 70))
    assert (spoken.number(0x0900), spoken.text(0x0902)) == (0xC000, "x" * 64)
    moved = decode_command(encode_store(3, *uids, 0, ("MOVER", 17)))
    assert (moved.text(0x1030), moved.number(0x1031)) == ("MOVER", 17)


@pytest.mark.parametrize(
    ("raw", "says"),
    [
        (b"", "without command field"),
        (bytes(7), "ends inside an element header"),
        (struct.pack("<HHL", 8, 0, 0), "group 0008"),
        (struct.pack("<HHL", 0, 2, 9) + b"12345678", "claims 9"),
        (struct.pack("<HHL", 0, 0x100, 4) + bytes(4), "has 4 bytes, not 2"),
        (struct.pack("<HHL", 0, 0x901, 3) + bytes(3), "no multiple of 4"),
        (struct.pack("<HHLH", 0, 0x100, 2, 1), "without data set type"),
    ],
)
def test_wrong_command_sets_are_named(raw: bytes, says: str) -> None:
    with pytest.raises(RemoteProtocolError, match=says):
        decode_command(raw)


def test_unknown_commands_and_elements_are_read() -> None:
    raw = encode_command(Command(0x0777, {DATA_SET_TYPE: NO_DATA_SET})) + struct.pack("<HHL", 0, 0x4000, 2) + b"ab"
    assert decode_command(raw).name == "command 0777H"


@settings(max_examples=200, deadline=None)
@given(st.binary(max_size=120))
def test_random_bytes_give_only_remote_errors(tail: bytes) -> None:
    for raw in (tail, payload(golden.DCMSEND_STORE_RQ)[:-20] + tail):
        try:
            decode_command(raw)
        except RemoteProtocolError:
            continue


@pytest.mark.parametrize(
    ("code", "category"),
    [
        (0x0000, "success"),
        (0xFF00, "pending"),
        (0xFF01, "pending"),
        (0xFE00, "cancel"),
        (0xB000, "warning"),
        (0xB007, "warning"),
        (0x0107, "warning"),
        (0xA700, "failure"),
        (0xA7FF, "failure"),
        (0xC123, "failure"),
        (0x0110, "failure"),
        (0x7777, "failure"),
    ],
)
def test_status_codes(code: int, category: str) -> None:
    described = status.describe(code)
    assert described.category == category
    assert described.meaning
    assert f"{code:04X}" in str(described)
