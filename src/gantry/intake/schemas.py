"""What the routes of intake give."""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

from ninja import Schema
from pydantic import ConfigDict, Field

from gantry.accounts.page import Digest, Page, Text, Uid


class QuarantinedOut(Schema):
    """An object that could not be indexed and is kept whole."""

    id: UUID
    reason: str = Field(description="A code", examples=["study_uid_missing"])
    explanation: str
    state: str = Field(description="held; indexed: accepted as it is; accepted: repaired; discarded", examples=["held"])
    origin: str = Field(examples=["dimse"])
    calling_aet: str
    called_aet: str
    remote_address: str
    transfer_syntax_uid: str
    sha256: Digest = Field(description="Of the data set, hexadecimal")
    file_bytes: int
    received_at: datetime
    quarantined_at: datetime
    decided_by: str = Field(description="Who accepted or discarded it")
    decided_at: datetime | None
    decision_reason: str


class QuarantinePage(Page[QuarantinedOut]):
    """A page of the quarantine."""


class QuarantinedDetail(QuarantinedOut):
    """The same, with what can be read in its bytes."""

    is_dicom: bool
    sop_class_uid: str | None
    sop_instance_uid: str | None
    study_instance_uid: str | None
    series_instance_uid: str | None
    problem: str = Field(description="Why it cannot be read, or not wholly")


class HeldAttribute(Schema):
    """One attribute of a held object."""

    tag: str = Field(examples=["(0008,0060)"])
    keyword: str = Field(description="Of PS3.6; empty: not known there", examples=["Modality"])
    vr: str = Field(examples=["CS"])
    length: int = Field(description="Bytes")
    text: str | None = Field(description="Null: long, no text, or hidden", examples=["CT"])
    hidden: bool = Field(description="It may say who the patient is, which this account may not see")


class HeldHeaderOut(Schema):
    """What can be read of a held object, before its pixels."""

    attributes: list[HeldAttribute]
    note: str = Field(description="Why the list ends early; empty: it does not")


class DiscardIn(Schema):
    """Why it may be deleted."""

    model_config = ConfigDict(extra="forbid")

    reason: Text = Field(min_length=1, max_length=2000, examples=["a test object"])


class Repairs(Schema):
    """UIDs to set in a copy of the object; names are the keywords of PS3.6."""

    model_config = ConfigDict(extra="forbid")

    SOPClassUID: Uid | None = None
    SOPInstanceUID: Uid | None = None
    StudyInstanceUID: Uid | None = None
    SeriesInstanceUID: Uid | None = None


class AcceptIn(DiscardIn):
    """Why it may be taken in, and what to set in it."""

    set: Repairs = Field(default_factory=Repairs)
