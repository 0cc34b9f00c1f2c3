"""What the routes of intake give."""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

from ninja import Schema
from pydantic import Field

from gantry.accounts.page import Digest, Page


class QuarantinedOut(Schema):
    """An object that could not be indexed and is kept whole."""

    id: UUID
    reason: str = Field(description="A code", examples=["study_uid_missing"])
    explanation: str
    state: str = Field(description="held, accepted or discarded", examples=["held"])
    origin: str = Field(examples=["dimse"])
    calling_aet: str
    called_aet: str
    remote_address: str
    transfer_syntax_uid: str
    sha256: Digest = Field(description="Of the data set, hexadecimal")
    file_bytes: int
    received_at: datetime
    quarantined_at: datetime


class QuarantinePage(Page[QuarantinedOut]):
    """A page of the quarantine."""
