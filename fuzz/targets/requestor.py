"""`Association` as requestor: bytes of a hostile acceptor."""

from __future__ import annotations

from dimse.association import Association
from dimse.pdu import encode_accept
from dimse.states import Role
from fuzz.targets.conversation import ACCEPTED, ASKED, check
from fuzz.targets.recorded import streams

_ACCEPT = encode_accept(ACCEPTED)


def seeds() -> list[bytes]:
    """Recorded acceptors, from their answer on and behind it."""
    found = []
    for number, stream in enumerate(streams("acceptor")):
        found.append(bytes((0, number)) + stream)
        found.append(bytes((1, number)) + stream[6 + int.from_bytes(stream[2:6], "big") :])
    return [*found, bytes((0, 5)) + _ACCEPT]


def make(where: int) -> Association:
    """0 asked, 1 established, 2 release asked, 3 idle."""
    core = Association(Role.REQUESTOR, max_pdu=16384)
    where %= 4
    if where == 3:
        return core
    core.request(ASKED)
    if not where:
        return core
    core.receive(_ACCEPT)
    core.next_event()
    if where == 2:
        core.ask_release()
    return core


def one(data: bytes) -> None:
    """See `conversation.check`."""
    check(make, data)
