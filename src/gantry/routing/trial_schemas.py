"""What the routes of trials and replays take and give."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, Literal
from uuid import UUID

from ninja import Schema
from pydantic import ConfigDict, Field

from gantry.accounts.page import Uid
from gantry.routing.schemas import Which


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
