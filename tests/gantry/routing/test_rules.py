"""Rules are made, listed, switched and removed; what cannot work is refused with the reason."""

from __future__ import annotations

import pytest

from gantry.nodes import registry
from gantry.nodes.errors import NodeMissing
from gantry.routing import rules
from gantry.routing.errors import BadCondition, BadRule, RuleExists, RuleMissing

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture(autouse=True)
def nodes() -> None:
    registry.add("one", "A@h:104")
    registry.add("two", "B@h:104")


def test_add_list_get_remove() -> None:
    rule = rules.add("ct", to=["one", "two", "one"], when=["Modality=CT,MR", "CallingAET=CT*"], on="settled")
    assert rule.conditions == (
        {"keyword": "Modality", "operator": "in", "value": ["CT", "MR"]},
        {"keyword": "CallingAET", "operator": "wildcard", "value": ["CT*"]},
    )
    assert rules.get("ct").destinations == ("one", "two")
    assert [found.name for found in rules.list_rules()] == ["ct"]
    assert not rules.enable("ct", enabled=False).enabled
    rules.remove("ct")
    with pytest.raises(RuleMissing, match="gantry rule list"):
        rules.get("ct")


def test_what_cannot_work_is_refused() -> None:
    rules.add("ct", to=["one"])
    with pytest.raises(RuleExists):
        rules.add("ct", to=["one"])
    with pytest.raises(BadRule, match="no rule name"):
        rules.add("a b", to=["one"])
    with pytest.raises(BadRule, match="no trigger"):
        rules.add("x", to=["one"], on="whenever")
    with pytest.raises(BadRule, match="at least one destination"):
        rules.add("x", to=[])
    with pytest.raises(NodeMissing):
        rules.add("x", to=["gone"])
    with pytest.raises(BadCondition, match="did you mean Modality"):
        rules.add("x", to=["one"], when=["Modalty=CT"])
    assert [rule.name for rule in rules.list_rules()] == ["ct"]
