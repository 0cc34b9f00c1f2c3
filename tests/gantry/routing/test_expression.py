"""Conditions joined by and, or, not: read, written, stored, decided; what is wrong is told with its place."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gantry.routing.compiled import Decider
from gantry.routing.conditions import Condition
from gantry.routing.decide import LoadedRule, decide, explain, held_conditions
from gantry.routing.errors import BadCondition
from gantry.routing.evaluation import moment_values
from gantry.routing.expression import Every, Expression, Not, Some, parse_expression, read, written

VALUES: dict[str, str | list[str]] = {
    "Modality": "CT", "StationName": "X1", "StudyDescription": "Head and (Neck)", "RemoteAddress": "::ffff:10.1.2.3",
    "NumberOfStudyRelatedInstances": "120", "ModalitiesInStudy": ["CT", "SR"], "Rows": "512", "time": "sat 02:30", "weekday": "sat",
}  # fmt: skip


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Modality=CT and not (StationName=Y* or time 22:00-06:00)", False),
        ("Modality=CT and not (StationName=Y* or time 08:00-17:00)", True),
        ("Modality=MR or Modality=CT and Rows=512", True),
        ("(Modality=MR or Modality=CT) and Rows=256", False),
        ("not not Modality=CT", True),
        ("NOT Modality=MR AND Rows=512", True),
        ("Modality!=CT", False),
        ("Modality!~^M", True),
        ('StudyDescription="Head and (Neck)"', True),
        ("StudyDescription=Head* and Rows=512", True),
        ("StudyDescription~^Head(?! or)", True),
        ("address 10.0.0.0/8", True),
        ("RemoteAddress=192.168.0.0/16,10.1.2.3/32", True),
        ("RemoteAddress=2001:db8::/32", False),
        ("weekday sat,sun", True),
        ("weekday mon-fri", False),
        ("weekday fri-sun", True),
        ("time fri 22:00-06:00", True),  # the window that began on Friday
        ("time sat 22:00-06:00", False),
        ("time sat 00:00-24:00", True),
        ("time 02:30-02:31", True),
        ("time 02:00-02:30", False),
        ("NumberOfStudyRelatedInstances=100.. and ModalitiesInStudy=SR", True),
        ("NumberOfStudyRelatedInstances=..100", False),
        ("AccessionNumber=", True),
        ("not AccessionNumber=", False),
    ],
)
def test_language(text: str, expected: bool) -> None:
    expression = parse_expression(text)
    rule = LoadedRule("r", (expression,), (1,))
    assert bool(decide(VALUES, [rule])) is expected
    assert bool(Decider([rule]).decide(VALUES)) is expected
    assert explain(rule, VALUES)[0] is expected
    assert parse_expression(written(expression)) == expression
    assert read(expression.to_json()) == expression


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "empty"),
        ("   ", "empty"),
        ("Modality=CT and", "at character 16"),
        ("Modality=CT and and Rows=1", "at character 17"),
        ("Modality=CT or Modalty=MR", "at character 16 .*did you mean Modality"),
        ("(Modality=CT", r"at character 1 .*not closed"),
        ("Modality=CT)", "at character 12 .*without an opening"),
        ('Modality="CT', "at character 10 .*quotation"),
        ('Modality="CT" Rows=1', "`and` or `or` is missing"),
        ("(" * 30 + "Modality=CT" + ")" * 30, "more than 20 levels"),
        ("not " * 30 + "Modality=CT", "more than 20 levels"),
        (" or ".join(["Rows=1"] * 501), "more than 500 conditions"),
        ("Rows=" + "1" * 20_001, "at most 20000"),
        ("time 25:00-06:00", "no window"),
        ("time 06:00-06:00", "no length"),
        ("time 22:00", "no window"),
        ("time mon", "a window has"),
        ("weekday caturday", "no weekday"),
        ("address 10.0.0.0/99", "no network"),
        ("Modality=CT/8 and PatientID~(", "no regular expression"),
    ],
)
def test_errors_say_where(text: str, message: str) -> None:
    with pytest.raises(BadCondition, match=message):
        parse_expression(text)


@pytest.mark.parametrize(
    "data",
    [
        {"all": []}, {"any": "Modality=CT"}, {"not": []}, {"maybe": []}, {"not": {"not": {}}}, {"all": [1]},
        {"keyword": "Modality", "operator": "network", "value": ["10.0.0.0/8"]},
        {"keyword": "Modality", "operator": "window", "value": ["22:00-06:00"]},
        {"keyword": "time", "operator": "equals", "value": "22:00"},
        {"keyword": "weekday", "operator": "days", "value": ["someday"]},
        {"keyword": "time", "operator": "window", "value": ["late"]},
        {"keyword": "PatientID", "operator": "equals", "value": "a\0"},
        {"keyword": "PatientID", "operator": "in", "value": ["a", "\ud800"]},
    ],
)  # fmt: skip
def test_the_stored_form_is_checked(data: Any) -> None:
    with pytest.raises(BadCondition):
        read(data)


def test_a_stored_form_that_is_too_deep_is_refused() -> None:
    data: Any = {"keyword": "Modality", "operator": "equals", "value": "CT"}
    for _ in range(200):
        data = {"not": data}
    with pytest.raises(BadCondition, match="nested"):
        read(data)


@given(st.text(max_size=200))
def test_any_text_is_an_expression_or_the_named_error(text: str) -> None:
    try:
        found = parse_expression(text)
    except BadCondition:
        return
    assert parse_expression(written(found)) == found


_LEAVES = st.sampled_from(["CT", "a b", " and ", 'q"uote', "(x", "back\\slash", "or", "x*", "a,b", "not a"]).map(
    lambda value: Condition(
        "StudyDescription", "wildcard" if "*" in value else "in" if "," in value else "equals", tuple(value.strip().split(","))
    )
)
_TREES = st.recursive(
    _LEAVES,
    lambda inner: st.one_of(
        inner.map(Not), st.lists(inner, min_size=2, max_size=3).map(lambda parts: Every(tuple(parts))),
        st.lists(inner, min_size=2, max_size=3).map(lambda parts: Some(tuple(parts))),
    ),
    max_leaves=8,
)  # fmt: skip


@settings(max_examples=200, deadline=None)
@given(_TREES, st.sampled_from(["CT", "a b", "and", "(x", "or", "x1", "b", ""]))
def test_the_written_form_means_the_same(tree: Expression, value: str) -> None:
    again = parse_expression(written(tree))
    for values in ({"StudyDescription": value}, {}):
        assert bool(decide(values, [LoadedRule("r", (tree,), (1,))])) is bool(decide(values, [LoadedRule("r", (again,), (1,))]))
    assert read(tree.to_json()) == tree


@pytest.mark.parametrize(
    ("at", "zone", "expected"),
    [
        ("2026-03-29T00:59:00", "Europe/Berlin", "sun 01:59"),
        ("2026-03-29T01:00:00", "Europe/Berlin", "sun 03:00"),  # 02:00 to 03:00 does not exist
        ("2026-10-25T00:30:00", "Europe/Berlin", "sun 02:30"),  # this hour is there twice
        ("2026-10-25T01:30:00", "Europe/Berlin", "sun 02:30"),
        ("2026-01-01T00:00:00", "America/New_York", "wed 19:00"),
        ("2026-01-01T00:00:00", "UTC", "thu 00:00"),
    ],
)
def test_the_clock_on_the_wall(at: str, zone: str, expected: str) -> None:
    values = moment_values(datetime.fromisoformat(at).replace(tzinfo=UTC), zone)
    assert values == {"time": expected, "weekday": expected[:3]}


def test_why_names_the_conditions_that_held_and_no_value() -> None:
    rule = LoadedRule(
        "r", (parse_expression("(Modality=MR or Modality=CT,PT) and not StationName=Y*"), parse_expression("PatientID~^S")), (1,)
    )
    values = {"Modality": "CT", "PatientID": "SECRET-1"}
    assert held_conditions(rule, values) == ["Modality=CT,PT", "not StationName=Y*", "PatientID~^S"]


def test_explain_looks_at_every_condition() -> None:
    rule = LoadedRule("r", (parse_expression("Modality=MR and Rows=512 and PatientID~^(a|a)*$"),), (1,))
    matched, found = explain(rule, {"Modality": "CT", "Rows": "512", "PatientID": "a" * 60 + "!"})
    assert not matched
    assert [(one.condition, one.held, one.seen[:3]) for one in found] == [
        ("Modality=MR", False, "CT"), ("Rows=512", True, "512"), ('PatientID~"^(a|a)*$"', False, "aaa"),
    ]  # fmt: skip
    assert "longer than" in found[2].problem


def test_not_of_an_expression_that_takes_too_long_sends_nothing() -> None:
    rule = LoadedRule("r", (parse_expression("not PatientID~^(a|a)*$"),), (1,))
    assert not Decider([rule]).decide({"PatientID": "a" * 60 + "!"})
