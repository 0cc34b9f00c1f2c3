"""What the change feed looks like over REST."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any

from ninja import Schema
from pydantic import Field

from gantry.accounts.page import MAX_LIMIT, Page, Text

Position = Annotated[int, Field(ge=0, le=2**63 - 1, description="The id of the last change that was seen; 0: from the oldest")]
Kinds = Annotated[
    Text, Field(default="", description="Kinds of facts, by commas; empty: all that you may see", examples=["Arrived,Settled"])
]


class ChangesQuery(Schema):
    """Where to go on."""

    after: Position = 0
    kinds: Kinds = ""
    limit: Annotated[int, Field(ge=1, le=MAX_LIMIT, description="Items per page")] = 100


class EventsQuery(Schema):
    """Where to go on; the header Last-Event-ID, which browsers send when they come back, wins."""

    after: Position | None = None
    kinds: Kinds = ""


class ChangeOut(Schema):
    """One fact."""

    id: int = Field(description="Its place in the feed; go on with ?after=", examples=[4711])
    kind: str = Field(examples=["Settled"])
    at: datetime
    data: dict[str, Any] = Field(description="Identifiers and counts, never patient data", examples=[{"study_id": 12}])


class ChangePage(Page[ChangeOut]):
    """A page of the feed; `next` is null when this is all there is now."""
