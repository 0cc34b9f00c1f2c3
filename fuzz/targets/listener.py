"""What a requestor makes of a hostile acceptor's messages: answers, sub-operations of a C-GET, event reports."""

from __future__ import annotations

from dimse.association import Association
from dimse.commands import CommandField
from dimse.errors import AssociationFailure, RemoteProtocolError
from dimse.pdu import encode_accept
from dimse.requesting import MAX_REPORTS, Listener
from dimse.states import Role
from fuzz.targets.conversation import ACCEPTED, ASKED, pieces
from fuzz.targets.recorded import streams

_ACCEPT = encode_accept(ACCEPTED)
_QUESTIONS = (
    CommandField.C_ECHO_RSP,
    CommandField.C_FIND_RSP,
    CommandField.C_GET_RSP,
    CommandField.C_STORE_RSP,
    CommandField.N_ACTION_RSP,
)


def seeds() -> list[bytes]:
    """Recorded acceptors, behind their answer, under each question."""
    tails = [stream[6 + int.from_bytes(stream[2:6], "big") :] for stream in streams("acceptor")]
    return [bytes((question | 0x60, 3)) + tail for tail in tails for question in range(len(_QUESTIONS))]


def one(data: bytes) -> None:
    """The first byte: the question, and what is taken: bit 5 stores, bit 6 reports."""
    if len(data) < 2:
        return
    core = Association(Role.REQUESTOR, max_pdu=16384)
    core.request(ASKED)
    core.receive(_ACCEPT)
    core.next_event()
    listener = Listener(core)
    listener.expect(1, _QUESTIONS[(data[0] & 0x1F) % len(_QUESTIONS)])
    listener.takes_stores, listener.takes_reports = bool(data[0] & 0x20), bool(data[0] & 0x40)
    try:
        for chunk in pieces(data[2:], data[1]):
            for step in listener.listen(memoryview(chunk)):
                assert step
    except (RemoteProtocolError, AssociationFailure):
        return
    assert len(listener.reports) <= MAX_REPORTS
    assert sum(len(raw) for _, raw in listener.answers) <= len(data)
