"""What the routes of decisions, of what rules keep back, and of rules that fail take and give."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, Literal

from ninja import Schema
from pydantic import ConfigDict, Field

from gantry.accounts.page import Page, PageQuery, RowId, Text, Uid


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
