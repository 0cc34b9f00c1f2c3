"""Both roles of `Association`, brought into a state and fed in pieces; what the two targets share."""

from __future__ import annotations

from dimse.acceptance import Accept, StoreAnswer, build_accept, response_to
from dimse.association import Association
from dimse.errors import LocalProtocolError, RemoteProtocolError
from dimse.events import AssociationRequested, CommandReceived, DataFragment, Event
from dimse.negotiation import AcceptAsProposed, ContextProposal
from dimse.requesting import build_request, encode_store
from dimse.states import State
from dimse.uids import CT_IMAGE_STORAGE, EXPLICIT_VR_LITTLE_ENDIAN, VERIFICATION

PROPOSALS = (ContextProposal(VERIFICATION), ContextProposal(CT_IMAGE_STORAGE, (EXPLICIT_VR_LITTLE_ENDIAN,)))
ASKED = build_request("GANTRY", "FUZZ", PROPOSALS, 16384)
ACCEPTED = build_accept(ASKED, Accept(), AcceptAsProposed(), 16384)
STORE = encode_store(1, CT_IMAGE_STORAGE, "1.2.3", 0, None)


def pieces(data: bytes, seed: int) -> list[bytes]:
    """Cut by a small generator: the same seed cuts the same way. Seed 0: one piece."""
    if not seed:
        return [data]
    found, position = [], 0
    while position < len(data):
        seed = (seed * 1103515245 + 12345) & 0x7FFFFFFF
        size = (seed >> 8) % 23 + 1
        found.append(data[position : position + size])
        position += size
    return found


def feed(core: Association, chunks: list[bytes]) -> list[object]:
    """What came out: events with data sets joined, and the text of the error, if one ended it. Answers are made
    as a driver would."""
    told: list[object] = []
    data, reply = b"", None
    try:
        for chunk in chunks:
            core.receive(chunk)
            while (event := core.next_event()) is not None:
                if isinstance(event, DataFragment):
                    data += b"".join(event.views)
                    if event.last:
                        told.append((event.context_id, data))
                        data = b""
                    continue
                told.append(event)
                _react(core, event)
    except RemoteProtocolError as error:
        data = b""  # how much of an unfinished data set was seen before an error depends on the cuts
        told.append(str(error))
        reply = error.reply
    if reply is not None:
        assert reply[:1] in {b"", b"\x07"}
        assert core.state in {State.AWAITING_CLOSE, State.IDLE}
    assert len(core._carry) <= (1 << 20)
    assert len(core._command) <= 65536
    if data:
        told.append(data)
    return told


def _react(core: Association, event: Event) -> None:
    if isinstance(event, AssociationRequested):
        core.accept(build_accept(event.request, Accept(), AcceptAsProposed(), 16384))
    elif isinstance(event, CommandReceived) and core.state is State.ESTABLISHED:
        if not event.command.is_response:
            core.send_command(event.context_id, response_to(event.command, StoreAnswer()))
    elif core.owes_release_reply:
        core.reply_release()


def check(make: object, data: bytes) -> None:
    """The first byte is the state to begin in, the second how to cut. However cut: the same is told."""
    assert callable(make)
    if len(data) < 2:
        return
    where, seed, stream = data[0], data[1], data[2:]
    whole = feed(make(where), [stream])
    if seed:
        core = make(where)
        assert feed(core, pieces(stream, seed)) == whole
        try:
            core.abort()
        except LocalProtocolError:
            assert core.state is State.IDLE
