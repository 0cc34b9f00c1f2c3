"""What the routes for writing rules take and give."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from ninja import Schema
from pydantic import ConfigDict, Field

from gantry.accounts.page import Text
from gantry.routing.keywords import Keyword
from gantry.routing.schemas import Expected, RuleName, RuleOut, Which
from gantry.routing.spec import MAX_RULES

#: Looked at by `routing.check`, which names the place of each problem.
RuleJson = Annotated[dict[str, Any], Field(description="A rule as in `POST /rules`, complete or not")]


class KeywordOut(Schema):
    """What a condition can ask for."""

    keyword: str = Field(examples=["Modality"])
    vr: str = Field(description="Value representation it is compared by; empty: of the moment", examples=["CS"])
    of: str = Field(description="patient, study, series, instance, sender, moment, or whole: the study when it is there")
    meaning: str = Field(examples=["Kind of device, as CT or MR"])
    operators: list[str] = Field(description="The usual one first", examples=[["equals", "in", "wildcard", "regex"]])
    values: list[str] = Field(description="Seen lately, the most frequent first; none of what names a patient")


class KeywordList(Schema):
    """All of them."""

    items: list[KeywordOut]
    next: str | None = None

    @classmethod
    def of(cls, found: list[Keyword]) -> KeywordList:
        """From what `routing.keywords` gives."""
        return cls(items=[KeywordOut.model_validate(one) for one in found])


class RuleCheckIn(Schema):
    """Rules that are being written."""

    model_config = ConfigDict(extra="forbid")

    rules: list[RuleJson] = Field(max_length=MAX_RULES)
    version: Which | None = Field(default=None, description="Names of this version count as taken")
    replaces: Annotated[Text, Field(max_length=63)] = Field(default="", description="The rule in it that is being changed")


class ProblemAt(Schema):
    """What is wrong, and where."""

    path: list[str | int] = Field(examples=[[0, "conditions", 1, "any", 0, "value"]])
    message: str
    level: Literal["error", "warning"] = Field(description="A warning does not keep from saving")


class RuleCheckOut(Schema):
    """The problems, and each rule as it would be kept; null where it cannot be."""

    valid: bool
    problems: list[ProblemAt]
    rules: list[RuleOut | None]


class RulesIn(Schema):
    """All rules of the draft, in their order."""

    model_config = ConfigDict(extra="forbid")

    rules: list[RuleJson] = Field(max_length=MAX_RULES)
    renamed: dict[RuleName, RuleName] = Field(
        default_factory=dict, max_length=MAX_RULES, description="New names to old ones, so that they stay the same rules"
    )
    expected: Expected = None


class ArrivalIn(Schema):
    """How a file is thought to have come, and which rules to try."""

    version: Which = "active"
    calling_aet: Annotated[Text, Field(max_length=16)] = ""
    called_aet: Annotated[Text, Field(max_length=16)] = ""
    remote_address: Annotated[Text, Field(max_length=64)] = ""
    size: int | None = Field(
        default=None, ge=0, le=2**53, description="Bytes of the whole file, where only its beginning is sent"
    )
