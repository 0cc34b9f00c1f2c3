"""The state table, as data and as behaviour: every state against everything that can happen, in both roles."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from dimse.acceptance import Accept, build_accept
from dimse.association import Association
from dimse.commands import AFFECTED_CLASS, MESSAGE_ID, Command, CommandField
from dimse.errors import LocalProtocolError, RemoteProtocolError
from dimse.events import (
    Aborted,
    AssociationAccepted,
    AssociationRejectedEvent,
    AssociationRequested,
    CommandReceived,
    ConnectionEnded,
    Event,
    ReleaseConfirmed,
    ReleaseRequested,
)
from dimse.negotiation import AcceptAsProposed
from dimse.pdu import RELEASE_REPLY_BYTES, RELEASE_REQUEST_BYTES, Abort, AssociateReject, encode_abort, encode_reject
from dimse.requesting import build_request
from dimse.states import TABLE, Action, Happening, Role, State, after_collision
from dimse.uids import VERIFICATION
from tests.dimse.pair import CONTEXTS, Pair, events_of

LOCAL = {
    Happening.ASK_ASSOCIATION,
    Happening.CONNECTED,
    Happening.ACCEPTED_CONNECTION,
    Happening.ACCEPT,
    Happening.REJECT,
    Happening.SEND_DATA,
    Happening.ASK_RELEASE,
    Happening.REPLY_RELEASE,
    Happening.ABORT,
}
#: PS3.8 table 9-10: Evt -> {Sta: (action, next Sta)}. Written from the standard, not from the code.
AA8 = ("AA-8", 13)
STANDARD = {
    1: {1: ("AE-1", 4)},
    2: {4: ("AE-2", 5)},
    3: {2: ("AA-1", 13), 3: AA8, 5: ("AE-3", 6), **dict.fromkeys(range(6, 13), AA8), 13: ("AA-6", 13)},
    4: {2: ("AA-1", 13), 3: AA8, 5: ("AE-4", 1), **dict.fromkeys(range(6, 13), AA8), 13: ("AA-6", 13)},
    5: {1: ("AE-5", 2)},
    6: {2: ("AE-6", 3), 3: AA8, **dict.fromkeys(range(5, 13), AA8), 13: ("AA-7", 13)},
    7: {3: ("AE-7", 6)},
    8: {3: ("AE-8", 13)},
    9: {6: ("DT-1", 6), 8: ("AR-7", 8)},
    10: {
        2: ("AA-1", 13),
        3: AA8,
        5: AA8,
        6: ("DT-2", 6),
        7: ("AR-6", 7),
        **dict.fromkeys(range(8, 13), AA8),
        13: ("AA-6", 13),
    },
    11: {6: ("AR-1", 7)},
    12: {
        2: ("AA-1", 13),
        3: AA8,
        5: AA8,
        6: ("AR-2", 8),
        7: ("AR-8", 9),
        **dict.fromkeys(range(8, 13), AA8),
        13: ("AA-6", 13),
    },
    13: {
        2: ("AA-1", 13),
        3: AA8,
        5: AA8,
        6: AA8,
        7: ("AR-3", 1),
        8: AA8,
        9: AA8,
        10: ("AR-10", 12),
        11: ("AR-3", 1),
        12: AA8,
        13: ("AA-6", 13),
    },
    14: {8: ("AR-4", 13), 9: ("AR-9", 11), 12: ("AR-4", 13)},
    15: {3: ("AA-1", 13), 4: ("AA-2", 1), **dict.fromkeys(range(5, 13), ("AA-1", 13))},
    16: {2: ("AA-2", 1), 3: ("AA-3", 1), **dict.fromkeys(range(5, 13), ("AA-3", 1)), 13: ("AA-2", 1)},
    17: {2: ("AA-5", 1), **dict.fromkeys(range(3, 13), ("AA-4", 1)), 13: ("AR-5", 1)},
    18: {2: ("AA-2", 1), 13: ("AA-2", 1)},
    19: {2: ("AA-1", 13), 3: AA8, **dict.fromkeys(range(5, 13), AA8), 13: ("AA-7", 13)},
}
CODES = {
    "AE-1": Action.OPEN_CONNECTION,
    "AE-2": Action.SEND_REQUEST,
    "AE-3": Action.TELL_ACCEPTED,
    "AE-4": Action.TELL_REJECTED,
    "AE-5": Action.START_TIMER,
    "AE-6": Action.JUDGE_REQUEST,
    "AE-7": Action.SEND_ACCEPT,
    "AE-8": Action.SEND_REJECT,
    "DT-1": Action.SEND_DATA,
    "DT-2": Action.TELL_DATA,
    "AR-1": Action.SEND_RELEASE,
    "AR-2": Action.TELL_RELEASE,
    "AR-3": Action.TELL_RELEASED,
    "AR-4": Action.SEND_RELEASE_REPLY,
    "AR-5": Action.STOP_TIMER,
    "AR-6": Action.TELL_LATE_DATA,
    "AR-7": Action.SEND_LATE_DATA,
    "AR-8": Action.TELL_COLLISION,
    "AR-9": Action.SEND_COLLISION_REPLY,
    "AR-10": Action.TELL_COLLISION_RELEASED,
    "AA-1": Action.SEND_ABORT,
    "AA-2": Action.CLOSE,
    "AA-3": Action.TELL_ABORTED,
    "AA-4": Action.TELL_LOST,
    "AA-5": Action.STOP_TIMER_SILENTLY,
    "AA-6": Action.IGNORE,
    "AA-7": Action.SEND_ABORT_AGAIN,
    "AA-8": Action.ABORT_AND_TELL,
}


@pytest.mark.parametrize("happening", Happening)
@pytest.mark.parametrize("state", State)
def test_cell_is_that_of_the_standard(state: State, happening: Happening) -> None:
    expected = STANDARD[int(happening)].get(int(state))
    cell = TABLE.get((state, happening))
    assert (cell is None) == (expected is None)
    if cell is not None and expected is not None:
        assert cell == (CODES[expected[0]], State(expected[1]))


def test_collision_depends_on_the_role() -> None:
    assert after_collision(Role.REQUESTOR) is State.COLLISION_REQUESTOR_REPLIES
    assert after_collision(Role.ACCEPTOR) is State.COLLISION_ACCEPTOR_WAITS


@pytest.mark.parametrize("state", [s for s in State if s not in {State.IDLE, State.AWAITING_CONNECTION}])
def test_everything_from_the_network_has_a_cell(state: State) -> None:
    for happening in Happening:
        if happening not in LOCAL and happening is not Happening.TIMER_EXPIRED:
            assert (state, happening) in TABLE


# --- the same table as behaviour of `Association` ---

ECHO = Command(CommandField.C_ECHO_RQ, {AFFECTED_CLASS: VERIFICATION, MESSAGE_ID: 1})
ASKED = build_request("GANTRY", "TESTER", CONTEXTS, 16384)
REQUEST = Association(Role.REQUESTOR).request(ASKED)
REJECT = AssociateReject(1, 1, 7)


def _accept_pdu() -> bytes:
    acceptor = Association(Role.ACCEPTOR)
    events_of(acceptor, [REQUEST])
    return acceptor.accept(build_accept(ASKED, Accept(), AcceptAsProposed(), 16384))


#: What the network brings for each event.
WIRE = {
    Happening.ACCEPT_PDU: _accept_pdu(),
    Happening.REJECT_PDU: encode_reject(REJECT),
    Happening.REQUEST_PDU: REQUEST,
    Happening.DATA_PDU: Pair().requestor.send_command(1, ECHO),
    Happening.RELEASE_PDU: RELEASE_REQUEST_BYTES,
    Happening.RELEASE_REPLY_PDU: RELEASE_REPLY_BYTES,
    Happening.ABORT_PDU: encode_abort(Abort(0, 0)),
    Happening.INVALID_PDU: b"\x09\0\0\0\0\4abcd",
}
#: What our program calls for each event, and the type of PDU that goes out then.
CALLS: dict[Happening, Callable[[Association], bytes]] = {
    Happening.ASK_ASSOCIATION: lambda core: core.request(ASKED),
    Happening.ACCEPT: lambda core: core.accept(build_accept(ASKED, Accept(), AcceptAsProposed(), 16384)),
    Happening.REJECT: lambda core: core.reject(REJECT),
    Happening.SEND_DATA: lambda core: core.send_command(1, ECHO),
    Happening.ASK_RELEASE: lambda core: core.ask_release(),
    Happening.REPLY_RELEASE: lambda core: core.reply_release(),
}
SENT = {
    **dict.fromkeys(("AE-1", "AE-2"), 1),
    "AE-7": 2,
    "AE-8": 3,
    **dict.fromkeys(("DT-1", "AR-7"), 4),
    "AR-1": 5,
    **dict.fromkeys(("AR-4", "AR-9"), 6),
}
#: What our program hears.
TOLD: dict[str, type[Event] | Event] = {
    "AE-3": AssociationAccepted,
    "AE-4": AssociationRejectedEvent(REJECT),
    "AE-6": AssociationRequested,
    "DT-2": CommandReceived,
    "AR-6": CommandReceived,
    "AR-2": ReleaseRequested(),
    "AR-8": ReleaseRequested(collision=True),
    "AR-3": ReleaseConfirmed(),
    "AR-10": ReleaseConfirmed(collision=True),
    "AA-3": Aborted(0, 0),
    "AA-2": Aborted(0, 0),
}


def _requestor(number: int) -> Association:
    """A requestor in a state, brought there by what leads there."""
    core = Association(Role.REQUESTOR)
    if number == 1:
        return core
    if number == 5:
        core.request(ASKED)
        return core
    core = Pair().requestor
    if number in {7, 9, 11}:
        core.ask_release()
    if number in {8, 9, 11}:
        events_of(core, [RELEASE_REQUEST_BYTES])
    if number == 11:
        core.reply_release()
    if number == 13:
        core.abort()
    return core


def _acceptor(number: int) -> Association:
    core = Association(Role.ACCEPTOR)
    if number == 3:
        events_of(core, [REQUEST])
    if number <= 3:
        return core
    core = Pair().acceptor
    if number in {7, 10, 12}:
        core.ask_release()
    if number in {8, 10, 12}:
        events_of(core, [RELEASE_REQUEST_BYTES])
    if number == 12:
        events_of(core, [RELEASE_REPLY_BYTES])
    if number == 13:
        core.abort()
    return core


#: Sta4 is passed inside `request`: opening the connection is the driver's business.
REACHED = {Role.REQUESTOR: (1, 5, 6, 7, 8, 9, 11, 13), Role.ACCEPTOR: (2, 3, 6, 7, 8, 10, 12, 13)}
PLACES = [(role, number) for role, numbers in REACHED.items() for number in numbers]
places = pytest.mark.parametrize(("role", "number"), PLACES, ids=[f"{role.name.lower()}-Sta{n}" for role, n in PLACES])


def reach(role: Role, number: int) -> Association:
    core = _requestor(number) if role is Role.REQUESTOR else _acceptor(number)
    assert core.state == State(number)
    assert core.role is role
    assert core.artim_runs == (number in {2, 13})
    assert core.owes_release_reply == (number in {8, 9, 12})
    return core


def expected(role: Role, happening: Happening, number: int) -> tuple[str, State] | None:
    cell = STANDARD[int(happening)].get(number)
    if cell is None:
        return None
    if cell[0] == "AR-8":
        return cell[0], after_collision(role)
    if cell[0] == "AE-1":
        return cell[0], State.AWAITING_ANSWER  # `request` does AE-1 and AE-2
    return cell[0], State(cell[1])


@places
@pytest.mark.parametrize("happening", WIRE)
def test_what_the_network_brings(role: Role, number: int, happening: Happening) -> None:
    core = reach(role, number)
    cell = expected(role, happening, number)
    if number in {1, 13}:
        # AA-6; for AA-7 and AA-2 as well: the driver is closing already, a second A-ABORT would reach nobody.
        assert events_of(core, [WIRE[happening]]) == []
        assert core.state == State(number)
        return
    assert cell is not None
    action, after = cell
    if action in {"AA-1", "AA-8"}:
        with pytest.raises(RemoteProtocolError) as caught:
            events_of(core, [WIRE[happening]])
        reason = (1 if happening is Happening.INVALID_PDU else 2) if action == "AA-8" else 0
        assert caught.value.reply == encode_abort(Abort(2 if action == "AA-8" else 0, reason))
        assert core.artim_runs
    else:
        (event,) = events_of(core, [WIRE[happening]])
        told = TOLD[action]
        assert isinstance(event, told) if isinstance(told, type) else event == told
    assert core.state is after


@places
@pytest.mark.parametrize("happening", CALLS)
def test_what_our_program_asks_for(role: Role, number: int, happening: Happening) -> None:
    core = reach(role, number)
    cell = expected(role, happening, number)
    if cell is None:
        with pytest.raises(LocalProtocolError):
            CALLS[happening](core)
        assert core.state == State(number)
        return
    assert CALLS[happening](core)[0] == SENT[cell[0]]
    assert core.state is cell[1]


@places
def test_our_abort(role: Role, number: int) -> None:
    core = reach(role, number)
    cell = expected(role, Happening.ABORT, number)
    assert core.abort(2, 6) == (encode_abort(Abort(2, 6)) if cell == ("AA-1", State.AWAITING_CLOSE) else b"")
    assert core.state is State.AWAITING_CLOSE
    assert core.abort() == b""


@places
def test_the_connection_ends(role: Role, number: int) -> None:
    core = reach(role, number)
    assert core.connection_ended() == ConnectionEnded(clean=number in {1, 13})
    assert core.state is State.IDLE


@places
def test_the_timer_runs_out(role: Role, number: int) -> None:
    core = reach(role, number)
    core.timer_expired()
    assert core.state is (State.IDLE if number in {2, 13} else State(number))


def test_every_state_is_reached() -> None:
    assert {number for numbers in REACHED.values() for number in numbers} == set(map(int, State)) - {4}
