"""People and tokens for tests of the web face."""

from __future__ import annotations

from functools import cache
from typing import Any

from django.contrib.auth.hashers import make_password
from django.test import Client

PASSWORD = "a long enough passphrase 42"


@cache
def hashed() -> str:
    return make_password(PASSWORD)


def person(role: str = "viewer", **changes: Any) -> Any:
    """A user of this role with PASSWORD."""
    from gantry.accounts.models import User

    fields = {"username": role, "role": role, "password": hashed(), "is_superuser": role == "administrator"} | changes
    return User.objects.create(**fields)


def token(role: str = "administrator", **changes: Any) -> str:
    """The plaintext of a token of a user of this role, who is made when missing."""
    from gantry.accounts import tokens
    from gantry.accounts.models import User

    user = User.objects.filter(username=role).first() or person(role)
    return tokens.create(user, "test", **changes)[1]


def bearer(role: str = "administrator", **changes: Any) -> Client:
    """A client that sends a token of this role."""
    return Client(headers={"authorization": f"Bearer {token(role, **changes)}"})
