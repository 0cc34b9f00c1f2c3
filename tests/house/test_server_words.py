"""What the server says to people has a code and a German sentence; the codes are read from its sources, not typed."""

from __future__ import annotations

import ast
import json
import re
from pathlib import Path

import pytest
from tools import server_words

ROOT = Path(__file__).parents[2]
LOCALES = ROOT / "web" / "src" / "locales"
NEW = "run `python tools/server_words.py`, then write the German of what is new into web/src/locales/de/server.json"


@pytest.fixture(scope="module")
def sources() -> dict[str, list[str]]:
    return server_words.of_sources()


def test_the_table_is_what_the_sources_say(sources: dict[str, list[str]]) -> None:
    kept = {room: sorted(codes.values()) for room, codes in server_words.read().items()}
    said = {room: sorted(sentences) for room, sentences in sources.items()}
    fresh = [(room, one) for room in said for one in said[room] if one not in kept.get(room, [])]
    gone = [(room, one) for room in kept for one in kept[room] if one not in said.get(room, [])]
    assert (fresh, gone) == ([], []), NEW


def test_every_code_has_its_german() -> None:
    german = json.loads((LOCALES / "de" / "server.json").read_text(encoding="utf-8"))
    english = server_words.read()
    assert {room: sorted(codes) for room, codes in german.items()} == {room: sorted(codes) for room, codes in english.items()}, (
        NEW
    )
    for room, codes in english.items():
        for code, sentence in codes.items():
            assert set(re.findall(r"\{\d+\}", german[room][code])) <= set(re.findall(r"\{\d+\}", sentence)), (room, code)


def test_the_tables_of_the_server_are_among_them(sources: dict[str, list[str]]) -> None:
    """What other tables of the server hold is found by the reading of its sources: nothing of them is left out."""
    from dimse import explain
    from gantry.accounts.errors import RequestRefused
    from gantry.main import errors_api

    known = {sentence for sentences in sources.values() for sentence in sentences}
    tables = [explain.REJECTIONS, explain.ABORTS, explain.CONTEXTS, explain.NETWORK, explain.STATUSES, explain.COMMITMENT]
    words = {text for table in tables for row in table.values() for text in row[:2]}
    words |= {text for _, message, remedy in errors_api._BY_STATUS.values() for text in (message, remedy) if " " in text}
    words |= {remedy for _, _, _, remedy in errors_api._room_errors()}
    kinds = [RequestRefused]
    while kinds:
        kind = kinds.pop()
        kinds += kind.__subclasses__()
        if kind is not RequestRefused and kind.__module__.startswith("gantry."):
            words |= {(kind.__doc__ or "").strip(), kind.remedy}
    missing = {
        one
        for one in (server_words.numbered(re.sub(r"\{[a-z_]*\}", "{}", text)) for text in words if " " in text)
        if one not in known
    }
    assert missing == set()


def test_a_code_stays_with_its_sentence() -> None:
    before = {"nodes": {"gone": "the node {0} is not there any more", "old": "quite another sentence"}}
    table = server_words.coded({"nodes": ["the node {0} is not there anymore", "a new sentence of {0}"]}, before)
    assert table == {"nodes": {"gone": "the node {0} is not there anymore", "a_new_sentence_of": "a new sentence of {0}"}}


def test_sentences_are_read_whole() -> None:
    module = '''
_LOG = "look at the log"

class Missing(NotFound):
    """There is no such thing here."""
    remedy = "Look elsewhere for it."

def one(name, count):
    """Not a sentence for people."""
    log.warning("nor is this one")
    if count:
        raise Refused(f"{name!r} has {count} " f"pieces: {_LOG}"[:80], remedy="Take fewer" if count > 2 else "Take none of them")
    raise BadThing("wrong " + name + " was given")
'''
    found = list(server_words.Sentences(ast.parse(module), whole=False).found)
    assert found == [
        "There is no such thing here.", "Look elsewhere for it.", "{0} has {1} pieces: look at the log", "Take fewer",
        "Take none of them", "wrong {0} was given",
    ]  # fmt: skip
