"""Signing in with name and password (argon2id), and changing the password."""

from __future__ import annotations

import threading

from django.contrib import auth
from django.contrib.auth.password_validation import validate_password
from django.core.exceptions import ValidationError
from django.http import HttpRequest

from gantry.accounts import throttle
from gantry.accounts.allowed import ANONYMOUS, Actor
from gantry.accounts.errors import PasswordRefused, SignInRefused, TooManySignIns
from gantry.accounts.models import User
from gantry.accounts.tokens import role_of

MAX_PASSWORD = 1024
SESSION_SECONDS = 12 * 3600
# Each argon2id check takes 100 MB for a moment: two at once, or a crowd at the door fills the memory.
_CHECKS = threading.BoundedSemaphore(2)
_CHECK_WAIT_SECONDS = 10.0


def address_of(request: HttpRequest) -> str:
    """Where the request comes from, as the socket says; headers of proxies are not believed."""
    return str(request.META.get("REMOTE_ADDR") or "")


def verify(request: HttpRequest, username: str, password: str) -> User:
    """The user whose name and password these are.

    The answer and the time it takes are the same for a wrong password, an unknown and a switched-off user.
    Raises SignInRefused, SignInLocked, TooManySignIns.
    """
    if not username or len(username) > 150 or len(password) > MAX_PASSWORD or "\0" in username + password:
        raise SignInRefused
    address = address_of(request)
    throttle.count_attempt(username, address)
    if not _CHECKS.acquire(timeout=_CHECK_WAIT_SECONDS):
        raise TooManySignIns
    try:
        user = auth.authenticate(request, username=username, password=password)
    finally:
        _CHECKS.release()
    if not isinstance(user, User):
        raise SignInRefused
    throttle.forgive(username, address)
    return user


def sign_in(request: HttpRequest, username: str, password: str) -> Actor:
    """Verify, then open a session with a fresh key and a fresh CSRF token."""
    user = verify(request, username, password)
    auth.login(request, user)
    request.session.set_expiry(SESSION_SECONDS)
    return actor_of_user(user)


def sign_out(request: HttpRequest) -> None:
    """End the session of the request."""
    auth.logout(request)


def actor_of_user(user: object) -> Actor:
    """The actor of a session's user; ANONYMOUS for nobody and for a switched-off user."""
    if not isinstance(user, User) or not user.is_active:
        return ANONYMOUS
    return Actor(
        user_id=user.pk, username=user.username, role=role_of(user), via="session",
        must_change_password=user.must_change_password,
    )  # fmt: skip


def change_password(request: HttpRequest, old: str, new: str) -> Actor:
    """Replace the own password; other sessions of the user end. Raises SignInRefused, PasswordRefused."""
    if not isinstance(request.user, User):
        raise SignInRefused
    user = verify(request, request.user.username, old)
    if len(new) > MAX_PASSWORD or "\0" in new:
        raise PasswordRefused(f"A password has at most {MAX_PASSWORD} characters.")
    if new == old:
        raise PasswordRefused("The new password is the old one.")
    try:
        validate_password(new, user)
    except ValidationError as error:
        raise PasswordRefused(" ".join(error.messages)) from error
    user.set_password(new)
    user.must_change_password = False
    user.save(update_fields=["password", "must_change_password"])
    auth.update_session_auth_hash(request, user)
    return actor_of_user(user)
