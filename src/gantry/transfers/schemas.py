"""What the routes of transfers take and give."""

from __future__ import annotations

from datetime import date, datetime
from typing import Annotated, Literal

from ninja import Schema
from pydantic import ConfigDict, Field

from gantry.accounts.page import Cursor, Page, PageQuery, RowId, Text, Uid

Status = Literal["waiting", "sent", "confirmed", "failed", "dead", "cancelled", "held", "away"]


class DeliveryQuery(PageQuery):
    """Which rows of the ledger. Everything given must hold; empty is not given."""

    study_instance_uid: Text = ""
    sop_instance_uid: Text = ""
    node: Text = Field(default="", description="Name of the destination", examples=["archive"])
    rule_name: Text = ""
    status: Literal["", "waiting", "sent", "confirmed", "failed", "dead", "cancelled", "held", "away"] = Field(
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
    priority: int
    hold_reason: str = Field(description="Why it was held, recalled or sent again")
    changed: str = Field(description="What was sent differs: edited, transcoded; empty: verbatim")
    verified_at: datetime | None = Field(description="When the destination was found to have it")
    verified_by: str


class DeliveryPage(Page[DeliveryOut]):
    """A page of the ledger."""


class GroupQuery(Schema):
    """Which studies. Everything given must hold; empty is not given."""

    study_instance_uid: Text = ""
    node: Text = Field(default="", description="Name of the destination", examples=["archive"])
    rule_name: Text = ""
    status: Annotated[list[Status], Field(max_length=8)] = Field(default=[], description="Some has one of these; none: all")
    limit: int = Field(default=50, ge=1, le=1000, description="Studies per page")
    cursor: Cursor = ""


class GroupOut(Schema):
    """A study on its way to one destination: how many of its instances are how far."""

    node: str = Field(examples=["archive"])
    kind: str = Field(examples=["dimse"])
    enabled: bool
    breaker: str = Field(description="closed, open or half-open", examples=["closed"])
    node_removed: bool
    total: int
    waiting: int
    sent: int
    confirmed: int
    failed: int
    dead: int
    cancelled: int
    held: int
    away: int
    attempts: int = Field(description="The most of any instance")
    priority: int
    ordered_at: datetime
    confirmed_at: datetime | None = Field(description="The last confirmation")
    next_attempt_at: datetime | None
    rule_names: list[str] = Field(description="The rules that ordered it; an empty one: by hand")
    hold_reason: str
    error: str = Field(description="Of one that failed or was given up, or why the destination is paused")
    last_ordered_at: datetime = Field(description="When the newest order among them was given")
    last_rule_name: str = Field(description="The rule behind the newest order; empty: by hand")
    last_origin: str = Field(description="Of the newest order: again, by a person; move, a C-MOVE; empty: a first order")
    last_ordered_by: str = Field(
        description="Who gave the newest order by hand, or asked by C-MOVE; empty: a rule", examples=["anna"]
    )


class StudyShownOut(Schema):
    """A study in a list of deliveries, with as much of its patient as you may see."""

    study_instance_uid: str
    patient_level: str = Field(description="full; initials (and year of birth); none", examples=["full"])
    patient_id: str
    patient_name: str
    patient_birth_date: date | None
    patient_birth_year: int | None = None
    patient_sex: str
    study_date: date | None
    accession_number: str
    study_description: str
    modalities: list[str]
    series_count: int
    instance_count: int
    size_bytes: int
    last_received_at: datetime


class StudyGroupsOut(Schema):
    """A study and its deliveries by destination."""

    study: StudyShownOut
    destinations: list[GroupOut]


class GroupPage(Page[StudyGroupsOut]):
    """A page of studies, the newest first."""


class DeliveryAttemptQuery(Schema):
    """Of which study, or of which delivery alone."""

    study_instance_uid: Text = ""
    node: Text = Field(default="", description="Name of the destination; empty: all", examples=["archive"])
    delivery: RowId | None = Field(default=None, description="Number of a delivery (`id`); then the study need not be named")
    limit: int = Field(default=200, ge=1, le=1000, description="The newest so many")


class DeliveryAttemptOut(Schema):
    """Instances of a study that met the same at the same attempt."""

    node: str = Field(examples=["archive"])
    number: int = Field(description="Which attempt it was; 0: the destination as a whole was asked for a sign of life")
    outcome: Literal["confirmed", "refused", "failed", "damaged", "untried", "missing", "silent"] = Field(
        description="refused: it answered a failure; failed: no answer came; damaged: the stored bytes are not those received; "
        "untried: no connection could be had; missing: confirmed, but not found there later; silent: no sign of life"
    )
    dimse_status: int | None = Field(description="What the destination answered (PS3.7 C)", examples=[42752])
    cause: str = Field(description="What went wrong; empty: nothing")
    remedy: str = Field(description="What to do about it")
    count: int = Field(description="Instances; silent: times")
    dead: int = Field(description="Of these were given up")
    delivery_ids: list[int] = Field(description="Numbers of the deliveries, the first hundred")
    began_at: datetime
    ended_at: datetime
    seconds: float = Field(description="From the first byte to the last answer")


class DeliveryAttemptList(Schema):
    """Attempts, the newest first. The newest hundred that failed are kept for each study and destination."""

    items: list[DeliveryAttemptOut]
    next: str | None = None


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


class ReceiptQuery(Schema):
    """Which receipt."""

    removed: bool = Field(default=False, description="The proof that was kept of a removed study, though it has come again")


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
    changed: str = Field(description="What was sent differs: edited, transcoded; empty: verbatim")
    sent_syntax: str = Field(description="Transfer syntax of what was sent; empty: as stored")
    rule_name: str
    decision_id: int | None = Field(description="The decision behind it")
    hold_reason: str
    resends: int = Field(description="Sent again because it was not found at the destination")
    verified_at: datetime | None
    verified_by: str = Field(description="commitment or query; empty: not verified", examples=["query"])
    verify_error: str
    origin: str = Field(
        description="again: a person had it sent once more; move: a C-MOVE; empty: ordered once", examples=["again"]
    )
    ordered_by: str = Field(
        description="Who ordered it by hand; of a C-MOVE the AE title that asked; empty: a rule, or before this was noted"
    )


class DestinationReceiptOut(Schema):
    """All deliveries of a study to one node."""

    node: str
    aet: str
    ordered: int
    confirmed: int
    verified: int = Field(description="Instances that the destination was later found to have")
    complete: bool
    instances: list[InstanceReceiptOut]


class ReceiptOut(Schema):
    """What was delivered where, and that it is byte-identical."""

    study_instance_uid: str
    instances: int = Field(description="Current instances of the study")
    removed_at: datetime | None = Field(default=None, description="It was removed then; this is the proof as it was kept")
    complete: bool = Field(description="Everything ordered was confirmed, byte-identical")
    destinations: list[DestinationReceiptOut]


class SteerIn(Schema):
    """One study, in all queues or in that of one node."""

    model_config = ConfigDict(extra="forbid")

    study_instance_uid: Uid
    node: Text | None = Field(default=None, description="Name of the destination; null: all", examples=["archive"])
    reason: Text = Field(default="", description="Stands in the ledger and in the audit; only release needs none")
    priority: int | None = Field(default=None, ge=0, le=1000, description="100 and more is urgent; null: as it is")


class SteerOut(Schema):
    """What came of it."""

    changed: int = Field(description="Deliveries that were changed")
    under_way: int = Field(description="Deliveries that are on the wire this moment: they end as they began")


class OutlookOut(Schema):
    """A destination: what waits, how fast it goes, when it will be through."""

    name: str = Field(examples=["archive"])
    kind: str = Field(examples=["dimse"])
    enabled: bool
    breaker: str = Field(description="closed, open or half-open", examples=["closed"])
    breaker_since: datetime | None
    retry_at: datetime | None
    last_error: str
    last_success_at: datetime | None
    waiting: int
    sent: int
    failed: int
    held: int
    away: int = Field(description="Their bytes lie in another home, whose worker will send them")
    dead: int
    bytes: int = Field(description="Data set bytes still to be sent")
    oldest: datetime | None = Field(description="When the oldest open delivery was ordered")
    rate: float | None = Field(description="Bytes per second lately")
    limit: float | None = Field(description="Bytes per second that its calendar allows now; null: no limit, 0: closed")
    parallel: int | None = Field(description="Associations at once that served best")
    max_associations: int
    finish_at: datetime | None = Field(description="When it is expected to be through; null: nothing waits, or nobody can tell")


class SpanOut(Schema):
    """Part of a weekday, and how fast may be sent then."""

    day: int = Field(description="0 is Monday")
    begin: int = Field(description="Minutes of the day")
    end: int = Field(description="Minutes of the day, not included", examples=[1440])
    limit: float | None = Field(description="Bytes per second; null: no limit, 0: nothing but urgent work")


class FailureKindOut(Schema):
    """What went wrong with some of the newest deliveries that failed."""

    status: str = Field(description="failed (is tried again) or dead (a person decides)", examples=["failed"])
    error: str
    dimse_status: int | None
    count: int
    last_at: datetime


class DestinationOut(OutlookOut):
    """A destination, its week, and what went wrong lately."""

    bandwidth: str = Field(description="The calendar as it was written")
    failure_count: int = Field(description="Connections that failed since the last success")
    time_zone: str = Field(examples=["Europe/Berlin"])
    week: list[SpanOut] = Field(description="The seven days, without gap and overlap, in that time zone")
    errors: list[FailureKindOut] = Field(description="The latest kinds first")


class OutlookList(Schema):
    """All destinations."""

    items: list[OutlookOut]
    next: str | None = None
