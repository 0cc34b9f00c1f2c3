"""decide: facts and rules in, forwards out."""

from __future__ import annotations

import random
import time
from typing import Any

from gantry.routing.compiled import VOLATILE, Decider
from gantry.routing.conditions import parse
from gantry.routing.decide import Decision, LoadedRule, decide
from gantry.routing.expression import parse_expression

CT = LoadedRule("ct", (parse("Modality=CT"),), (1, 2))
ALL = LoadedRule("all", (), (3,))
CT_FROM_ROOM = LoadedRule("room", (parse("Modality=CT"), parse("CallingAET=ROOM*")), (4,))
SLOW = LoadedRule("slow", (parse("PatientID~^(a|a)*$"),), (9,))


def test_all_conditions_must_hold_and_none_means_everything() -> None:
    rules = [CT, ALL, CT_FROM_ROOM]
    assert decide({"Modality": "MR"}, rules) == [Decision("all", (3,))]
    assert decide({"Modality": "CT", "CallingAET": "X"}, rules) == [
        Decision("ct", (1, 2)),
        Decision("all", (3,)),
    ]
    assert [d.rule_name for d in decide({"Modality": "CT", "CallingAET": "ROOM7"}, rules)] == [
        "ct",
        "all",
        "room",
    ]
    assert decide({}, []) == []


def test_a_rule_that_times_out_orders_nothing_and_stops_no_other() -> None:
    decisions = decide({"PatientID": "a" * 60 + "!"}, [SLOW, ALL])
    assert [(d.rule_name, d.node_ids, bool(d.problem)) for d in decisions] == [
        ("slow", (), True),
        ("all", (3,), False),
    ]


def test_the_decider_drops_a_rule_that_keeps_timing_out() -> None:
    decider = Decider([SLOW, ALL])
    began = time.thread_time()
    for number in range(200):
        assert decider.decide({"PatientID": "a" * 60 + f"!{number}"}) == [Decision("all", (3,))]
    assert time.thread_time() - began < 6.0
    assert list(decider.problems) == ["slow"]


def test_the_decider_tells_values_apart_that_rules_ask_for() -> None:
    decider = Decider([CT])
    assert decider.decide({"Modality": "CT", "SOPInstanceUID": "1"})
    assert decider.decide({"Modality": ["MR", "CT"]})
    assert not decider.decide({"Modality": "MR"})
    assert not decider.decide({})


def test_the_decider_says_what_each_rule_by_itself_says() -> None:
    """All kinds of trees over few values, some of them lists, padded or missing: the quick way and the plain one agree."""
    written = (
        "Modality=CT", "Modality=CT,MR and StationName=S1", "StationName=S1 and InstanceNumber=2-3 or Modality=MR",
        "not (Modality=CT and InstanceNumber=1)", "InstanceNumber=1 and SOPInstanceUID=1.*", "PatientName=doe^john",
        "Rows=512 and Modality=CT", "StationName=S? and not InstanceNumber=..2", "StationName=S2 or StationName=S1,S3",
        "PatientID~^A and (Modality=MR or InstanceNumber=3)", "not StationName=S1", "Modality=CT and not (Modality=CT or Rows=1)",
    )  # fmt: skip
    rules = [LoadedRule(f"r{n}", (parse_expression(text),), (n,)) for n, text in enumerate(written)]
    rules += [LoadedRule("two", (parse("Modality=CT"), parse("InstanceNumber=2")), (99,)), ALL]
    assert {"InstanceNumber", "SOPInstanceUID"} <= VOLATILE
    chance, decider = random.Random(7), Decider(rules)
    choices: dict[str, list[Any]] = {
        "Modality": ["CT", "MR ", "", ["MR", "CT"], []], "StationName": ["S1", " S1", "S2", ["S3", "S1"]],
        "InstanceNumber": ["1", "2", "3", "x"], "SOPInstanceUID": ["1.2", "2.1"], "PatientName": ["DOE^John", "X"],
        "Rows": ["512", "512.0", "1"], "PatientID": ["A1", "B"],
    }  # fmt: skip
    for _ in range(3000):
        values: dict[str, Any] = {name: chance.choice(some) for name, some in choices.items() if chance.random() < 0.8}
        assert decider.decide(values) == decide(values, rules), values


def test_a_rule_that_keeps_back_is_in_doubt_only_where_it_could_match() -> None:
    slow = LoadedRule("slow", (parse("PatientID~^(a|a)*$"), parse("Modality=CT")), (), quarantine="look at it")
    decider = Decider([slow])
    assert decider.decide({"Modality": "MR", "PatientID": "a" * 60 + "!"}) == []
    assert [one.rule_name for one in decider.decide({"Modality": "CT", "PatientID": "a" * 60 + "!"})] == ["slow"]
    assert list(decider.problems) == ["slow"]
