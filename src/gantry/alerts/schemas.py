"""What alerts and webhooks look like over REST."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Literal

from ninja import Schema
from pydantic import Field

from gantry.accounts.page import Moment, Page, PageQuery, Text

Name = Annotated[str, Field(min_length=1, max_length=100, pattern=r"^[^/\x00-\x1f]+$", examples=["ticket system"])]
Url = Annotated[Text, Field(max_length=2000, examples=["https://tickets.example.org/hooks/gantry"])]
Kinds = Annotated[list[Text], Field(max_length=50, description="Kinds of facts; empty: all", examples=[["AlertChanged"]])]


class WebhookIn(Schema):
    """A new webhook."""

    name: Name
    url: Url
    kinds: Kinds = []


class WebhookChange(Schema):
    """What to change; what is left out stays."""

    url: Url | None = None
    kinds: Kinds | None = None
    enabled: bool | None = None


class WebhookOut(Schema):
    """A webhook. The secret is never shown again."""

    name: str
    url: str
    kinds: list[str]
    enabled: bool
    failures: int = Field(description="Failed attempts in a row")
    not_before: datetime | None = Field(description="After failures: no attempt before then")
    created_at: datetime
    created_by: str


class WebhookMade(WebhookOut):
    """A new webhook with its secret, which is in this answer and nowhere else."""

    secret: str = Field(examples=["whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"])


class WebhookPage(Page[WebhookOut]):
    """A page of webhooks."""


class Secret(Schema):
    """A new secret, which is in this answer and nowhere else."""

    secret: str = Field(examples=["whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"])


class Attempt(Schema):
    """What came of a test message."""

    ok: bool
    status: int | None = Field(description="HTTP status of the answer", examples=[204])
    explanation: str


class NoticeOut(Schema):
    """One message and what became of it."""

    id: int
    kind: str = Field(examples=["AlertChanged"])
    state: str = Field(description="waiting, sent or dead", examples=["sent"])
    attempts: int
    status: int | None = Field(description="HTTP status of the last answer", examples=[204])
    explanation: str
    created_at: datetime
    finished_at: datetime | None


class NoticePage(Page[NoticeOut]):
    """A page of the log, the newest first."""


class AlertQuery(PageQuery):
    """Which alerts to list."""

    open: bool = Field(default=False, description="Only those that are not closed")
    state: Literal["", "open", "acknowledged", "closed"] = Field(default="", description="Empty: all")


class AlertOut(Schema):
    """Something that needs a person."""

    id: int
    rule: str = Field(examples=["destination_down"])
    subject: str = Field(examples=["archive"])
    state: str = Field(description="open, acknowledged or closed", examples=["open"])
    message: str
    remedy: str
    opened_at: datetime
    last_at: datetime = Field(description="When its cause was last seen")
    acknowledged_at: datetime | None
    acknowledged_by: str
    closed_at: datetime | None


class AlertPage(Page[AlertOut]):
    """A page of alerts, the newest first."""


class SeriesQuery(Schema):
    """Which numbers: a measure, over a span of time, by step."""

    measure: Literal[
        "received_instances", "received_bytes", "index_lag", "forwarded_instances", "forwarded_bytes"
    ] = "received_instances"  # fmt: skip
    step: Literal["minute", "hour", "day"] = "hour"
    since: Moment | None = Field(
        default=None,
        alias="from",
        description="Included; 60 steps before the end when left out",
        examples=["2026-11-20T00:00:00Z"],
    )
    until: Moment | None = Field(default=None, alias="to", description="Not included; now when left out")
    subject: Text = Field(default="", description="One AE title or node; empty: each", examples=["CT1"])


class Point(Schema):
    """What was measured in one step."""

    at: datetime = Field(description="Where the step begins")
    subject: str = Field(description="AE title of the sender, or name of the node", examples=["CT1"])
    value: float = Field(description="Instances, bytes, or (index_lag) the longest wait in seconds", examples=[412.0])


class Series(Schema):
    """Points by time; steps in which nothing happened are left out."""

    measure: str
    step: str
    points: list[Point]
