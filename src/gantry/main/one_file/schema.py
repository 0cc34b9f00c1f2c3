"""What may stand in the file, section by section. What is left out has the value it has in a new object.

Two things stay as they are when they are left out: secrets, and whether a user is locked.
"""

from __future__ import annotations

import json
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, field_validator

from gantry.accounts.models import MEMBER_ROLES, ROLE_NAMES, Source

#: The form of this file; a release that cannot read an older one says so.
FORMAT = 1

#: PostgreSQL has no NUL in text.
_NO_NUL = r"^[^\u0000]*$"
Text = Annotated[str, StringConstraints(max_length=2000, pattern=_NO_NUL)]
Name = Annotated[str, StringConstraints(min_length=1, max_length=63, pattern=_NO_NUL)]
Wide = Annotated[str, StringConstraints(min_length=1, max_length=150, pattern=_NO_NUL)]


class Part(BaseModel):
    """What all sections have in common."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class Kept(Part):
    """There is a secret, and it stays what it is."""

    sealed: Literal["kept"]


Secret = Annotated[
    Kept | Annotated[str, StringConstraints(max_length=4096, pattern=_NO_NUL)] | None,
    Field(
        description="Where the secret is: env:GANTRY_SECRET_NAME or file:/run/secrets/NAME. `sealed: kept`, or left out: what is "
        "stored stays. Empty text: none any more",
        examples=["env:GANTRY_SECRET_PACS", {"sealed": "kept"}],
    ),
]


class User(Part):
    """A person or machine. Never a password: a new one is invited by mail (`gantry apply --invite`), or made locked."""

    name: Wide
    email: Text = ""
    role: Literal[ROLE_NAMES] = "none"  # type: ignore[valid-type]  # the words of the room
    first_name: Text = ""
    last_name: Text = ""
    phone: Text = ""
    department: Text = ""
    locked: bool | None = Field(default=None, description="Left out: stays as it is")


class Institute(Part):
    """A tenant."""

    name: Wide
    description: Text = ""
    all_studies: bool = False


class SourceOf(Part):
    """What makes a study belong to an institute."""

    institute: Wide
    kind: Literal[Source.KINDS]  # type: ignore[valid-type]  # the words of the room
    pattern: Text


class Member(Part):
    """A user in an institute."""

    institute: Wide
    user: Wide
    role: Literal[MEMBER_ROLES]  # type: ignore[valid-type]  # the words of the room


class Group(Part):
    """What some members of an institute may beyond their role."""

    institute: Wide
    name: Wide
    actions: list[Name] = Field(default=[], max_length=200)
    members: list[Wide] = Field(default=[], max_length=10_000, description="Names of users")


class Node(Part):
    """A place we send to and ask: AET@HOST:PORT, https://... (DICOMweb) or folder:/path."""

    name: Name
    address: Text
    enabled: bool = True
    calling_aet: Text = ""
    max_associations: int = 4
    max_attempts: int = 12
    connect_seconds: float = 10.0
    response_seconds: float = 60.0
    failover_seconds: float = 300.0
    transcode: Text = "never"
    bandwidth: Text = Field(default="", description="Calendar of windows", examples=["Mon-Fri 07:00-19:00 20 Mbit/s; * 0"])
    reconcile: Text = "auto"
    path_template: Text = ""
    tls: bool = False
    authorities: Text = ""
    fingerprint: Text = ""
    certificate: Text = ""
    key: Text = Field(default="", description="PEM file; the key itself stays where it is")
    http_auth: Text = ""
    user: Text = ""
    passcode: Secret = None


class Caller(Part):
    """Who may call the DICOM port."""

    aet: Annotated[str, StringConstraints(min_length=1, max_length=16)]
    name: Text = ""
    may: list[Name] = Field(default=["echo", "store"], min_length=1, max_length=6)
    hosts: list[Text] = Field(default=[], max_length=1000)
    certificate: Text = ""
    enabled: bool = True


class Rule(Part):
    """A routing rule; rules decide in the order of the file."""

    name: Name
    enabled: bool = True
    when: list[Annotated[str, StringConstraints(max_length=20_000)] | dict[str, Any]] = Field(
        default=[], max_length=100, description="All must hold", examples=[["Modality=CT,MR"]]
    )
    trigger: Text = "arrived"
    destinations: list[Name] = Field(default=[], max_length=100)
    quiet_seconds: float | None = None
    mode: Text = "all"
    priority: int = 0
    hold: bool = False
    edits: list[dict[str, Any]] = Field(default=[], max_length=100)
    quarantine: Text = ""


class Retention(Part):
    """When studies go to the trash by themselves."""

    name: Name
    days: int
    after: Literal["delivered", "received"] = "delivered"
    calling_aet: Text = ""
    modality: Text = ""
    enabled: bool = True


class Volume(Part):
    """Where objects are kept. `home` is the home itself and has no path."""

    name: Name
    path: Text = ""
    wanted: Literal["writing", "readonly"] = "writing"
    quota_bytes: int | None = Field(default=None, ge=1, lt=2**60)
    reserve_bytes: int = Field(default=0, ge=0, lt=2**60)
    position: int | None = Field(default=None, ge=0, le=1_000_000, description="Filled in this order; left out: stays, or last")


class Webhook(Part):
    """Who is told over HTTP."""

    name: Wide
    url: Text
    kinds: list[Name] = Field(default=[], max_length=100, description="Kinds of facts; none: all")
    enabled: bool = True
    secret: Secret = None


class SetupFile(Part):
    """The whole set-up of an instance. A section that is left out is not looked at."""

    gantry: Literal[1] = Field(description="The form of this file")
    settings: dict[str, Any] | None = Field(
        default=None, max_length=200, description="Compared with what is in force; written to gantry.yaml with --settings only"
    )
    users: list[User] | None = Field(default=None, max_length=10_000)
    institutes: list[Institute] | None = Field(default=None, max_length=10_000)
    sources: list[SourceOf] | None = Field(default=None, max_length=10_000)
    members: list[Member] | None = Field(default=None, max_length=50_000)
    groups: list[Group] | None = Field(default=None, max_length=10_000)
    nodes: list[Node] | None = Field(default=None, max_length=10_000)
    callers: list[Caller] | None = Field(default=None, max_length=10_000)
    rules: list[Rule] | None = Field(default=None, max_length=2000)
    retention: list[Retention] | None = Field(default=None, max_length=1000)
    volumes: list[Volume] | None = Field(default=None, max_length=1000)
    webhooks: list[Webhook] | None = Field(default=None, max_length=1000)

    @field_validator("gantry", mode="before")
    @classmethod
    def _form(cls, value: Any) -> Any:
        if value != FORMAT or isinstance(value, bool):
            raise ValueError(f"must be {FORMAT}: the form of file that this release reads")
        return value


def json_schema() -> str:
    """The JSON schema of the file, for editors and for docs/reference/one-file.schema.json."""
    found = {"$schema": "https://json-schema.org/draft/2020-12/schema", **SetupFile.model_json_schema()}
    return json.dumps(found, indent=1, sort_keys=True, ensure_ascii=False) + "\n"
