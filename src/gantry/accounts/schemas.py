"""What the routes of accounts take and give."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any
from uuid import UUID

from ninja import Schema
from pydantic import Field

from gantry.accounts.page import Page, Text, Uid


class ErrorBody(Schema):
    """What went wrong, for a program (`code`) and for a person (`message`, `remedy`)."""

    code: str = Field(description="Stable word to decide on", examples=["not_found"])
    message: str = Field(examples=["There is no such study."])
    remedy: str = Field(default="", description="What to do about it", examples=["Look it up in the list it belongs to."])
    details: Any = Field(default=None, description="More, as the code needs; with `invalid` the list of wrong values")


class ErrorAnswer(Schema):
    """The body of every answer that is no success."""

    error: ErrorBody


class SignIn(Schema):
    """Name and password."""

    username: Annotated[Text, Field(max_length=150, examples=["admin"])]
    password: Annotated[str, Field(max_length=1024, examples=["correct horse battery staple"])]
    code: Annotated[Text, Field(max_length=32)] = Field(default="", description="Of the second factor, when one is set up")


class PasswordChange(Schema):
    """The password as it is and as it shall be."""

    old: Annotated[str, Field(max_length=1024)]
    new: Annotated[str, Field(max_length=1024, description="At least 12 characters")]


class InstituteRole(Schema):
    """An institute and the role there."""

    name: str = Field(examples=["Radiology"])
    role: str = Field(examples=["clinician"])


class SessionOut(Schema):
    """Who one is and what one may do."""

    username: str = Field(examples=["admin"])
    role: str = Field(examples=["administrator"])
    via: str = Field(description="session or token", examples=["session"])
    must_change_password: bool = Field(description="Nothing else is possible before PUT /session/password")
    actions: list[str] = Field(examples=[["session.own", "studies.view"]])
    institute: str | None = Field(default=None, description="The active institute of a session", examples=["Radiology"])
    institutes: list[InstituteRole] = Field(default_factory=list, description="All institutes one is in")


class CheckOut(Schema):
    """A token or session that holds."""

    username: str = Field(examples=["admin"])
    via: str = Field(description="session or token", examples=["token"])
    expires_at: datetime | None
    actions: list[str]
    nodes: list[str] | None = Field(description="Only these; null: all")
    institutes: list[str] = Field(description="The institutes that count now")


class MayQuery(Schema):
    """What one would like to do."""

    action: Annotated[Text, Field(max_length=40, examples=["studies.download"])]
    study: Uid | None = Field(default=None, description="With this study")
    node: Annotated[Text, Field(max_length=100)] = Field(default="", description="With this node")


class MayOut(Schema):
    """Yes or no, and why."""

    allowed: bool
    reason: str = Field(examples=["the role viewer does not include studies.download"])
    action: str


class InstituteChoice(Schema):
    """An institute of one's own."""

    name: Annotated[Text, Field(min_length=1, max_length=100, examples=["Radiology"])]


class SessionRow(Schema):
    """A session."""

    id: UUID
    address: str = Field(examples=["192.0.2.7"])
    agent: str = Field(description="What the browser calls itself")
    created_at: datetime
    last_used_at: datetime | None = Field(description="Correct to a minute")
    expires_at: datetime
    current: bool = Field(description="The session of this request")


class SessionRows(Page[SessionRow]):
    """Sessions."""


class Taken(Schema):
    """How many ended."""

    ended: int


class Accepted(Schema):
    """The wish was taken; what comes of it is not told."""

    message: str


class OwnPassword(Schema):
    """The own password once more."""

    password: Annotated[str, Field(max_length=1024)]


class SecondFactorOut(Schema):
    """Whether there is a second factor."""

    enabled: bool
    recovery_codes_left: int


class SecondFactorStarted(Schema):
    """What an authenticator app needs."""

    secret: str = Field(description="Base32, to type in")
    uri: str = Field(description="otpauth://..., to show as a QR code")


class SecondFactorIn(Schema):
    """A code."""

    code: Annotated[Text, Field(min_length=1, max_length=32, examples=["123456"])]


class SecondFactorMade(Schema):
    """The second factor counts from now on."""

    recovery_codes: list[str] = Field(description="Each works once, when the authenticator is lost; shown only here")


class Email(Schema):
    """An address."""

    email: Annotated[Text, Field(min_length=3, max_length=254, examples=["jane@example.org"])]


class RegistrationIn(Email):
    """Somebody who wants an account."""

    username: Annotated[Text, Field(min_length=1, max_length=150, examples=["jane"])]
    first_name: Annotated[Text, Field(min_length=1, max_length=150, examples=["Jane"])]
    last_name: Annotated[Text, Field(min_length=1, max_length=150, examples=["Doe"])]
    phone: Annotated[Text, Field(max_length=64)] = ""
    department: Annotated[Text, Field(max_length=128)] = ""
    message: Annotated[Text, Field(max_length=1000)] = ""


class LinkIn(Schema):
    """What stands behind # in the link of a mail."""

    link: Annotated[Text, Field(min_length=1, max_length=100)]


class LinkPassword(LinkIn):
    """A link and the password that shall hold from now on."""

    password: Annotated[str, Field(max_length=1024, description="At least 12 characters")]


class TokenIn(Schema):
    """A token to make."""

    name: Annotated[Text, Field(min_length=1, max_length=100, description="What it is for", examples=["nightly report"])]
    actions: list[Annotated[str, Field(max_length=40)]] = Field(
        default_factory=list, max_length=100, description="Narrows what the own role gives; empty: does not narrow",
        examples=[["studies.view"]],
    )  # fmt: skip
    nodes: list[Annotated[Text, Field(max_length=100)]] = Field(
        default_factory=list, max_length=100, description="Only these nodes; empty: all"
    )
    institutes: list[Annotated[Text, Field(max_length=100)]] = Field(
        default_factory=list, max_length=100, description="Only studies of these institutes; empty: of all one's own"
    )
    expires_days: Annotated[int, Field(ge=1, le=3650)] | None = Field(default=None, description="Null: never", examples=[90])


class TokenOut(Schema):
    """A token, without its secret."""

    id: int
    name: str
    prefix: str = Field(description="How it begins, to recognise it by", examples=["gty_Xk2p9a"])
    actions: list[str]
    nodes: list[str] = Field(description="Empty: all")
    institutes: list[int] | None = Field(description="Ids; null: all of its user's")
    created_at: datetime
    expires_at: datetime | None
    last_used_at: datetime | None = Field(description="Correct to a minute")
    last_address: str = Field(description="Where it was last used from")
    revoked_at: datetime | None


class TokenMade(TokenOut):
    """A token that was just made: the only time its secret is shown."""

    token: str = Field(examples=["gty_3q2-7wAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"])


class TokenPage(Page[TokenOut]):
    """A page of tokens."""
