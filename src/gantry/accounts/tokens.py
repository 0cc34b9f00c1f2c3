"""API tokens: made once, shown once, kept as a digest, looked up at each request."""

from __future__ import annotations

import hashlib
import hmac
import secrets
from collections.abc import Iterable
from datetime import datetime, timedelta

from django.db.models import Q
from django.utils import timezone

from gantry.accounts.actions import ACTIONS
from gantry.accounts.allowed import Actor
from gantry.accounts.errors import Invalid, NotFound
from gantry.accounts.models import Token, User

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


def create(user: User, name: str, *, actions: Iterable[str] = (), expires_at: datetime | None = None) -> tuple[Token, str]:
    """Make a token for `user` and give it with its plaintext, which is not kept.

    `actions` narrows what the user's role gives; empty does not narrow. Raises Invalid.
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
    plaintext = PREFIX + secrets.token_urlsafe(32)
    token = Token.objects.create(
        user=user, name=name, prefix=plaintext[: len(PREFIX) + 6], digest=digest_of(plaintext), actions=chosen,
        created_at=now, expires_at=expires_at,
    )  # fmt: skip
    return token, plaintext


def create_for(actor: Actor, name: str, *, actions: Iterable[str] = (), expires_days: int | None = None) -> tuple[Token, str]:
    """Make a token as `actor`. A token cannot make one that may more, or lives longer, than itself."""
    user = User.objects.filter(pk=actor.user_id or 0).first()
    if user is None:
        raise NotFound("The user is gone.")
    chosen = frozenset(actions)
    if actor.limits is not None:
        chosen = chosen or actor.limits
        if not chosen <= actor.limits:
            raise Invalid("A token cannot make a token that may more than itself.")
    expires_at = expiry(expires_days)
    if actor.until is not None:
        expires_at = min(expires_at or actor.until, actor.until)
    return create(user, name, actions=chosen, expires_at=expires_at)


def expiry(days: int | None) -> datetime | None:
    """When a token of so many days ends; None never. Raises Invalid."""
    if days is None:
        return None
    if not 1 <= days <= MAX_DAYS:
        raise Invalid(f"A token lives 1 to {MAX_DAYS} days.")
    return timezone.now() + timedelta(days=days)


def look_up(plaintext: str) -> Actor | None:
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
        Token.objects.filter(stale, pk=token.pk).update(last_used_at=now)
    return Actor(
        user_id=token.user_id, username=token.user.username, role=role_of(token.user), via="token",
        token_id=token.pk, limits=frozenset(token.actions) or None, until=token.expires_at,
    )  # fmt: skip


def role_of(user: User) -> str:
    """The role of a user; Django's superuser is an administrator."""
    return "administrator" if user.is_superuser else user.role


def revoke(actor: Actor, token_id: int) -> Token:
    """End a token of the actor's own, for good. Doing it twice is no error. Raises NotFound."""
    token = Token.objects.filter(pk=token_id, user_id=actor.user_id or 0).first()
    if token is None:
        raise NotFound("You have no such token.")
    if token.revoked_at is None:
        token.revoked_at = timezone.now()
        Token.objects.filter(pk=token.pk, revoked_at=None).update(revoked_at=token.revoked_at)
    return token
