"""What the routes of callers take and give."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Literal

from ninja import Schema
from pydantic import ConfigDict, Field

from gantry.accounts.page import Page, Text
from gantry.receiver.allow import actions_of
from gantry.receiver.models import Caller

AeTitle = Annotated[Text, Field(min_length=1, max_length=16, examples=["CT1"])]
Action = Literal["echo", "store", "find", "get", "move", "commit"]


class CallerIn(Schema):
    """Who shall be let in, and for what."""

    model_config = ConfigDict(extra="forbid")

    aet: AeTitle
    may: list[Action] = Field(default=["echo", "store"], min_length=1, max_length=6)
    hosts: list[Annotated[Text, Field(max_length=64)]] = Field(
        default_factory=list, max_length=64, description="Addresses or networks it calls from; empty: any",
        examples=[["192.0.2.0/24"]],
    )  # fmt: skip
    certificate: Annotated[Text, Field(max_length=128)] = Field(
        default="", description="SHA-256 of the certificate it must show, hexadecimal; empty: none"
    )
    name: Annotated[Text, Field(max_length=200)] = Field(default="", description="A name of our own for it")


class CallerChange(Schema):
    """What can be changed about a caller; to change the rest, allow it again."""

    model_config = ConfigDict(extra="forbid")

    enabled: Literal[False] = Field(description="false denies it")


class CallerOut(Schema):
    """A caller of the DICOM port."""

    aet: str = Field(examples=["CT1"])
    name: str
    hosts: list[str]
    certificate: str
    may: list[str] = Field(examples=[["echo", "store"]])
    enabled: bool = Field(description="false: it is refused")
    created_at: datetime
    created_by: str

    @staticmethod
    def resolve_may(caller: Caller) -> list[str]:
        """The actions that are set."""
        return actions_of(caller)


class CallerPage(Page[CallerOut]):
    """A page of callers."""


class RefusedOut(Schema):
    """Somebody who was not let in."""

    aet: str
    host: str = Field(examples=["192.0.2.7"])
    reason: str = Field(examples=["unknown AE title"])
    count: int
    first_seen_at: datetime
    last_seen_at: datetime


class RefusedPage(Page[RefusedOut]):
    """A page of refused callers."""
