"""`Association` as acceptor: bytes of a hostile requestor."""

from __future__ import annotations

from dimse.association import Association
from dimse.messages import header
from dimse.states import Role
from fuzz.targets.conversation import ACCEPTED, ASKED, STORE, check, feed
from fuzz.targets.recorded import streams

_REQUEST = Association(Role.REQUESTOR).request(ASKED)


def seeds() -> list[bytes]:
    """Recorded requestors, from their request on and behind it."""
    found = []
    for number, stream in enumerate(streams("requestor")):
        found.append(bytes((0, number)) + stream)
        found.append(bytes((1, number)) + stream[6 + int.from_bytes(stream[2:6], "big") :])
    data = header(3, 2, 5) + b"bytes"
    return [*found, bytes((1, 9)) + header(3, 3, len(STORE)) + STORE + data, bytes((2, 3)) + data, bytes((3, 3)) + data]


def make(where: int) -> Association:
    """0 new, 1 established, 2 inside a C-STORE, 3 release asked, 4 aborting."""
    core = Association(Role.ACCEPTOR, max_pdu=16384)
    where %= 5
    if not where:
        return core
    core.receive(_REQUEST)
    core.next_event()
    core.accept(ACCEPTED)
    if where == 2:
        feed(core, [header(3, 3, len(STORE)) + STORE])
    elif where == 3:
        core.ask_release()
    elif where == 4:
        core.abort()
    return core


def one(data: bytes) -> None:
    """See `conversation.check`."""
    check(make, data)
