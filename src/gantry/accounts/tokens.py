"""API tokens: made once, shown once, kept as a digest, looked up at each request."""

from __future__ import annotations

import hashlib
import hmac
import secrets
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta

from django.db import transaction
from django.db.models import Q
from django.utils import timezone

from gantry.accounts import trail
from gantry.accounts.actions import ACTIONS
from gantry.accounts.actors import actor_of_token, role_of
from gantry.accounts.allowed import Actor
from gantry.accounts.errors import Invalid, NotFound
from gantry.accounts.models import Institute, Membership, Token, User
from gantry.audit.record import SYSTEM, By

PREFIX = "gty_"
#: `gty_` and 32 random bytes in base64url without padding.
LENGTH = len(PREFIX) + 43
MAX_NAME = 100
MAX_DAYS = 3650
#: How fine `last_used_at` is; each finer step would be one more write per request.
USE_NOTED_EVERY = timedelta(minutes=1)


def digest_of(plaintext: str) -> bytes:
    """SHA-256 of a token. A plain digest is enough: 256 random bits cannot be guessed or tabulated."""
    return hashlib.sha256(plaintext.encode("utf-8", "surrogatepass")).digest()


@dataclass(frozen=True, slots=True)
class Scope:
    """What narrows a token; what is empty does not narrow.

    `actions` of those its user may do; `nodes` by name; `institutes` by name, whose studies are all it sees.
    """

    actions: Iterable[str] = ()
    nodes: Iterable[str] = ()
    institutes: Iterable[str] = ()


EVERYTHING = Scope()


def create(
    user: User,
    name: str,
    *,
    actions: Iterable[str] = (),
    nodes: Iterable[str] = (),
    institutes: Iterable[str] = (),
    expires_at: datetime | None = None,
    by: By = SYSTEM,
) -> tuple[Token, str]:
    """Make a token for `user` and give it with its plaintext, which is not kept.

    `actions`, `nodes` (names) and `institutes` (names) narrow what the user may; empty does not narrow. Raises Invalid.
    """
    name = name.strip()
    if not 1 <= len(name) <= MAX_NAME or not name.isprintable():
        raise Invalid(f"The name of a token must have 1 to {MAX_NAME} printable characters.")
    chosen = sorted(set(actions))
    unknown = [action for action in chosen if action not in ACTIONS]
    if unknown:
        raise Invalid(f"No such action: {', '.join(unknown)[:200]}.", remedy=f"Choose from: {', '.join(sorted(ACTIONS))}.")
    now = timezone.now()
    if expires_at is not None and expires_at <= now:
        raise Invalid("The token would have expired already.")
    places = _institutes(user, institutes)
    plaintext = PREFIX + secrets.token_urlsafe(32)
    with transaction.atomic():
        token = Token.objects.create(
            user=user, name=name, prefix=plaintext[: len(PREFIX) + 6], digest=digest_of(plaintext), actions=chosen,
            nodes=sorted(set(nodes)), institutes=places, created_at=now, expires_at=expires_at,
        )  # fmt: skip
        after = {"name": name, "user": user.username, "actions": chosen, "nodes": token.nodes, "institutes": places,
                 "expires_at": expires_at.isoformat() if expires_at else None}  # fmt: skip
        trail.note("token.create", by, kind="token", key=str(token.pk), after=after)
    return token, plaintext


def _institutes(user: User, names: Iterable[str]) -> list[int] | None:
    """Their ids; None: not narrowed. A user without a role that holds everywhere can name the own ones only."""
    found = []
    for name in sorted(set(names)):
        row = Institute.objects.filter(name__iexact=name).first()
        if row is not None and role_of(user) == "none" and not Membership.objects.filter(user=user, institute=row).exists():
            row = None
        if row is None:
            raise Invalid(f"{user.username} is in no institute {name[:100]}.", remedy="GET /api/v1/session lists one's own.")
        found.append(row.pk)
    return found or None


def create_for(
    actor: Actor, name: str, scope: Scope = EVERYTHING, *, expires_days: int | None = None, by: By = SYSTEM
) -> tuple[Token, str]:
    """Make a token as `actor`. A token cannot make one that may more, or lives longer, than itself."""
    user = User.objects.filter(pk=actor.user_id or 0).first()
    if user is None:
        raise NotFound("The user is gone.")
    chosen = _within(frozenset(scope.actions), actor.limits)
    nodes = _within(frozenset(scope.nodes), actor.nodes)
    institutes = list(scope.institutes)
    if actor.institutes is not None:
        own = dict(Institute.objects.filter(pk__in=actor.institutes).values_list("name", "pk"))
        institutes = list(_within(frozenset(institutes), frozenset(own)))
        if not institutes:  # all of them are gone
            raise Invalid(_MORE)
    expires_at = expiry(expires_days)
    if actor.until is not None:
        expires_at = min(expires_at or actor.until, actor.until)
    return create(user, name, actions=chosen, nodes=nodes, institutes=institutes, expires_at=expires_at, by=by)


_MORE = "A token cannot make a token that may more than itself."


def _within(wanted: frozenset[str], own: frozenset[str] | None) -> frozenset[str]:
    if own is None:
        return wanted
    if not wanted <= own:
        raise Invalid(_MORE)
    return wanted or own


def expiry(days: int | None) -> datetime | None:
    """When a token of so many days ends; None never. Raises Invalid."""
    if days is None:
        return None
    if not 1 <= days <= MAX_DAYS:
        raise Invalid(f"A token lives 1 to {MAX_DAYS} days.")
    return timezone.now() + timedelta(days=days)


def look_up(plaintext: str, address: str = "") -> Actor | None:
    """The actor a token stands for; None when it is unknown, ended, revoked or its user is switched off."""
    if len(plaintext) != LENGTH or not plaintext.startswith(PREFIX):
        return None
    now = timezone.now()
    digest = digest_of(plaintext)
    token = Token.objects.select_related("user").filter(digest=digest).first()
    # The index has compared already; once more in constant time, so that no planner's choice matters.
    if token is None or not hmac.compare_digest(bytes(token.digest), digest):
        return None
    if token.revoked_at is not None or (token.expires_at is not None and token.expires_at <= now):
        return None
    if not token.user.is_active:
        return None
    if token.last_used_at is None or token.last_used_at <= now - USE_NOTED_EVERY:
        stale = Q(last_used_at=None) | Q(last_used_at__lte=now - USE_NOTED_EVERY)
        Token.objects.filter(stale, pk=token.pk).update(last_used_at=now, last_address=address)
    return actor_of_token(token)


def revoke(actor: Actor, token_id: int, by: By = SYSTEM) -> Token:
    """End a token of the actor's own, for good. Doing it twice is no error. Raises NotFound."""
    token = Token.objects.filter(pk=token_id, user_id=actor.user_id or 0).first()
    if token is None:
        raise NotFound("You have no such token.")
    return end(token, by)


def end(token: Token, by: By) -> Token:
    """End a token, whose ever it is: the next request with it fails."""
    if token.revoked_at is None:
        with transaction.atomic():
            token.revoked_at = timezone.now()
            if Token.objects.filter(pk=token.pk, revoked_at=None).update(revoked_at=token.revoked_at):
                trail.note("token.revoke", by, kind="token", key=str(token.pk), after={"name": token.name})
    return token
