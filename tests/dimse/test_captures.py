"""Golden bytes of other implementations: read, written again, compared byte for byte."""

from __future__ import annotations

import struct

import pytest

from dimse.association import Association
from dimse.commands import DATA_SET_TYPE, Command, decode_command, encode_command
from dimse.pdu import (
    Abort,
    AssociateReject,
    decode_abort,
    decode_accept,
    decode_reject,
    decode_request,
    encode_abort,
    encode_accept,
    encode_reject,
    encode_request,
)
from dimse.states import Role
from tests.dimse.captures import Conversation, RecordedPdu, conversations

ALL = conversations()
PDUS = [(conversation, pdu) for conversation in ALL for pdu in conversation.pdus]
Item = tuple[int, object]


def named(kinds: set[int]) -> pytest.MarkDecorator:
    chosen = [(f"{c.name}: {p.caption} {n}", p) for n, (c, p) in enumerate(PDUS) if p.data[0] in kinds]
    return pytest.mark.parametrize("pdu", [pdu for _, pdu in chosen], ids=[name for name, _ in chosen])


def items(data: bytes) -> list[tuple[int, bytes]]:
    """A reader of items of its own, so that the engine is not compared with itself."""
    found, position = [], 0
    while position < len(data):
        kind, length = struct.unpack_from(">BxH", data, position)
        found.append((kind, data[position + 4 : position + 4 + length]))
        position += 4 + length
    assert position == len(data)
    return found


def meaning(pdu: bytes) -> list[Item]:
    """What must survive of an association PDU: everything but reserved bytes, what has no meaning in a refused
    context (PS3.8 9.3.3.2), and the order of user information items, which has none (PS3.7 D.3.3)."""
    assert int.from_bytes(pdu[2:6], "big") == len(pdu) - 6
    found: list[Item] = [(0, pdu[6:8] + pdu[10:42])]
    for kind, value in items(pdu[74:]):
        if kind == 0x20:
            found.append((kind, (value[0], items(value[4:]))))
        elif kind == 0x21:
            found.append((kind, (value[0], value[2], items(value[4:]) if value[2] == 0 else [])))
        elif kind == 0x50:
            found.append((kind, sorted(items(value))))
        else:
            found.append((kind, value))
    return found


def commands(conversation: Conversation) -> list[bytes]:
    """The command sets of both sides, put together from their fragments."""
    found: list[bytes] = []
    open_ones: dict[str, bytes] = {}
    for pdu in conversation.pdus:
        position = 6
        while pdu.data[0] == 4 and position < len(pdu.data):
            length, _, flags = struct.unpack_from(">LBB", pdu.data, position)
            if flags & 1:
                open_ones[pdu.who] = open_ones.get(pdu.who, b"") + pdu.data[position + 6 : position + 4 + length]
                if flags & 2:
                    found.append(open_ones.pop(pdu.who))
            position += 4 + length
    return found


def test_each_implementation_and_each_kind_of_pdu_is_there() -> None:
    captions = " ".join(conversation.caption for conversation in ALL)
    assert all(name in captions for name in ("DCMTK", "pynetdicom", "Orthanc"))
    assert {pdu.data[0] for _, pdu in PDUS} == set(range(1, 8))
    names = {decode_command(command).name for conversation in ALL for command in commands(conversation)}
    assert names >= {
        *("C-ECHO-RQ", "C-ECHO-RSP", "C-STORE-RQ", "C-STORE-RSP", "C-FIND-RQ", "C-FIND-RSP", "C-CANCEL-RQ"),
        *("C-GET-RQ", "C-GET-RSP", "C-MOVE-RQ", "C-MOVE-RSP", "N-ACTION-RQ", "N-ACTION-RSP"),
        *("N-EVENT-REPORT-RQ", "N-EVENT-REPORT-RSP"),
    }


@named({1})
def test_requests(pdu: RecordedPdu) -> None:
    request = decode_request(pdu.data[6:])
    again = encode_request(request)
    assert len(again) == len(pdu.data)
    assert meaning(again) == meaning(pdu.data)
    assert decode_request(again[6:]) == request


@named({2})
def test_accepts(pdu: RecordedPdu) -> None:
    accept = decode_accept(pdu.data[6:])
    again = encode_accept(accept)
    assert meaning(again) == meaning(pdu.data)
    assert decode_accept(again[6:]) == accept


@named({3})
def test_rejections(pdu: RecordedPdu) -> None:
    reject = decode_reject(pdu.data[6:])
    assert isinstance(reject, AssociateReject)
    assert encode_reject(reject) == pdu.data


@named({7})
def test_aborts(pdu: RecordedPdu) -> None:
    abort = decode_abort(pdu.data[6:])
    assert isinstance(abort, Abort)
    assert encode_abort(abort) == pdu.data


@named({5, 6})
def test_releases(pdu: RecordedPdu) -> None:
    """Ours are the same bytes."""
    assert pdu.data == bytes((pdu.data[0], 0, 0, 0, 0, 4, 0, 0, 0, 0))


@pytest.mark.parametrize("conversation", ALL, ids=[conversation.name for conversation in ALL])
def test_command_sets(conversation: Conversation) -> None:
    """Written again they are the same bytes: order, padding, group length, data set type."""
    for raw in commands(conversation):
        command = decode_command(raw)
        assert isinstance(command, Command)
        assert DATA_SET_TYPE in command.values
        again = encode_command(command)
        assert again == raw, f"{conversation.caption}: {command.name}"


@pytest.mark.parametrize("conversation", ALL, ids=[conversation.name for conversation in ALL])
def test_data_sets_are_cut_and_put_together(conversation: Conversation) -> None:
    """The payload of each recorded data set, sent by our engine in PDUs of other sizes, arrives unchanged."""
    accepts = [pdu for pdu in conversation.pdus if pdu.data[0] == 2]
    payload = b"".join(
        pdu.data[12:] for pdu in conversation.pdus if pdu.data[0] == 4 and "data set" in pdu.caption and "+" not in pdu.caption
    )
    if not accepts or not payload:
        return
    request = decode_request(conversation.pdus[0].data[6:])
    accept = decode_accept(accepts[0].data[6:])
    requestor, acceptor = Association(Role.REQUESTOR, max_pdu=0), Association(Role.ACCEPTOR, max_pdu=0)
    _drain(acceptor, requestor.request(request))
    _drain(requestor, acceptor.accept(accept))
    context_id = next(iter(acceptor.contexts))
    command = next(raw for raw in commands(conversation) if decode_command(raw).has_data_set)
    batches = requestor.send_message(context_id, command, [memoryview(payload)])
    received = b"".join(_drain(acceptor, b"".join(map(bytes, batch))) for batch in batches)
    assert received == payload


def _drain(core: Association, data: bytes) -> bytes:
    """Feed; gives the data set bytes in it."""
    found = b""
    core.receive(data)
    while (event := core.next_event()) is not None:
        found += b"".join(getattr(event, "views", ()))
    return found
