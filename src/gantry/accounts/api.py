"""Routes: the session, its second factor, the own sessions and tokens; registering, and links from mails."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from django.http import HttpRequest
from django.middleware.csrf import get_token
from django.utils import timezone
from ninja import Path, Query, Router, Status

from gantry.accounts import explain, institutes, people, registrations, second_factor, sign_in, tokens, trail
from gantry.accounts.actors import actor_of_user, places_of
from gantry.accounts.allowed import Actor
from gantry.accounts.errors import NotFound
from gantry.accounts.models import Session, Token, User
from gantry.accounts.page import PageQuery, RowId, answer, by_id
from gantry.accounts.route import actor_of, anyone, may
from gantry.accounts.schemas import (
    Accepted,
    CheckOut,
    Email,
    InstituteChoice,
    LinkIn,
    LinkPassword,
    MayOut,
    MayQuery,
    OwnPassword,
    PasswordChange,
    RegistrationIn,
    SecondFactorIn,
    SecondFactorMade,
    SecondFactorOut,
    SecondFactorStarted,
    SessionOut,
    SessionRows,
    SignIn,
    Taken,
    TokenIn,
    TokenMade,
    TokenOut,
    TokenPage,
)

router = Router(tags=["accounts"])
#: The same whoever asks.
ACCEPTED = {"message": "If it is possible, a mail is on its way."}


def session_of(actor: Actor) -> dict[str, Any]:
    """Who one is and what one may do, as SessionOut has it."""
    places = places_of(actor.user_id) if actor.user_id is not None else ()
    active = actor.places[0] if actor.via == "session" and actor.places else None
    return {
        "username": actor.username, "role": actor.role, "via": actor.via,
        "must_change_password": actor.must_change_password, "actions": sorted(actor.actions),
        "institute": active.institute if active else None,
        "institutes": [
            {"name": place.institute, "role": place.role} for place in places
            if actor.institutes is None or place.institute_id in actor.institutes
        ],
    }  # fmt: skip


@router.post("/session", auth=anyone("Signing in is how one becomes somebody"), response={201: SessionOut}, summary="Sign in")
def sign_in_(request: HttpRequest, body: SignIn) -> Status[dict[str, Any]]:
    """Open a session (cookie `sessionid`); unsafe requests then need the header `X-CSRFToken` from the cookie `csrftoken`."""
    return Status(201, session_of(sign_in.sign_in(request, body.username, body.password, body.code)))


@router.get("/session", auth=may("session.own"), response=SessionOut, summary="Who am I?")
def who_am_i(request: HttpRequest) -> dict[str, Any]:
    """The user or token of this request and what it may do."""
    if actor_of(request).via == "session":
        get_token(request)
    return session_of(actor_of(request))


@router.delete("/session", auth=may("session.own"), response={204: None}, summary="Sign out")
def sign_out(request: HttpRequest) -> Status[None]:
    """End the session. A token is not a session and stays; revoke it instead."""
    sign_in.sign_out(request)
    return Status(204, None)


@router.put("/session/password", auth=may("session.own"), response=SessionOut, summary="Change the own password")
def change_password(request: HttpRequest, body: PasswordChange) -> dict[str, Any]:
    """Replace the own password; the other sessions of the user end."""
    return session_of(sign_in.change_password(request, body.old, body.new))


@router.get("/session/check", auth=may("session.own"), response=CheckOut, summary="Does this token hold?")
def check_session(request: HttpRequest) -> dict[str, Any]:
    """Whose token or session this is, what narrows it, and until when. 401: it does not hold."""
    actor = actor_of(request)
    return {
        "username": actor.username, "via": actor.via, "expires_at": actor.until,
        "actions": sorted(actor.actions), "nodes": None if actor.nodes is None else sorted(actor.nodes),
        "institutes": [place.institute for place in actor.places],
    }  # fmt: skip


@router.get("/session/may", auth=may("session.own"), response=MayOut, summary="May I, and why not?")
def explain_(request: HttpRequest, query: Query[MayQuery]) -> dict[str, Any]:
    """Whether one may do an action, with a study or a node, and the reason in words."""
    decision = explain.explain(actor_of(request), query.action, query.study, query.node)
    return {"allowed": decision.allowed, "reason": decision.reason, "action": query.action}


@router.put("/session/institute", auth=may("session.own"), response=SessionOut, summary="Change the active institute")
def choose_institute(request: HttpRequest, body: InstituteChoice) -> dict[str, Any]:
    """From now on the rights of one's sessions are those in this institute; tokens are not touched."""
    actor = actor_of(request)
    institutes.activate(actor.user_id or 0, body.name, trail.by_request(request))
    user = User.objects.get(pk=actor.user_id or 0)
    return session_of(actor_of_user(user) if actor.via == "session" else actor)


@router.get("/sessions", auth=may("session.own"), response=SessionRows, summary="List own sessions")
def list_sessions(request: HttpRequest) -> dict[str, Any]:
    """Where one is signed in, last used first, at most 100."""
    return {"items": _sessions_of(actor_of(request).user_id or 0, request.session.session_key), "next": None}


def _sessions_of(user_id: int, own: str | None = None) -> list[dict[str, Any]]:
    rows = Session.objects.filter(user_id=user_id, expire_date__gt=timezone.now()).order_by("-last_used_at")[:100]
    return [
        {"id": row.public_id, "address": row.address, "agent": row.agent, "created_at": row.created_at,
         "last_used_at": row.last_used_at, "expires_at": row.expire_date, "current": row.session_key == own}
        for row in rows
    ]  # fmt: skip


