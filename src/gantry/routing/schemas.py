"""What the routes of routing take and give."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, Literal
from uuid import UUID

from ninja import Schema
from pydantic import ConfigDict, Field, model_validator

from gantry.accounts.page import Page, PageQuery, RowId, Text, Uid
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


class RuleIn(Schema):
    """A rule to add: all conditions must hold; none means everything."""

    model_config = ConfigDict(extra="forbid")

    name: RuleName
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

    @model_validator(mode="after")
    def _leads_somewhere(self) -> RuleIn:
        if not self.destinations and not self.quarantine:
            raise ValueError("a rule needs at least one destination, or a quarantine reason")
        return self


class RuleChange(Schema):
    """What can be changed about a rule; what is not given stays."""

    model_config = ConfigDict(extra="forbid")

    enabled: bool = True
    conditions: Conditions = Field(default_factory=list)
    trigger: Trigger = "arrived"
    destinations: Destinations = Field(default_factory=list)
    quiet_seconds: Annotated[float, Field(gt=0, le=MAX_QUIET, allow_inf_nan=False)] | None = None
    mode: Mode = "all"
    priority: int = Field(default=0, ge=0, le=HIGHEST)
    hold: bool = False
    edits: Edits = Field(default_factory=list)
    quarantine: Annotated[Text, Field(max_length=500)] = ""
    draft: bool = False
    expected: Expected = None


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


class DecisionQuery(PageQuery):
    """Of which study."""

    study: Uid


class DecisionOut(Schema):
    """A rule that matched: which version of the rules, which conditions held, what it did."""

    id: int
    study_instance_uid: str | None
    version: int
    rule_name: str
    trigger: str
    conditions: list[str]
    action: dict[str, Any]
    deliveries: int = Field(description="Rows of the ledger it ordered")
    held: int = Field(description="Instances it kept back")
    first_at: datetime
    last_at: datetime


class DecisionPage(Page[DecisionOut]):
    """A page of decisions."""


class HeldQuery(PageQuery):
    """Which instances that rules keep back."""

    state: Literal["held", "released", "dismissed"] = "held"
    study: Uid | None = None


class HeldOut(Schema):
    """An instance that a rule keeps back."""

    id: int
    study_instance_uid: str | None
    sop_instance_uid: str | None
    rule_name: str
    reason: str
    state: str
    held_at: datetime
    ended_at: datetime | None
    ended_by: str
    ended_reason: str


class HeldPage(Page[HeldOut]):
    """A page of them."""


class HeldEnd(Schema):
    """Which instances: by number, or all of a study."""

    model_config = ConfigDict(extra="forbid")

    ids: Annotated[list[RowId], Field(min_length=1, max_length=1000)] | None = None
    study_instance_uid: Uid | None = None
    reason: Annotated[Text, Field(min_length=1, max_length=1000)]


class HeldCount(Schema):
    """What came of it."""

    instances: int


class ProblemOut(Schema):
    """A rule of the active set that could not be evaluated, or leads nowhere."""

    rule_name: str
    message: str
    count: int
    first_at: datetime
    last_at: datetime


class ProblemPage(Page[ProblemOut]):
    """All of them."""


class TrialIn(Schema):
    """What to try."""

    model_config = ConfigDict(extra="forbid")

    study_instance_uid: Uid
    version: Which = "active"


class ExplainedOut(Schema):
    """One condition, whether it held, and the value seen."""

    condition: str
    held: bool
    seen: str
    problem: str


class TagDifference(Schema):
    """An element that an edit changes; null: it is not there."""

    path: str
    before: str | None
    after: str | None


class RuleTrialOut(Schema):
    """What one rule would do."""

    rule: str
    matched: int
    trigger: str
    conditions: list[ExplainedOut]
    mode: str
    destinations: list[str]
    priority: int
    hold: bool
    quarantine: str
    differences: list[TagDifference]
    problem: str


class TrialOut(Schema):
    """What the rules would do. Nothing was ordered."""

    version: int
    instances: int
    rules: list[RuleTrialOut]
    kept_back: int
    destinations: dict[str, int] = Field(description="Instances by node")
    cut: bool = Field(description="The study has more instances than were looked at")


class ReplayIn(Schema):
    """Replay a version over the last days of the index, against the active one."""

    model_config = ConfigDict(extra="forbid")

    days: Annotated[float, Field(gt=0, le=3660, allow_inf_nan=False)] = 7
    version: Which = "draft"


class ReplayOut(Schema):
    """How far it is; `result` when it is done."""

    id: UUID
    days: float
    candidate: str
    ordered_by: str
    state: Literal["waiting", "running", "done", "failed", "cancelled"]
    studies: int | None
    done: int
    result: dict[str, Any] | None
    error: str
    created_at: datetime
    ended_at: datetime | None


class ReplayList(Schema):
    """The latest."""

    items: list[ReplayOut]
    next: str | None = None
