"""Route: what the web app needs to know before anybody is signed in, in one request."""

from __future__ import annotations

from typing import Any

from django.http import HttpRequest
from django.middleware.csrf import get_token
from ninja import Router, Schema
from pydantic import Field

import gantry
from gantry import config
from gantry.accounts import bootstrap
from gantry.accounts.api import session_of
from gantry.accounts.route import anyone, somebody_or_nobody
from gantry.accounts.schemas import SessionOut
from gantry.main import openid

router = Router(tags=["accounts"])


class ProviderOut(Schema):
    """Somewhere else to sign in."""

    name: str = Field(examples=["Clinic"])
    url: str = Field(examples=["/account/openid/sso/"])


class WelcomeOut(Schema):
    """Who asks, and how one can sign in here."""

    version: str = Field(examples=["0.1.0"])
    aet: str = Field(description="The AE title of this instance; empty while nobody is signed in", examples=["GANTRY"])
    session: SessionOut | None = Field(default=None, description="Null: nobody is signed in")
    providers: list[ProviderOut] = Field(description="Others that vouch for people (OpenID Connect)")
    self_registration: bool = Field(description="Whether one may ask for an account")
    first_start: bool = Field(description="Nobody has signed in yet: the first password is the one that the start has printed")
    mail: bool = Field(description="Whether this instance sends mail; without it administrators give new passwords")


@router.get(
    "/welcome", auth=anyone("The sign-in page has no account; it says how to sign in and nothing of what is stored"),
    response=WelcomeOut, summary="How can I sign in, and am I?",
)  # fmt: skip
def welcome(request: HttpRequest) -> dict[str, Any]:
    """For the first moment of a page: never 401."""
    settings = config.current()
    actor = somebody_or_nobody(request)
    signed_in = actor.user_id is not None
    if signed_in and actor.via == "session":
        get_token(request)
    return {
        "version": gantry.__version__,
        "aet": settings.aet if signed_in else "",
        "session": session_of(actor) if signed_in else None,
        "providers": openid.offered(),
        "self_registration": settings.self_registration,
        "first_start": not signed_in and bootstrap.waits_for_first_sign_in(),
        "mail": bool(settings.mail_smtp),
    }
