"""What the routes of nodes take and give."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, Literal
from uuid import UUID

from ninja import Schema
from pydantic import ConfigDict, Field, model_validator

from gantry.accounts.page import Page, Text
from gantry.nodes.certificates import ends
from gantry.nodes.echo import EchoResult
from gantry.nodes.kinds import words_of
from gantry.nodes.models import Node

NodeName = Annotated[str, Field(min_length=1, max_length=63, pattern=r"^[A-Za-z0-9][A-Za-z0-9_-]*$", examples=["archive"])]


Transcode = Literal["never", "uncompressed", "any"]
Reconcile = Literal["off", "find", "commit", "auto"]
HttpAuth = Literal["", "basic", "bearer"]
_CALENDAR = "Mon-Fri 07:00-19:00 20 Mbit/s; * 0"
_BANDWIDTH = "Calendar of limits in the site's time zone; 0: no limit, off: nothing but urgent work"
_FAILOVER = "Unreachable for so long, deliveries go to the next node of their list"


class SecurityIn(Schema):
    """TLS and user of a node. Files are paths on the server."""

    model_config = ConfigDict(extra="forbid")

    tls: bool = Field(default=False, description="Only over TLS, never plain")
    authorities: Annotated[Text, Field(max_length=1000)] = Field(default="", description="PEM file of trusted authorities")
    fingerprint: Annotated[Text, Field(max_length=100)] = Field(default="", description="SHA-256 of its certificate")
    certificate: Annotated[Text, Field(max_length=1000)] = Field(default="", description="PEM file of our certificate")
    key: Annotated[Text, Field(max_length=1000)] = Field(default="", description="PEM file of its key")
    user: Annotated[Text, Field(max_length=256)] = Field(default="", description="User name in user identity negotiation")
    passcode: Annotated[Text, Field(max_length=1024)] = Field(
        default="", description="Kept sealed, or as env:GANTRY_SECRET_NAME, file:/path; never shown"
    )


class NodeIn(Schema):
    """A node to add: its `address`, or `aet`, `host` and `port`."""

    model_config = ConfigDict(extra="forbid")

    name: NodeName
    address: Annotated[Text, Field(max_length=300)] = Field(
        default="",
        description="AET@HOST:PORT, https://HOST/PATH of a DICOMweb server, or folder:/PATH",
        examples=["ARCHIVE@192.0.2.7:104"],
    )
    aet: Annotated[Text, Field(max_length=16)] = Field(default="", examples=["ARCHIVE"])
    host: Annotated[Text, Field(max_length=253)] = Field(default="", examples=["192.0.2.7"])
    port: int | None = Field(default=None, ge=1, le=65535, examples=[104])
    calling_aet: Annotated[Text, Field(max_length=16)] = Field(
        default="", description="Our AE title towards it; empty: this server's own"
    )
    max_associations: int = Field(default=4, ge=1, le=64)
    max_attempts: int = Field(default=12, ge=1, le=1000, description="Attempts before a delivery is dead")
    connect_seconds: float = Field(default=10.0, ge=0.1, le=600, allow_inf_nan=False)
    response_seconds: float = Field(default=60.0, ge=0.1, le=86400, allow_inf_nan=False)
    enabled: bool = True
    security: SecurityIn = Field(default_factory=SecurityIn)
    transcode: Transcode = Field(default="never", description="What it may be given when it takes nothing else")
    bandwidth: Annotated[Text, Field(max_length=2000)] = Field(default="", description=_BANDWIDTH, examples=[_CALENDAR])
    reconcile: Reconcile = Field(default="auto", description="How we find out whether it has what it confirmed")
    failover_seconds: float = Field(default=300.0, ge=1, le=2_592_000, allow_inf_nan=False, description=_FAILOVER)
    http_auth: HttpAuth = Field(default="", description="DICOMweb: how user and passcode are told")
    path_template: Annotated[Text, Field(max_length=400)] = Field(
        default="", description="Folder: where files go", examples=["{StudyInstanceUID}/{SOPInstanceUID}.dcm"]
    )

    @model_validator(mode="after")
    def _one_address(self) -> NodeIn:
        parts = (self.aet, self.host, self.port)
        if bool(self.address) == any(parts) or (not self.address and not all(parts)):
            raise ValueError("give either address, or aet, host and port")
        return self


class SecurityChange(SecurityIn):
    """TLS and user of a node, all of them anew; without `passcode` that stays."""

    passcode: Annotated[Text, Field(max_length=1024)] | None = Field(  # type: ignore[assignment]  # null: it stays
        default=None, description="Null: it stays; empty: forget it"
    )


class SecurityOut(Schema):
    """TLS and user of a node, for those who edit it. The passcode is never shown."""

    tls: bool
    authorities: str
    fingerprint: str
    certificate: str
    key: str
    user: str
    has_passcode: bool


class NodeTest(NodeIn):
    """A node that is not saved yet, or as it would be."""

    name: Annotated[Text, Field(max_length=63)] = ""
    like: Annotated[Text, Field(max_length=63)] = Field(
        default="", description="A node whose kept passcode counts where none is given"
    )


class NodeChange(Schema):
    """What is to be changed about a node; what is left out stays."""

    model_config = ConfigDict(extra="forbid")

    enabled: bool | None = Field(default=None, description="false holds its deliveries back")
    address: Annotated[Text, Field(max_length=300)] | None = Field(default=None, examples=["ARCHIVE@192.0.2.7:104"])
    calling_aet: Annotated[Text, Field(max_length=16)] | None = None
    max_associations: int | None = Field(default=None, ge=1, le=64)
    max_attempts: int | None = Field(default=None, ge=1, le=1000)
    connect_seconds: float | None = Field(default=None, ge=0.1, le=600, allow_inf_nan=False)
    response_seconds: float | None = Field(default=None, ge=0.1, le=86400, allow_inf_nan=False)
    failover_seconds: float | None = Field(default=None, ge=1, le=2_592_000, allow_inf_nan=False, description=_FAILOVER)
    transcode: Transcode | None = None
    bandwidth: Annotated[Text, Field(max_length=2000)] | None = Field(default=None, description=_BANDWIDTH, examples=[_CALENDAR])
    reconcile: Reconcile | None = None
    http_auth: HttpAuth | None = None
    path_template: Annotated[Text, Field(max_length=400)] | None = None
    security: SecurityChange | None = None


class NodeOut(Schema):
    """A node, and how it has been lately."""

    name: str = Field(examples=["archive"])
    kind: str = Field(description="dimse, dicomweb or folder", examples=["dimse"])
    address: str = Field(description="As in `POST /nodes`", examples=["ARCHIVE@192.0.2.7:104"])
    aet: str
    host: str
    port: int
    calling_aet: str
    max_associations: int
    max_attempts: int
    connect_seconds: float
    response_seconds: float
    enabled: bool
    tls: bool
    tls_fingerprint: str
    user_name: str
    transcode: str
    bandwidth: str
    reconcile: str
    failover_seconds: float
    http_auth: str
    path_template: str
    breaker: str = Field(description="closed: it is sent to; open: it could not be reached; half-open: it is being asked")
    breaker_since: datetime | None = Field(description="When the breaker left closed")
    profiled_at: datetime | None = Field(description="When it was probed last")
    profile_change: str = Field(description="What differed from the probe before; empty: nothing")
    certificate_ends_at: datetime | None = Field(description="When the certificate ends that it showed at the last probe")
    own_certificate_ends_at: datetime | None = Field(description="When our own certificate towards it ends")
    created_at: datetime
    last_success_at: datetime | None
    last_failure_at: datetime | None
    last_error: str = Field(description="Why the last connection failed; empty after a success")
    failure_count: int = Field(description="Connections that failed since the last success")
    retry_at: datetime | None = Field(description="Nothing is sent before, because the last connection failed")

    @staticmethod
    def resolve_certificate_ends_at(node: Node) -> str | None:
        """As the last probe has seen it."""
        return ((node.profile or {}).get("certificate") or {}).get("not_after")

    @staticmethod
    def resolve_own_certificate_ends_at(node: Node) -> datetime | None:
        """Read from its file, which may be renewed at any time."""
        return ends(node.tls_certificate) if node.tls_certificate else None

    @staticmethod
    def resolve_address(node: Node) -> str:
        """The written form."""
        return words_of(node)


class NodePage(Page[NodeOut]):
    """A page of nodes."""


class EchoOut(Schema):
    """What a C-ECHO came to."""

    ok: bool
    milliseconds: float = Field(description="From the connection to the answer or the failure")
    dimse_status: int | None = Field(description="What the node answered (PS3.7 C); 0 is Success")
    message: str = Field(default="", description="Why it failed", examples=["connection refused"])
    remedy: str = ""

    @classmethod
    def of(cls, result: EchoResult) -> EchoOut:
        """From what `nodes.echo` gives."""
        milliseconds = round(result.seconds * 1000, 3)
        return cls(
            ok=result.ok,
            milliseconds=milliseconds,
            dimse_status=result.dimse_status,
            message=result.explanation,
            remedy=result.remedy,
        )


class FindIn(Schema):
    """What to ask a node."""

    model_config = ConfigDict(extra="forbid")

    level: Literal["patient", "study", "series", "image"] = "study"
    keys: dict[Annotated[str, Field(max_length=64)], Text] = Field(
        default_factory=dict, max_length=64, description="By keyword", examples=[{"PatientID": "4711", "StudyDate": "20260101-"}]
    )
    wanted: list[Annotated[str, Field(max_length=64)]] = Field(
        default_factory=list, max_length=64, description="Keywords to answer"
    )
    limit: int = Field(default=100, ge=1, le=1000)
    skip: int = Field(default=0, ge=0, le=10_000, description="Answers to leave out, for the next page")
    seconds: float = Field(default=30.0, ge=1, le=120, allow_inf_nan=False, description="Give up after this")


class FindOut(Schema):
    """The answers of a node that fit what was asked."""

    items: list[dict[str, str | list[str]]]
    more: bool = Field(description="There may be more: ask with a higher `skip`")
    dropped: int = Field(description="Answers that did not fit what was asked")


class FetchIn(Schema):
    """What to fetch into the home."""

    model_config = ConfigDict(extra="forbid")

    uids: list[Annotated[Text, Field(max_length=200)]] = Field(
        min_length=1, max_length=1000, description="STUDY, STUDY/SERIES or STUDY/SERIES/INSTANCE", examples=[["1.2.840.1"]]
    )
    how: Literal["auto", "get", "move"] = "auto"


class FetchOut(Schema):
    """A fetch and how far it is."""

    id: UUID
    state: str = Field(description="waiting, running, done, failed or cancelled", examples=["running"])
    uids: list[str]
    how: str
    announced: int | None = Field(description="Instances that the node says it has; null: it could not say, or was not asked yet")
    received: int
    present: int = Field(description="Were here before")
    missing: list[str] = Field(description="SOP Instance UIDs that did not come")
    error: str
    created_at: datetime
    started_at: datetime | None
    ended_at: datetime | None


class FetchPage(Page[FetchOut]):
    """A page of fetches."""


class ProbeOut(Schema):
    """What a node can do."""

    profile: dict[str, Any]
    changes: list[str] = Field(description="What differs from the probe before")


class ProfileOut(Schema):
    """What is known of a node from its last probe."""

    profiled_at: datetime | None = Field(description="null: it was never probed")
    profile: dict[str, Any] | None
    change: str = Field(description="What differed from the probe before; empty: nothing")
    names: dict[str, str] = Field(description="The UIDs in it, with their names in the standard")
    quirks: dict[str, str] = Field(description="Its quirks, with what they mean")
