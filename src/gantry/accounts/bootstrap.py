"""The first administrator and the first token: no default password, nothing known before the first start."""

from __future__ import annotations

import secrets

from django.contrib.auth.hashers import UNUSABLE_PASSWORD_PREFIX, make_password
from django.db import connection, transaction

from gantry.accounts import tokens, trail
from gantry.accounts.errors import NotFound
from gantry.accounts.models import Session, User
from gantry.audit.record import SYSTEM, By

ADMINISTRATOR = "admin"
#: Without look-alikes (0 O, 1 l I): it is read from a terminal and typed. 20 of 56 signs are 116 bits.
_SIGNS = "abcdefghijkmnpqrstuvwxyzABCDEFGHJKLMNPQRSTUVWXYZ23456789"


def generate_password() -> str:
    """Twenty random signs in groups of five."""
    signs = "".join(secrets.choice(_SIGNS) for _ in range(20))
    return "-".join(signs[at : at + 5] for at in range(0, 20, 5))


def ensure_administrator() -> str | None:
    """Give the user `admin` a password when nobody could sign in yet: once, now, never again.

    The user is made when there is none at all. The password must be changed at the first sign-in. None when
    somebody has a password already. Safe when two processes start at once.
    """
    if User.objects.exclude(password__startswith=UNUSABLE_PASSWORD_PREFIX).exists():
        return None
    password = generate_password()
    return password if _settle_administrator(make_password(password)) else None


def waits_for_first_sign_in() -> bool:
    """Whether nobody has chosen a password of their own yet: the one that the first start has printed is the only way in."""
    people = User.objects.exclude(password__startswith=UNUSABLE_PASSWORD_PREFIX)
    return not people.filter(must_change_password=False).exists() and people.filter(username=ADMINISTRATOR).exists()


def _settle_administrator(hashed: str) -> bool:
    """Under a lock: the user `admin` exists, with this password if nobody has one. The hash is made before."""
    with transaction.atomic():
        with connection.cursor() as cursor:
            cursor.execute("LOCK TABLE accounts_user IN SHARE ROW EXCLUSIVE MODE")
        if User.objects.exclude(password__startswith=UNUSABLE_PASSWORD_PREFIX).exists():
            return False
        rights = {"role": "administrator", "is_staff": True, "is_superuser": True, "is_active": True}
        fields = {**rights, "password": hashed, "must_change_password": True}
        User.objects.update_or_create(username=ADMINISTRATOR, defaults=fields)
    return True


def reset_password(username: str, by: By = SYSTEM) -> str:
    """Give a person a new password from the command line, to be changed at the next sign-in; gives it once.

    Ends their sessions (these are bound to the password) and switches the account on; tokens stay. Raises NotFound.
    """
    password = generate_password()
    user = User.objects.filter(username=username).first()
    if user is None:
        known = ", ".join(User.objects.order_by("pk").values_list("username", flat=True)[:10]) or "nobody yet"
        raise NotFound(f"There is no user {username}.", remedy=f"Known are: {known}.")
    user.password, user.must_change_password, user.is_active = make_password(password), True, True
    with transaction.atomic():
        user.save(update_fields=["password", "must_change_password", "is_active"])
        Session.objects.filter(user=user).delete()
        trail.note("user.password", by, kind="user", key=user.username, after={"must_change": True})
    return password


def first_administrator() -> User | None:
    """The administrator with the lowest id that is switched on."""
    people = User.objects.filter(is_active=True)
    return (people.filter(is_superuser=True) | people.filter(role="administrator")).order_by("pk").first()


def create_token(
    username: str | None,
    name: str,
    scope: tokens.Scope = tokens.EVERYTHING,
    *,
    expires_days: int | None = None,
    by: By = SYSTEM,
) -> str:
    """Make a token from the command line (who may run it owns the home) and give its plaintext.

    `username` None means the first administrator; on a fresh home the user `admin` is made without a
    password, and the next `gantry up` still gives it one.
    Raises NotFound, Invalid.
    """
    user = User.objects.filter(username=username).first() if username else first_administrator()
    if user is None and username is None and not User.objects.exists():
        _settle_administrator(make_password(None))
        user = first_administrator()
    if user is None:
        raise NotFound(
            f"There is no user {username}." if username else "There is no administrator.",
            remedy="Name an existing user with --user.",
        )
    return tokens.create(
        user, name, actions=scope.actions, nodes=scope.nodes, institutes=scope.institutes,
        expires_at=tokens.expiry(expires_days), by=by,
    )[1]  # fmt: skip
