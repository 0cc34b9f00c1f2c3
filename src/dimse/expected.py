"""Which PDU may come next, by its header alone (PS3.8 tables 9-10 and 9-26)."""

from __future__ import annotations

from collections.abc import Callable

from dimse import pdu as pdus
from dimse.events import Event, ReleaseConfirmed, ReleaseRequested
from dimse.pdu import MAX_ASSOCIATE_BODY, P_DATA_TF
from dimse.states import TABLE, Action, Happening, State

HAPPENINGS = {
    pdus.ASSOCIATE_RQ: Happening.REQUEST_PDU,
    pdus.ASSOCIATE_AC: Happening.ACCEPT_PDU,
    pdus.ASSOCIATE_RJ: Happening.REJECT_PDU,
    P_DATA_TF: Happening.DATA_PDU,
    pdus.RELEASE_RQ: Happening.RELEASE_PDU,
    pdus.RELEASE_RP: Happening.RELEASE_REPLY_PDU,
    pdus.ABORT: Happening.ABORT_PDU,
}
#: Abort reasons (PS3.8 table 9-26).
UNRECOGNISED, UNEXPECTED, INVALID = 1, 2, 6
_WRONG = frozenset({Action.ABORT_AND_TELL, Action.SEND_ABORT, Action.SEND_ABORT_AGAIN})
#: What is told of a release, by the action that the table names.
RELEASE_EVENTS: dict[Action, Callable[[], Event]] = {
    Action.TELL_RELEASE: ReleaseRequested,
    Action.TELL_COLLISION: lambda: ReleaseRequested(collision=True),
    Action.TELL_RELEASED: ReleaseConfirmed,
    Action.TELL_COLLISION_RELEASED: lambda: ReleaseConfirmed(collision=True),
}


def objection(state: State, kind: int, length: int, max_pdu: int) -> tuple[str, int] | None:
    """Why a PDU with this type and length may not come now, with the reason of the abort; None: it may. `max_pdu` is what
    we announced for P-DATA-TF, 0 = without limit."""
    happening = HAPPENINGS.get(kind)
    if happening is None:
        return f"unknown PDU type {kind:02X}", UNRECOGNISED
    cell = TABLE.get((state, happening))
    if cell is None or cell[0] in _WRONG:
        return f"{happening.name} while {state.name}", UNEXPECTED
    if kind == P_DATA_TF:
        if max_pdu and length > max_pdu:
            return f"P-DATA-TF of {length} bytes, {max_pdu} were announced", INVALID
    elif length > MAX_ASSOCIATE_BODY or (kind not in {pdus.ASSOCIATE_RQ, pdus.ASSOCIATE_AC} and length != 4):
        return f"PDU type {kind:02X} with a length of {length} bytes", INVALID
    return None
