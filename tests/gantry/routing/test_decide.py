"""decide: facts and rules in, forwards out."""

from __future__ import annotations

import time

from gantry.routing.conditions import parse
from gantry.routing.decide import Decider, Decision, LoadedRule, decide

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
    began = time.monotonic()
    for number in range(200):
        assert decider.decide({"PatientID": "a" * 60 + f"!{number}"}) == [Decision("all", (3,))]
    assert time.monotonic() - began < 6.0
    assert list(decider.problems) == ["slow"]


def test_the_decider_tells_values_apart_that_rules_ask_for() -> None:
    decider = Decider([CT])
    assert decider.decide({"Modality": "CT", "SOPInstanceUID": "1"})
    assert decider.decide({"Modality": ["MR", "CT"]})
    assert not decider.decide({"Modality": "MR"})
    assert not decider.decide({})
