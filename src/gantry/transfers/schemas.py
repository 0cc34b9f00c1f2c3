"""What the routes of transfers take and give."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Literal

from ninja import Schema
from pydantic import ConfigDict, Field

from gantry.accounts.page import Page, PageQuery, RowId, Text

Status = Literal["waiting", "sent", "confirmed", "failed", "dead", "cancelled"]


class DeliveryQuery(PageQuery):
    """Which rows of the ledger. Everything given must hold; empty is not given."""

    study_instance_uid: Text = ""
    sop_instance_uid: Text = ""
    node: Text = Field(default="", description="Name of the destination", examples=["archive"])
    rule_name: Text = ""
    status: Literal["", "waiting", "sent", "confirmed", "failed", "dead", "cancelled"] = Field(
        default="", description="Empty: all"
    )


class DeliveryOut(Schema):
    """One instance on its way to one destination."""

    id: int
    study_instance_uid: str
    sop_instance_uid: str
    node: str = Field(examples=["archive"])
    rule_name: str = Field(description="The rule that ordered it; empty: by hand")
    status: Status
    attempts: int
    next_attempt_at: datetime | None
    dimse_status: int | None = Field(description="What the destination answered (PS3.7 C)", examples=[0])
    error: str
    stored_sha256: str = Field(description="Of the data set as stored, hexadecimal")
    sent_sha256: str | None = Field(description="Of the data set as sent")
    dataset_bytes: int
    created_at: datetime
    sent_at: datetime | None
    confirmed_at: datetime | None


class DeliveryPage(Page[DeliveryOut]):
    """A page of the ledger."""


class RetryIn(Schema):
    """Which deliveries to try again; everything given must hold."""

    model_config = ConfigDict(extra="forbid")

    study_instance_uid: Text | None = None
    node: Text | None = None
    statuses: list[Literal["failed", "dead"]] = Field(default=["failed", "dead"], min_length=1, max_length=2)
    ids: Annotated[list[RowId], Field(max_length=1000)] | None = None


class RetryOut(Schema):
    """What came of it."""

    queued: int = Field(description="Deliveries that wait again, due now, with their attempts forgiven")


class InstanceReceiptOut(Schema):
    """One instance at one destination."""

    sop_instance_uid: str
    status: Status
    dimse_status: int | None
    error: str
    attempts: int
    identical: bool = Field(description="Confirmed, and the bytes sent have the digest of the bytes stored")
    stored_sha256: str
    sent_sha256: str | None
    dataset_bytes: int
    transfer_syntax_uid: str
    sent_at: datetime | None
    confirmed_at: datetime | None


class DestinationReceiptOut(Schema):
    """All deliveries of a study to one node."""

    node: str
    aet: str
    ordered: int
    confirmed: int
    complete: bool
    instances: list[InstanceReceiptOut]


class ReceiptOut(Schema):
    """What was delivered where, and that it is byte-identical."""

    study_instance_uid: str
    instances: int = Field(description="Current instances of the study")
    complete: bool = Field(description="Everything ordered was confirmed, byte-identical")
    destinations: list[DestinationReceiptOut]
