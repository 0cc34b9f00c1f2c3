"""What the routes of accounts take and give."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any

from ninja import Schema
from pydantic import Field

from gantry.accounts.page import Page, Text


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


class PasswordChange(Schema):
    """The password as it is and as it shall be."""

    old: Annotated[str, Field(max_length=1024)]
    new: Annotated[str, Field(max_length=1024, description="At least 12 characters")]


class SessionOut(Schema):
    """Who one is and what one may do."""

    username: str = Field(examples=["admin"])
    role: str = Field(examples=["administrator"])
    via: str = Field(description="session or token", examples=["session"])
    must_change_password: bool = Field(description="Nothing else is possible before PUT /session/password")
    actions: list[str] = Field(examples=[["session.own", "studies.view"]])


class TokenIn(Schema):
    """A token to make."""

    name: Annotated[Text, Field(min_length=1, max_length=100, description="What it is for", examples=["nightly report"])]
    actions: list[Annotated[str, Field(max_length=40)]] = Field(
        default_factory=list, max_length=100, description="Narrows what the own role gives; empty: does not narrow",
        examples=[["studies.view"]],
    )  # fmt: skip
    expires_days: Annotated[int, Field(ge=1, le=3650)] | None = Field(default=None, description="Null: never", examples=[90])


class TokenOut(Schema):
    """A token, without its secret."""

    id: int
    name: str
    prefix: str = Field(description="How it begins, to recognise it by", examples=["gty_Xk2p9a"])
    actions: list[str]
    created_at: datetime
    expires_at: datetime | None
    last_used_at: datetime | None = Field(description="Correct to a minute")
    revoked_at: datetime | None


class TokenMade(TokenOut):
    """A token that was just made: the only time its secret is shown."""

    token: str = Field(examples=["gty_3q2-7wAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"])


class TokenPage(Page[TokenOut]):
    """A page of tokens."""
