"""What the routes of routing take and give."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Literal

from ninja import Schema
from pydantic import ConfigDict, Field

from gantry.accounts.page import Page, Text
from gantry.routing.conditions import Condition, from_json, parse
from gantry.routing.errors import BadCondition
from gantry.routing.models import Rule

RuleName = Annotated[
    str,
    Field(min_length=1, max_length=63, pattern=r"^[A-Za-z0-9][A-Za-z0-9_-]*$", examples=["ct-to-archive"]),
]
Value = Annotated[Text, Field(max_length=500)]
Trigger = Literal["arrived", "settled"]


class ConditionData(Schema):
    """One condition in parts."""

    model_config = ConfigDict(extra="forbid")

    keyword: Annotated[Text, Field(max_length=64)] = Field(examples=["Modality"])
    operator: Literal["equals", "in", "wildcard", "range", "regex"] = Field(examples=["in"])
    value: Value | list[Value] = Field(
        description="One text for equals and regex; a list for in and wildcard; [low, high] for range",
        examples=[["CT", "MR"]],
    )

    def to_condition(self) -> Condition:
        """Checked. Raises BadCondition."""
        return from_json({"keyword": self.keyword, "operator": self.operator, "value": self.value})


class RuleIn(Schema):
    """A rule to add: all conditions must hold; none means everything."""

    model_config = ConfigDict(extra="forbid")

    name: RuleName
    conditions: list[Value | ConditionData] = Field(
        default_factory=list, max_length=100, description="In parts, or as written on the command line",
        examples=[["Modality=CT,MR", {"keyword": "CallingAET", "operator": "wildcard", "value": ["CT*"]}]],
    )  # fmt: skip
    trigger: Trigger = "arrived"
    destinations: list[Annotated[str, Field(max_length=63)]] = Field(
        min_length=1, max_length=100, description="Names of nodes", examples=[["archive"]]
    )
    enabled: bool = True

    def parsed(self) -> list[Condition]:
        """The conditions, checked. Raises BadCondition."""
        return [parse(item) if isinstance(item, str) else item.to_condition() for item in self.conditions]


class RuleChange(Schema):
    """What can be changed about a rule."""

    model_config = ConfigDict(extra="forbid")

    enabled: bool


class RuleOut(Schema):
    """A rule."""

    name: str
    enabled: bool
    conditions: list[ConditionData]
    when: list[str] = Field(description="The conditions as written on the command line", examples=[["Modality=CT,MR"]])
    trigger: Trigger
    destinations: list[str] = Field(description="Names of nodes")
    created_at: datetime
    updated_at: datetime

    @staticmethod
    def resolve_when(rule: Rule) -> list[str]:
        """The written form; one that cannot be read is shown as it is stored."""
        written = []
        for data in rule.conditions:
            try:
                written.append(str(from_json(data)))
            except BadCondition:
                written.append(str(data))
        return written

    @staticmethod
    def resolve_destinations(rule: Rule) -> list[str]:
        """Names in alphabetical order."""
        return sorted(node.name for node in rule.destinations.all())


class RulePage(Page[RuleOut]):
    """A page of rules."""
