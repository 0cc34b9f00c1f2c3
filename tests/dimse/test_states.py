"""The state table: every state against everything that can happen, in both roles."""

from __future__ import annotations

import pytest

from dimse.states import TABLE, Action, Happening, Role, State, after_collision

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
