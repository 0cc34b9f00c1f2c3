"""What the routes of rules and their versions take and give."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, Literal

from ninja import Schema
from pydantic import ConfigDict, Field, model_validator

from gantry.accounts.page import Page, PageQuery, Text
from gantry.routing.spec import HIGHEST, MAX_QUIET, RuleSpec

RuleName = Annotated[
    str,
    Field(min_length=1, max_length=63, pattern=r"^[A-Za-z0-9][A-Za-z0-9_-]*$", examples=["ct-to-archive"]),
]
NodeName = Annotated[Text, Field(max_length=63)]
Value = Annotated[Text, Field(max_length=500)]
Written = Annotated[Text, Field(max_length=1024, examples=["Modality=CT and not (StationName=X* or time 22:00-06:00)"])]
Trigger = Literal["arrived", "association", "settled"]
Mode = Literal["all", "order", "failover"]
Which = Annotated[str, Field(pattern=r"^(draft|active|[0-9]{1,9})$", description="draft, active, or a version number")]
Edits = Annotated[
    list[dict[str, Any]],
    Field(
        max_length=100, description="Tag edits, applied to what is sent: see docs/howto/rules.md",
        examples=[[{"op": "set", "tag": "InstitutionName", "value": "General Hospital"}]],
    ),
]  # fmt: skip
Destinations = Annotated[list[NodeName], Field(max_length=100, description="Names of nodes", examples=[["archive"]])]
Expected = Annotated[
    int | None,
    Field(
        default=None, ge=0, le=2**31 - 1,
        description="The version (or, of the draft, revision) you saw; when it is another by now, the answer is 409 and "
        "says what changed",
    ),
]  # fmt: skip


class ConditionData(Schema):
    """One condition in parts."""

    model_config = ConfigDict(extra="forbid")

    keyword: Annotated[Text, Field(max_length=64)] = Field(examples=["Modality"])
    operator: Literal["equals", "in", "wildcard", "range", "regex", "network", "window", "days"] = Field(examples=["in"])
    value: Value | list[Value] = Field(
        description="One text for equals and regex; a list for in, wildcard, network, window, days; [low, high] for range",
        examples=[["CT", "MR"]],
    )


class AllOf(Schema):
    """Every part holds."""

    model_config = ConfigDict(extra="forbid")

    all: list[ConditionTree] = Field(min_length=1, max_length=500)


class AnyOf(Schema):
    """At least one part holds."""

    model_config = ConfigDict(extra="forbid")

    any: list[ConditionTree] = Field(min_length=1, max_length=500)


class NoneOf(Schema):
    """The part does not hold."""

    model_config = ConfigDict(extra="forbid")

    not_: ConditionTree = Field(alias="not")


ConditionTree = ConditionData | AllOf | AnyOf | NoneOf
AllOf.model_rebuild()
AnyOf.model_rebuild()
NoneOf.model_rebuild()
Conditions = Annotated[
    list[Written | ConditionTree],
    Field(
        max_length=100, description="All must hold. In parts, as a tree of all, any, not; or as written on the command line",
        examples=[["Modality=CT,MR", {"keyword": "CallingAET", "operator": "wildcard", "value": ["CT*"]}]],
    ),
]  # fmt: skip


def stored(conditions: list[str | ConditionTree]) -> list[Any]:
    """As `spec.conditions_of` takes them."""
    return [item if isinstance(item, str) else item.model_dump(by_alias=True) for item in conditions]


class RuleFields(Schema):
    """What a rule consists of: all conditions must hold; none means everything."""

    model_config = ConfigDict(extra="forbid")

    conditions: Conditions = Field(default_factory=list)
    trigger: Trigger = Field(
        default="arrived", description="What it waits for: each batch, the end of the association, the quiet time"
    )
    destinations: Destinations = Field(default_factory=list)
    enabled: bool = True
    quiet_seconds: Annotated[float, Field(gt=0, le=MAX_QUIET, allow_inf_nan=False)] | None = None
    mode: Mode = Field(default="all", description="To all; one after the other; or the next when the one before is dead")
    priority: int = Field(default=0, ge=0, le=HIGHEST, description="100 is urgent")
    hold: bool = Field(default=False, description="Order it, and send when a person releases it")
    edits: Edits = Field(default_factory=list)
    quarantine: Annotated[Text, Field(max_length=500)] = Field(default="", description="The reason for forwarding it nowhere")
    draft: bool = Field(default=False, description="Into the draft; else into a new version that is active at once")
    expected: Expected = None


class RuleIn(RuleFields):
    """A rule to add."""

    name: RuleName

    @model_validator(mode="after")
    def _leads_somewhere(self) -> RuleIn:
        if not self.destinations and not self.quarantine:
            raise ValueError("a rule needs at least one destination, or a quarantine reason")
        return self


class RuleChange(RuleFields):
    """What can be changed about a rule; what is not given stays."""


class RuleQuery(PageQuery):
    """Which rules."""

    version: Which = "active"


class VersionQuery(Schema):
    """Of which version."""

    version: Which = "active"


class SinceQuery(Schema):
    """Since which version."""

    since: Which = "active"


class RuleRemoval(Schema):
    """Where to take it away."""

    draft: bool = False
    expected: Expected = None


class RuleOut(Schema):
    """A rule."""

    name: str
    enabled: bool
    conditions: list[dict[str, Any]]
    when: list[str] = Field(description="The conditions as written on the command line", examples=[["Modality=CT,MR"]])
    trigger: str = Field(examples=["arrived"])
    destinations: list[str] = Field(description="Names of nodes")
    quiet_seconds: float | None
    mode: str
    priority: int
    hold: bool
    edits: list[dict[str, Any]]
    quarantine: str
    created_at: datetime | None
    updated_at: datetime | None

    @staticmethod
    def resolve_created_at(rule: RuleSpec) -> str | None:
        """None in rules of a file."""
        return rule.created_at or None

    @staticmethod
    def resolve_updated_at(rule: RuleSpec) -> str | None:
        """As above."""
        return rule.updated_at or None


class RulePage(Page[RuleOut]):
    """A page of rules."""


class RuleSetOut(Schema):
    """A version of the rules."""

    version: int
    state: Literal["draft", "active", "retired"]
    author: str
    note: str
    based_on: int | None
    revision: int = Field(description="Counts the edits of a draft")
    created_at: datetime
    updated_at: datetime
    activated_at: datetime | None
    activated_by: str
    retired_at: datetime | None


class RuleSetPage(Page[RuleSetOut]):
    """A page of versions."""


class DraftIn(Schema):
    """Begin a draft."""

    model_config = ConfigDict(extra="forbid")

    note: Annotated[Text, Field(max_length=500)] = ""
    of: Which = Field(default="active", description="What it is a copy of")


class ActivateIn(Schema):
    """Let a draft or an earlier version decide."""

    model_config = ConfigDict(extra="forbid")

    note: Annotated[Text, Field(max_length=500)] = ""
    expected: Expected = None


class DifferenceOut(Schema):
    """One rule that differs; `fields` has (before, after) of what changed."""

    name: str
    kind: Literal["added", "removed", "changed", "moved"]
    fields: dict[str, list[Any]]


class DifferencesOut(Schema):
    """What differs between two versions."""

    before: int
    after: int
    items: list[DifferenceOut]
