"""The written and the stored form of conditions, and what is refused."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gantry.routing.conditions import Condition, from_json, parse
from gantry.routing.errors import BadCondition


@pytest.mark.parametrize(
    ("text", "operator", "values"),
    [
        ("Modality=CT", "equals", ("CT",)),
        (" Modality = CT ", "equals", ("CT",)),
        ("Modality=CT,MR, PT", "in", ("CT", "MR", "PT")),
        ("CallingAET=CT*", "wildcard", ("CT*",)),
        ("CallingAET=CT*,MR?", "wildcard", ("CT*", "MR?")),
        ("StudyDate=20240101-20241231", "range", ("20240101", "20241231")),
        ("StudyDate=20240101-", "range", ("20240101", "")),
        ("StudyDate=-20241231", "range", ("", "20241231")),
        ("StudyDate=2024..202406", "range", ("2024", "202406")),
        ("StudyDate=20240101", "equals", ("20240101",)),
        ("StudyTime=0800-1200", "range", ("0800", "1200")),
        ("StudyTime=080000.5..120000", "range", ("080000.5", "120000")),
        ("Rows=1-512", "range", ("1", "512")),
        ("Rows=512..", "range", ("512", "")),
        ("Rows=..512", "range", ("", "512")),
        ("InstanceNumber=-5", "equals", ("-5",)),
        ("InstanceNumber=-5--1", "range", ("-5", "-1")),
        ("InstanceNumber=-5..-1", "range", ("-5", "-1")),
        (r"PatientID~^PB\d+$", "regex", (r"^PB\d+$",)),
        ("AccessionNumber=", "equals", ("",)),
        ("AccessionNumber=A-1", "equals", ("A-1",)),
        ("StudyDescription=a=b", "equals", ("a=b",)),
    ],
)
def test_written_form(text: str, operator: str, values: tuple[str, ...]) -> None:
    condition = parse(text)
    assert (condition.operator, condition.values) == (operator, values)
    assert from_json(condition.to_json()) == condition
    assert parse(str(condition)) == condition


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("Modalty=CT", "did you mean Modality"),
        ("callingaet=CT", "did you mean CallingAET"),
        ("Zzzzzzzz=1", "gantry rule keywords"),
        ("PixelData=1", "no keyword"),
        ("", "no condition"),
        ("Modality", "no condition"),
        ("Modality!=CT", "'!=' is not known"),
        ("Modality>CT", "no condition"),
        ("PatientID~(", "no regular expression"),
        ("StudyDate=20241231-20240101", "begins after its end"),
        ("Rows=10-2", "begins after its end"),
        ("StudyDate=1-2", "not like 20241231"),
        ("StudyDate=..", "at least one end"),
        ("PatientID~" + "a" * 501, "500 characters"),
    ],
)
def test_refused_with_a_reason(text: str, message: str) -> None:
    with pytest.raises(BadCondition, match=message):
        parse(text)


@pytest.mark.parametrize(
    "data",
    [
        None,
        [],
        {},
        {"keyword": "Modality", "operator": "equals"},
        {"keyword": "Modality", "operator": "eval", "value": "1"},
        {"keyword": "Modality", "operator": "equals", "value": 3},
        {"keyword": "Modality", "operator": "equals", "value": ["a", "b"]},
        {"keyword": "Modality", "operator": "in", "value": [1]},
        {"keyword": "Modality", "operator": "in", "value": []},
        {"keyword": "Modality", "operator": "range", "value": ["A", "B"]},
        {"keyword": ["x"], "operator": "equals", "value": "a"},
        {"keyword": "Modality", "operator": ["equals"], "value": "a"},
        {"keyword": "Modality", "operator": "equals", "value": "a", "more": 1},
    ],
)
def test_stored_form_is_checked(data: object) -> None:
    with pytest.raises(BadCondition):
        from_json(data)


@given(st.text(max_size=200))
def test_any_text_gives_a_condition_or_the_named_error(text: str) -> None:
    try:
        condition = parse(text)
    except BadCondition:
        return
    assert isinstance(condition, Condition)
    assert from_json(condition.to_json()) == condition
