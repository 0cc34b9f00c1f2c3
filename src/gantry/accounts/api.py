"""Routes: the session and one's own tokens."""

from __future__ import annotations

from typing import Any

from django.http import HttpRequest
from django.middleware.csrf import get_token
from ninja import Path, Query, Router, Status

from gantry.accounts import sign_in, tokens
from gantry.accounts.allowed import Actor
from gantry.accounts.models import Token
from gantry.accounts.page import PageQuery, RowId, answer, by_id
from gantry.accounts.route import actor_of, anyone, may
from gantry.accounts.schemas import PasswordChange, SessionOut, SignIn, TokenIn, TokenMade, TokenOut, TokenPage

router = Router(tags=["accounts"])


def _session(actor: Actor) -> dict[str, Any]:
    return {
        "username": actor.username, "role": actor.role, "via": actor.via,
        "must_change_password": actor.must_change_password, "actions": sorted(actor.actions),
    }  # fmt: skip


@router.post("/session", auth=anyone("Signing in is how one becomes somebody"), response={201: SessionOut}, summary="Sign in")
def sign_in_(request: HttpRequest, body: SignIn) -> Status[dict[str, Any]]:
    """Open a session (cookie `sessionid`); unsafe requests then need the header `X-CSRFToken` from the cookie `csrftoken`."""
    return Status(201, _session(sign_in.sign_in(request, body.username, body.password)))


@router.get("/session", auth=may("session.own"), response=SessionOut, summary="Who am I?")
def who_am_i(request: HttpRequest) -> dict[str, Any]:
    """The user or token of this request and what it may do."""
    if actor_of(request).via == "session":
        get_token(request)
    return _session(actor_of(request))


@router.delete("/session", auth=may("session.own"), response={204: None}, summary="Sign out")
def sign_out(request: HttpRequest) -> Status[None]:
    """End the session. A token is not a session and stays; revoke it instead."""
    sign_in.sign_out(request)
    return Status(204, None)


@router.put("/session/password", auth=may("session.own"), response=SessionOut, summary="Change the own password")
def change_password(request: HttpRequest, body: PasswordChange) -> dict[str, Any]:
    """Replace the own password; the other sessions of the user end."""
    return _session(sign_in.change_password(request, body.old, body.new))


@router.get("/tokens", auth=may("tokens.own"), response=TokenPage, summary="List own tokens")
def list_tokens(request: HttpRequest, query: Query[PageQuery]) -> dict[str, Any]:
    """Your tokens, newest first, those that ended too."""
    found, cursor = by_id(Token.objects.filter(user_id=actor_of(request).user_id or 0), query, newest_first=True)
    return answer(request, found, cursor)


@router.post("/tokens", auth=may("tokens.own"), response={201: TokenMade}, summary="Make a token")
def create_token(request: HttpRequest, body: TokenIn) -> Status[dict[str, Any]]:
    """Make a token. Its secret is in this answer and nowhere else."""
    token, plaintext = tokens.create_for(actor_of(request), body.name, actions=body.actions, expires_days=body.expires_days)
    return Status(201, {**TokenOut.from_orm(token).dict(), "token": plaintext})


@router.delete("/tokens/{token_id}", auth=may("tokens.own"), response=TokenOut, summary="Revoke a token")
def revoke_token(request: HttpRequest, token_id: Path[RowId]) -> Token:
    """End a token of yours at once and for good."""
    return tokens.revoke(actor_of(request), token_id)
