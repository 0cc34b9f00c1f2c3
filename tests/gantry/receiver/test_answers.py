"""Answers that are put together from bytes are the same as those that the encoder makes, and give way to it elsewhere."""

from __future__ import annotations

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dimse.identifier import Identifier
from dimse.uids import EXPLICIT_VR_LITTLE_ENDIAN, IMPLICIT_VR_LITTLE_ENDIAN
from gantry.catalogue.attributes import attributes
from gantry.catalogue.query import Page, Query
from gantry.receiver.answers import Answers, Question

KEYS = ("PatientName", "PatientID", "StudyInstanceUID", "StudyDescription", "ModalitiesInStudy", "NumberOfStudyRelatedSeries")
SHOWN = [attributes()[keyword] for keyword in KEYS]
QUESTION = Question(Query("STUDY", "STUDY", dict.fromkeys(KEYS, "")), True, "", availability=True)
# Lengths on both sides of what is prepared, odd and even.
_text = st.text("AZaz09^ -.", max_size=8) | st.integers(60, 70).map("x".__mul__) | st.integers(250, 300).map("y".__mul__)
_texts = st.none() | _text.map(str.encode)
_lists = st.none() | st.lists(st.sampled_from(["CT", "MR", "US", "OT", "X" * 16]), max_size=4).map(json.dumps).map(str.encode)


@given(st.tuples(_texts, _texts, _texts, _texts, _lists, st.integers(0, 10**6).map(lambda n: str(n).encode())))
@settings(max_examples=200, deadline=None)
@pytest.mark.parametrize("syntax", [IMPLICIT_VR_LITTLE_ENDIAN, EXPLICIT_VR_LITTLE_ENDIAN])
def test_put_together_and_encoded_are_the_same(syntax: str, row: tuple[bytes | None, ...]) -> None:
    answers = Answers(QUESTION, "GANTRY", syntax)
    page = Page([row, row], SHOWN, last=True)
    first, second = (match.identifier for match in answers.matches(page))
    assert first == second
    assert first == answers._thorough(page, row)


@pytest.mark.parametrize("column", [0, 4])
@pytest.mark.parametrize("escaped", [True, False])
def test_what_is_not_ascii_is_encoded(column: int, escaped: bool) -> None:
    """Also when JSON has it escaped."""
    row: list[bytes | None] = [b"Doe^John", b"P1", b"1.2", b"", b'["CT"]', b"1"]
    row[column] = "Müller".encode() if column == 0 else json.dumps(["M\u00fc"], ensure_ascii=escaped).encode()
    (match,) = Answers(QUESTION, "GANTRY", EXPLICIT_VR_LITTLE_ENDIAN).matches(Page([row], SHOWN, last=True))
    found = Identifier.parse(match.identifier, EXPLICIT_VR_LITTLE_ENDIAN)
    assert found.text("SpecificCharacterSet") == "ISO_IR 192"
    assert "ü" in (found.text("PatientName") + "".join(found.texts("ModalitiesInStudy")))


@pytest.mark.parametrize(("last", "more"), [(True, [True, True, True]), (False, [True, True, False])])
def test_only_the_last_answer_before_the_database_is_waited_for_goes_alone(last: bool, more: list[bool]) -> None:
    row: list[bytes | None] = [b"Doe^John", b"P1", b"1.2", b"", b'["CT"]', b"1"]
    matches = Answers(QUESTION, "GANTRY", IMPLICIT_VR_LITTLE_ENDIAN).matches(Page([row] * 3, SHOWN, last=last))
    assert [match.more for match in matches] == more
