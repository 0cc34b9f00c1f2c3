"""The state machine of an association: one table (PS3.8 section 9.2, tables 9-6 to 9-10).

Pure data. `TABLE[state, happening]` is `(action, next state)`. What is not in the table cannot come from the
network; asking for it is a `LocalProtocolError`. One cell depends on who asked for the association: two
release requests that crossed (AR-8), see `after_collision`.
"""

from __future__ import annotations

from enum import IntEnum


class Role(IntEnum):
    """Who asked for the association."""

    REQUESTOR = 1
    ACCEPTOR = 2


class State(IntEnum):
    """States of PS3.8 section 9.2.1, by number of the standard."""

    IDLE = 1  # Sta1
    AWAITING_REQUEST = 2  # Sta2: connection open, no A-ASSOCIATE-RQ yet
    AWAITING_DECISION = 3  # Sta3: our side has to accept or reject
    AWAITING_CONNECTION = 4  # Sta4: TCP connection is being opened
    AWAITING_ANSWER = 5  # Sta5: A-ASSOCIATE-RQ sent
    ESTABLISHED = 6  # Sta6
    AWAITING_RELEASE_REPLY = 7  # Sta7: A-RELEASE-RQ sent
    RELEASE_REQUESTED = 8  # Sta8: the peer asked for release, our side has to answer
    COLLISION_REQUESTOR_REPLIES = 9  # Sta9
    COLLISION_ACCEPTOR_WAITS = 10  # Sta10
    COLLISION_REQUESTOR_WAITS = 11  # Sta11
    COLLISION_ACCEPTOR_REPLIES = 12  # Sta12
    AWAITING_CLOSE = 13  # Sta13: nothing counts any more but the end of the connection


class Happening(IntEnum):
    """Events of PS3.8 section 9.2.2, by number of the standard."""

    ASK_ASSOCIATION = 1  # Evt1: our program wants an association
    CONNECTED = 2  # Evt2: TCP connection confirmed (requestor)
    ACCEPT_PDU = 3  # Evt3: A-ASSOCIATE-AC received
    REJECT_PDU = 4  # Evt4: A-ASSOCIATE-RJ received
    ACCEPTED_CONNECTION = 5  # Evt5: TCP connection came in (acceptor)
    REQUEST_PDU = 6  # Evt6: A-ASSOCIATE-RQ received
    ACCEPT = 7  # Evt7: our program accepts
    REJECT = 8  # Evt8: our program rejects
    SEND_DATA = 9  # Evt9
    DATA_PDU = 10  # Evt10: P-DATA-TF received
    ASK_RELEASE = 11  # Evt11
    RELEASE_PDU = 12  # Evt12: A-RELEASE-RQ received
    RELEASE_REPLY_PDU = 13  # Evt13: A-RELEASE-RP received
    REPLY_RELEASE = 14  # Evt14
    ABORT = 15  # Evt15: our program aborts
    ABORT_PDU = 16  # Evt16: A-ABORT received
    CLOSED = 17  # Evt17: the TCP connection ended
    TIMER_EXPIRED = 18  # Evt18: ARTIM
    INVALID_PDU = 19  # Evt19: unknown or damaged PDU


class Action(IntEnum):
    """Actions of PS3.8 tables 9-6 to 9-9; the name says the essence, the comment the standard's code."""

    OPEN_CONNECTION = 1  # AE-1
    SEND_REQUEST = 2  # AE-2
    TELL_ACCEPTED = 3  # AE-3
    TELL_REJECTED = 4  # AE-4: and close
    START_TIMER = 5  # AE-5: acceptor, new connection
    JUDGE_REQUEST = 6  # AE-6: stop ARTIM; tell our program, or reject at once
    SEND_ACCEPT = 7  # AE-7
    SEND_REJECT = 8  # AE-8: and start ARTIM
    SEND_DATA = 11  # DT-1
    TELL_DATA = 12  # DT-2
    SEND_RELEASE = 21  # AR-1
    TELL_RELEASE = 22  # AR-2
    TELL_RELEASED = 23  # AR-3: and close
    SEND_RELEASE_REPLY = 24  # AR-4: and start ARTIM
    STOP_TIMER = 25  # AR-5
    TELL_LATE_DATA = 26  # AR-6
    SEND_LATE_DATA = 27  # AR-7
    TELL_COLLISION = 28  # AR-8
    SEND_COLLISION_REPLY = 29  # AR-9
    TELL_COLLISION_RELEASED = 30  # AR-10
    SEND_ABORT = 41  # AA-1: and start ARTIM
    CLOSE = 42  # AA-2: stop ARTIM, close
    TELL_ABORTED = 43  # AA-3: and close
    TELL_LOST = 44  # AA-4
    STOP_TIMER_SILENTLY = 45  # AA-5
    IGNORE = 46  # AA-6
    SEND_ABORT_AGAIN = 47  # AA-7
    ABORT_AND_TELL = 48  # AA-8: the peer broke the protocol


S, H, A = State, Happening, Action
_NETWORK_PDUS = (
    H.ACCEPT_PDU,
    H.REJECT_PDU,
    H.REQUEST_PDU,
    H.DATA_PDU,
    H.RELEASE_PDU,
    H.RELEASE_REPLY_PDU,
    H.INVALID_PDU,
)
#: States in which an association exists or is about to.
_LIVE = (
    S.AWAITING_DECISION,
    S.AWAITING_ANSWER,
    S.ESTABLISHED,
    S.AWAITING_RELEASE_REPLY,
    S.RELEASE_REQUESTED,
    S.COLLISION_REQUESTOR_REPLIES,
    S.COLLISION_ACCEPTOR_WAITS,
    S.COLLISION_REQUESTOR_WAITS,
    S.COLLISION_ACCEPTOR_REPLIES,
)
Cell = tuple[Action, State]


