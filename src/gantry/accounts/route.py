"""Who may call a route: declared where the route is, enforced before its body runs.

`auth=may("studies.view")` on a ninja route, `@view_may("docs.view")` on a Django view; what is public says so
and why: `auth=anyone("...")`, `@view_anyone("...")`. A test walks all URL patterns and fails on one that
declares nothing. A Bearer token wins over a session; a session needs its CSRF token for unsafe methods.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any, cast
from urllib.parse import quote

from django.http import HttpRequest, HttpResponseRedirect
from django.http.response import HttpResponseBase
from ninja.security import APIKeyCookie, HttpBearer
from ninja.utils import check_csrf

from gantry.accounts import sign_in, tokens
from gantry.accounts.actors import actor_of_user
from gantry.accounts.allowed import ANONYMOUS, Actor, allowed, allowed_node
from gantry.accounts.errors import CsrfRefused, NotAllowed, NotSignedIn, RequestRefused

View = Callable[..., HttpResponseBase]


def check(actor: Actor, action: str, resource: object | None = None) -> None:
    """Return when allowed. Raises NotSignedIn or NotAllowed with the reason."""
    decision = allowed(actor, action, resource)
    if not decision:
        if actor.user_id is None:
            raise NotSignedIn
        raise NotAllowed(f"Not allowed: {decision.reason}.", details={"action": action})


def check_node(actor: Actor, node: str | None) -> None:
    """Return when a token is for this node. None: no node is named, which a token for some nodes may see in lists only.

    Raises NotAllowed.
    """
    if actor.nodes is not None and node is not None and not (decision := allowed_node(actor, node)):
        raise NotAllowed(f"Not allowed: {decision.reason}.", details={"node": node})


def actor_of(request: HttpRequest) -> Actor:
    """The actor whom the route's declaration has let in."""
    return cast("Actor", getattr(request, "auth", ANONYMOUS))


def _from_token(plaintext: str, address: str = "") -> Actor:
    actor = tokens.look_up(plaintext.strip(), address)
    if actor is None:
        raise NotSignedIn("The token is unknown, expired or revoked.")
    return actor


def _from_session(request: HttpRequest) -> Actor:
    actor = actor_of_user(request.user)
    if actor.user_id is not None and check_csrf(request) is not None:
        raise CsrfRefused
    return actor


def identify(request: HttpRequest) -> Actor:
    """Who sends this request; ANONYMOUS without token and session. Raises NotSignedIn, CsrfRefused."""
    header = request.headers.get("Authorization", "")
    if header:
        scheme, _, plaintext = header.partition(" ")
        if scheme.lower() != "bearer":
            raise NotSignedIn("Only `Authorization: Bearer TOKEN` is understood.")
        return _from_token(plaintext, sign_in.address_of(request))
    return _from_session(request)


class Token(HttpBearer):
    """An API token in the header Authorization."""

    def __init__(self, action: str) -> None:
        super().__init__()
        self.action = action

    def __call__(self, request: HttpRequest) -> Actor | None:
        """Let in, refuse, or leave it to the session when there is no header."""
        if "Authorization" not in request.headers:
            return None
        actor = identify(request)
        check(actor, self.action)
        if self.action.startswith("nodes.") and request.resolver_match is not None:
            check_node(actor, request.resolver_match.kwargs.get("name"))
        return actor

    def authenticate(self, request: HttpRequest, token: str) -> Actor:
        """Part of ninja's contract; `__call__` does the work."""
        return _from_token(token)


class Session(APIKeyCookie):
    """The session cookie that signing in sets; unsafe methods need the header X-CSRFToken too."""

    param_name = "sessionid"

    def __init__(self, action: str) -> None:
        super().__init__(csrf=True)
        self.action = action

    def __call__(self, request: HttpRequest) -> Actor:
        """Let in or refuse."""
        actor = _from_session(request)
        check(actor, self.action)
        return actor

    def authenticate(self, request: HttpRequest, key: str | None) -> Actor:
        """Part of ninja's contract; `__call__` does the work."""
        return _from_session(request)


class Anyone:
    """A public route: nobody is asked who they are, so a health check needs no database."""

    action = "public"

    def __init__(self, why: str) -> None:
        self.why = why

    def __call__(self, request: HttpRequest) -> Actor:
        """Let in."""
        return ANONYMOUS


def somebody_or_nobody(request: HttpRequest) -> Actor:
    """Who asks on a public route; credentials that do not hold make nobody, not a refusal."""
    try:
        return identify(request)
    except RequestRefused:
        return ANONYMOUS


def may(action: str) -> list[Callable[[HttpRequest], Any]]:
    """Declare that a ninja route is for those who may do `action`."""
    return [Token(action), Session(action)]


def anyone(why: str) -> list[Callable[[HttpRequest], Any]]:
    """Declare that a ninja route is public, and why that is right."""
    return [Anyone(why)]


def view_may(action: str, *, sign_in_at: str = "") -> Callable[[View], View]:
    """Declare the same of a Django view. `sign_in_at`: where browsers without a session are sent."""

    def declare(view: View) -> View:
        @functools.wraps(view, updated=())
        def guarded(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
            actor = identify(request)
            if sign_in_at and actor.user_id is None:
                return HttpResponseRedirect(f"{sign_in_at}?next={quote(request.get_full_path())}")
            check(actor, action)
            request.auth = actor  # type: ignore[attr-defined]  # where ninja keeps it too
            return view(request, *args, **kwargs)

        guarded.gantry_action = action  # type: ignore[attr-defined]  # read by main.permissions_check
        return guarded

    return declare


def view_anyone(why: str) -> Callable[[View], View]:
    """Declare that a Django view is public, and why that is right."""

    def declare(view: View) -> View:
        view.gantry_action = "public"  # type: ignore[attr-defined]  # read by main.permissions_check
        view.gantry_public_because = why  # type: ignore[attr-defined]  # as above
        return view

    return declare
