"""Whole recorded conversations, fed byte by byte and cut at random: always the same events."""

from __future__ import annotations

import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dimse.association import Association
from dimse.pdu import decode_accept, decode_reject, decode_request
from dimse.states import Role, State
from tests.dimse.captures import ACCEPTOR, REQUESTOR, Conversation, RecordedPdu, conversations
from tests.dimse.pair import events_of, joined

ALL = conversations()
BY_NAME = {conversation.name: conversation for conversation in ALL}
recorded = pytest.mark.parametrize("name", BY_NAME)


class Replay:
    """Both sides of a recorded conversation by our engine: what one said then, its stand-in says now."""

    def __init__(self) -> None:
        self.sides = {
            REQUESTOR: Association(Role.REQUESTOR, max_pdu=0),
            ACCEPTOR: Association(Role.ACCEPTOR, max_pdu=0),
        }
        self.heard: dict[str, list[object]] = {REQUESTOR: [], ACCEPTOR: []}

    def run(self, conversation: Conversation, chunk: random.Random | int) -> dict[str, list[object]]:
        """All events of both sides, data sets joined. `chunk`: size of the pieces, or where sizes come from."""
        for who, pdus in conversation.runs():
            other = ACCEPTOR if who == REQUESTOR else REQUESTOR
            for pdu in pdus:
                self._said(self.sides[who], pdu)
            stream = b"".join(pdu.data for pdu in pdus)
            self.heard[other] += events_of(self.sides[other], pieces(stream, chunk))
        return {side: joined(events) for side, events in self.heard.items()}  # type: ignore[arg-type]

    def _said(self, core: Association, pdu: RecordedPdu) -> None:
        """Bring the core that stands for the speaker to where the speaker was."""
        kind, body = pdu.data[0], pdu.data[6:]
        if kind == 1:
            core.request(decode_request(body))
        elif kind == 2:
            core.accept(decode_accept(body))
        elif kind == 3:
            core.reject(decode_reject(body))
        elif kind == 5:
            core.ask_release()
        elif kind == 6:
            core.reply_release()
        elif kind == 7:
            core.abort()


def pieces(stream: bytes, chunk: random.Random | int) -> list[bytes]:
    found, position = [], 0
    while position < len(stream):
        size = chunk if isinstance(chunk, int) else chunk.choice((1, 2, 5, 6, 7, 12, chunk.randint(1, 5000)))
        found.append(stream[position : position + size])
        position += size
    return found


def whole(name: str) -> dict[str, list[object]]:
    return Replay().run(BY_NAME[name], 1 << 30)


@recorded
def test_a_recorded_conversation_is_understood_to_its_end(name: str) -> None:
    conversation, replay = BY_NAME[name], Replay()
    heard = replay.run(conversation, 1 << 30)
    assert heard[ACCEPTOR], conversation.caption
    ends = {core.state for core in replay.sides.values()}
    assert ends <= {State.IDLE, State.AWAITING_CLOSE}, conversation.caption
    assert not any(core.in_message for core in replay.sides.values())
    if any(pdu.data[0] == 2 for pdu in conversation.pdus):
        assert replay.sides[REQUESTOR].contexts == replay.sides[ACCEPTOR].contexts


@recorded
@pytest.mark.parametrize("size", [1, 7])
def test_small_pieces_give_the_same_events(name: str, size: int) -> None:
    assert Replay().run(BY_NAME[name], size) == whole(name)


@settings(max_examples=60, deadline=None)
@given(st.sampled_from(sorted(BY_NAME)), st.randoms(use_true_random=False))
def test_random_pieces_give_the_same_events(name: str, source: random.Random) -> None:
    assert Replay().run(BY_NAME[name], source) == whole(name)


@recorded
def test_an_end_anywhere_is_no_success(name: str) -> None:
    """A conversation that stops before its last PDU leaves neither side thinking it has ended in order."""
    conversation = BY_NAME[name]
    last = conversation.pdus[-1]
    for keep in {0, 1, 5, len(last.data) // 2, len(last.data) - 1}:
        cut = Conversation(name, "", (*conversation.pdus[:-1], RecordedPdu(last.who, "", last.data[:keep])))
        replay = Replay()
        for who, pdus in cut.runs():
            other = ACCEPTOR if who == REQUESTOR else REQUESTOR
            for pdu in pdus:
                if pdu.data and pdu is not cut.pdus[-1]:
                    replay._said(replay.sides[who], pdu)
            events_of(replay.sides[other], [b"".join(pdu.data for pdu in pdus)])
        listener = replay.sides[ACCEPTOR if last.who == REQUESTOR else REQUESTOR]
        assert listener.state not in {State.IDLE, State.AWAITING_CLOSE}
        assert not listener.connection_ended().clean