def _general() -> dict[tuple[State, Happening], Cell]:
    """Table 9-10 where whole rows are alike: wrong PDUs, aborts, lost connections."""
    table: dict[tuple[State, Happening], Cell] = {}
    for state in _LIVE:
        for happening in _NETWORK_PDUS:
            table[state, happening] = (A.ABORT_AND_TELL, S.AWAITING_CLOSE)
        table[state, H.ABORT] = (A.SEND_ABORT, S.AWAITING_CLOSE)
        table[state, H.ABORT_PDU] = (A.TELL_ABORTED, S.IDLE)
        table[state, H.CLOSED] = (A.TELL_LOST, S.IDLE)
    for happening in _NETWORK_PDUS:
        table[S.AWAITING_REQUEST, happening] = (A.SEND_ABORT, S.AWAITING_CLOSE)
        table[S.AWAITING_CLOSE, happening] = (A.IGNORE, S.AWAITING_CLOSE)
    table[S.AWAITING_REQUEST, H.ABORT_PDU] = (A.CLOSE, S.IDLE)
    table[S.AWAITING_REQUEST, H.CLOSED] = (A.STOP_TIMER_SILENTLY, S.IDLE)
    table[S.AWAITING_REQUEST, H.TIMER_EXPIRED] = (A.CLOSE, S.IDLE)
    table[S.AWAITING_CONNECTION, H.CLOSED] = (A.TELL_LOST, S.IDLE)
    table[S.AWAITING_CONNECTION, H.ABORT] = (A.CLOSE, S.IDLE)
    table[S.AWAITING_CLOSE, H.REQUEST_PDU] = (A.SEND_ABORT_AGAIN, S.AWAITING_CLOSE)
    table[S.AWAITING_CLOSE, H.INVALID_PDU] = (A.SEND_ABORT_AGAIN, S.AWAITING_CLOSE)
    table[S.AWAITING_CLOSE, H.ABORT_PDU] = (A.CLOSE, S.IDLE)
    table[S.AWAITING_CLOSE, H.CLOSED] = (A.STOP_TIMER, S.IDLE)
    table[S.AWAITING_CLOSE, H.TIMER_EXPIRED] = (A.CLOSE, S.IDLE)
    return table


#: What happens where (PS3.8 table 9-10).
TABLE: dict[tuple[State, Happening], Cell] = _general() | {
    (S.IDLE, H.ASK_ASSOCIATION): (A.OPEN_CONNECTION, S.AWAITING_CONNECTION),
    (S.IDLE, H.ACCEPTED_CONNECTION): (A.START_TIMER, S.AWAITING_REQUEST),
    (S.AWAITING_CONNECTION, H.CONNECTED): (A.SEND_REQUEST, S.AWAITING_ANSWER),
    (S.AWAITING_REQUEST, H.REQUEST_PDU): (A.JUDGE_REQUEST, S.AWAITING_DECISION),
    (S.AWAITING_DECISION, H.ACCEPT): (A.SEND_ACCEPT, S.ESTABLISHED),
    (S.AWAITING_DECISION, H.REJECT): (A.SEND_REJECT, S.AWAITING_CLOSE),
    (S.AWAITING_ANSWER, H.ACCEPT_PDU): (A.TELL_ACCEPTED, S.ESTABLISHED),
    (S.AWAITING_ANSWER, H.REJECT_PDU): (A.TELL_REJECTED, S.IDLE),
    (S.ESTABLISHED, H.SEND_DATA): (A.SEND_DATA, S.ESTABLISHED),
    (S.ESTABLISHED, H.DATA_PDU): (A.TELL_DATA, S.ESTABLISHED),
    (S.ESTABLISHED, H.ASK_RELEASE): (A.SEND_RELEASE, S.AWAITING_RELEASE_REPLY),
    (S.ESTABLISHED, H.RELEASE_PDU): (A.TELL_RELEASE, S.RELEASE_REQUESTED),
    (S.AWAITING_RELEASE_REPLY, H.DATA_PDU): (A.TELL_LATE_DATA, S.AWAITING_RELEASE_REPLY),
    (S.AWAITING_RELEASE_REPLY, H.RELEASE_PDU): (A.TELL_COLLISION, S.COLLISION_REQUESTOR_REPLIES),
    (S.AWAITING_RELEASE_REPLY, H.RELEASE_REPLY_PDU): (A.TELL_RELEASED, S.IDLE),
    (S.RELEASE_REQUESTED, H.SEND_DATA): (A.SEND_LATE_DATA, S.RELEASE_REQUESTED),
    (S.RELEASE_REQUESTED, H.REPLY_RELEASE): (A.SEND_RELEASE_REPLY, S.AWAITING_CLOSE),
    (S.COLLISION_REQUESTOR_REPLIES, H.REPLY_RELEASE): (A.SEND_COLLISION_REPLY, S.COLLISION_REQUESTOR_WAITS),
    (S.COLLISION_ACCEPTOR_WAITS, H.RELEASE_REPLY_PDU): (
        A.TELL_COLLISION_RELEASED,
        S.COLLISION_ACCEPTOR_REPLIES,
    ),
    (S.COLLISION_REQUESTOR_WAITS, H.RELEASE_REPLY_PDU): (A.TELL_RELEASED, S.IDLE),
    (S.COLLISION_ACCEPTOR_REPLIES, H.REPLY_RELEASE): (A.SEND_RELEASE_REPLY, S.AWAITING_CLOSE),
}


def after_collision(role: Role) -> State:
    """The state after two crossing release requests (AR-8): the one cell that depends on the role."""
    return S.COLLISION_REQUESTOR_REPLIES if role is Role.REQUESTOR else S.COLLISION_ACCEPTOR_WAITS