@router.delete("/sessions", auth=may("session.own"), response=Taken, summary="End all other sessions")
def end_other_sessions(request: HttpRequest) -> dict[str, int]:
    """Every session of one's own but this one; with a token: every one."""
    user = User.objects.get(pk=actor_of(request).user_id or 0)
    key = request.session.session_key if actor_of(request).via == "session" else ""
    return {"ended": people.end_sessions(user, trail.by_request(request), keep=key or "")}


@router.delete("/sessions/{session_id}", auth=may("session.own"), response=Taken, summary="End a session")
def end_session(request: HttpRequest, session_id: UUID) -> dict[str, int]:
    """End one session of one's own at once."""
    user = User.objects.get(pk=actor_of(request).user_id or 0)
    ended = people.end_sessions(user, trail.by_request(request), public_id=session_id)
    if not ended:
        raise NotFound("You have no such session.")
    return {"ended": ended}


@router.get("/session/second-factor", auth=may("session.own"), response=SecondFactorOut, summary="Have I a second factor?")
def get_second_factor(request: HttpRequest) -> dict[str, Any]:
    """Whether signing in asks for a code, and how many recovery codes are left."""
    return second_factor.state(actor_of(request).user_id or 0)


@router.post(
    "/session/second-factor", auth=may("session.own"), response=SecondFactorStarted, summary="Begin with a second factor"
)
def start_second_factor(request: HttpRequest, body: OwnPassword) -> dict[str, str]:
    """A secret for an authenticator app (RFC 6238), for the own password. It counts once a code of it was shown by PUT."""
    return second_factor.start(request, body.password)


@router.put("/session/second-factor", auth=may("session.own"), response=SecondFactorMade, summary="Confirm the second factor")
def confirm_second_factor(request: HttpRequest, body: SecondFactorIn) -> dict[str, list[str]]:
    """From now on signing in asks for a code. The recovery codes are shown once, here."""
    return {"recovery_codes": second_factor.confirm(request, body.code)}


@router.delete("/session/second-factor", auth=may("session.own"), response={204: None}, summary="Give up the second factor")
def remove_second_factor(request: HttpRequest, body: SecondFactorIn) -> Status[None]:
    """For a code of it, or a recovery code."""
    second_factor.remove(request, body.code)
    return Status(204, None)


@router.post(
    "/account/register", auth=anyone("Nobody has an account before they ask for one"), response={202: Accepted},
    summary="Ask for an account",
)  # fmt: skip
def register(request: HttpRequest, body: RegistrationIn) -> Status[dict[str, str]]:
    """A mail with a link is sent. The answer is the same whether or not the address has an account already."""
    registrations.register(registrations.Wish(**body.dict()), sign_in.address_of(request))
    return Status(202, ACCEPTED)


@router.post(
    "/account/confirm", auth=anyone("The link from the mail is the proof"), response={202: Accepted}, summary="Confirm an address"
)
def confirm_registration(request: HttpRequest, body: LinkIn) -> Status[dict[str, str]]:
    """Follow the link of a registration. An administrator decides then."""
    registrations.confirm(body.link, sign_in.address_of(request))
    return Status(202, ACCEPTED)


@router.post(
    "/account/forgotten", auth=anyone("Who forgot the password cannot sign in"), response={202: Accepted},
    summary="Ask for a new password",
)  # fmt: skip
def forgot_password(request: HttpRequest, body: Email) -> Status[dict[str, str]]:
    """A mail with a link is sent, if somebody has the address. The answer does not tell."""
    people.forgot_password(body.email, sign_in.address_of(request))
    return Status(202, ACCEPTED)


@router.post(
    "/account/password", auth=anyone("The link from the mail is the proof"), response={204: None},
    summary="Choose a password by a link",
)  # fmt: skip
def choose_password(request: HttpRequest, body: LinkPassword) -> Status[None]:
    """The link works once; all sessions of the account end. Sign in afterwards."""
    people.choose_password(body.link, body.password, sign_in.address_of(request))
    return Status(204, None)


@router.get("/tokens", auth=may("tokens.own"), response=TokenPage, summary="List own tokens")
def list_tokens(request: HttpRequest, query: Query[PageQuery]) -> dict[str, Any]:
    """Your tokens, newest first, those that ended too."""
    found, cursor = by_id(Token.objects.filter(user_id=actor_of(request).user_id or 0), query, newest_first=True)
    return answer(request, found, cursor)


@router.post("/tokens", auth=may("tokens.own"), response={201: TokenMade}, summary="Make a token")
def create_token(request: HttpRequest, body: TokenIn) -> Status[dict[str, Any]]:
    """Make a token. Its secret is in this answer and nowhere else."""
    scope = tokens.Scope(body.actions, body.nodes, body.institutes)
    by = trail.by_request(request)
    token, plaintext = tokens.create_for(actor_of(request), body.name, scope, expires_days=body.expires_days, by=by)
    return Status(201, {**TokenOut.from_orm(token).dict(), "token": plaintext})


@router.delete("/tokens/{token_id}", auth=may("tokens.own"), response=TokenOut, summary="Revoke a token")
def revoke_token(request: HttpRequest, token_id: Path[RowId]) -> Token:
    """End a token of yours at once and for good."""
    return tokens.revoke(actor_of(request), token_id, trail.by_request(request))
