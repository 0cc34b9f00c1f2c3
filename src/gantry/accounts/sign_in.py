"""Signing in with name and password (argon2id), and changing the password."""

from __future__ import annotations

import threading

from django.contrib import auth
from django.contrib.auth.password_validation import validate_password
from django.core.exceptions import ValidationError
from django.db import transaction
from django.http import HttpRequest
from django.utils import timezone

from gantry.accounts import second_factor, session_store, throttle, trail
from gantry.accounts.actors import actor_of_user
from gantry.accounts.allowed import Actor
from gantry.accounts.errors import PasswordRefused, SignInRefused, TooManySignIns
from gantry.accounts.models import Session, User
from gantry.audit.record import By

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
        _note_failure(username, address)
        raise SignInRefused
    throttle.forgive(username, address)
    return user


def _note_failure(username: str, address: str) -> None:
    """Into the audit: the name only if there is such a user, for people type passwords into the name field."""
    known = User.objects.filter(username=username).values_list("pk", flat=True).first()
    by = By(username if known else "somebody", "session", known, address)
    trail.note("session.refuse", by, kind="user", key=username if known else "")


def sign_in(request: HttpRequest, username: str, password: str, code: str = "") -> Actor:
    """Verify, then open a session with a fresh key and a fresh CSRF token.

    `code`: of the second factor, for people who have one. Raises what `verify` raises, SecondFactorNeeded.
    """
    user = verify(request, username, password)
    second_factor.require(request, user, code)
    return open_session(request, user)


def open_session(request: HttpRequest, user: User, backend: str = "django.contrib.auth.backends.ModelBackend") -> Actor:
    """Open a session for a user whose identity is settled, with whatever shows where it comes from."""
    with transaction.atomic():
        auth.login(request, user, backend)
        return mark_session(request)


def mark_session(request: HttpRequest) -> Actor:
    """Say of a session that just began how long it lives and where it comes from; into the audit."""
    request.session.set_expiry(SESSION_SECONDS)
    request.session[session_store.ADDRESS] = address_of(request)
    request.session[session_store.AGENT] = request.headers.get("User-Agent", "")[:200]
    request.session[session_store.SINCE] = timezone.now().isoformat()
    actor = actor_of_user(request.user)
    trail.note("session.begin", trail.by_request(request, actor), kind="user", key=actor.username)
    return actor


def sign_out(request: HttpRequest) -> None:
    """End the session of the request."""
    actor = actor_of_user(request.user)
    if actor.user_id is not None:
        trail.note("session.end", trail.by_request(request, actor), kind="user", key=actor.username)
    auth.logout(request)


def check_password(user: User, new: str) -> None:
    """Raises PasswordRefused when it is too short, too common, or like the user's name."""
    if len(new) > MAX_PASSWORD or "\0" in new:
        raise PasswordRefused(f"A password has at most {MAX_PASSWORD} characters.")
    try:
        validate_password(new, user)
    except ValidationError as error:
        raise PasswordRefused(" ".join(error.messages)) from error


def change_password(request: HttpRequest, old: str, new: str) -> Actor:
    """Replace the own password; other sessions of the user end. Raises SignInRefused, PasswordRefused."""
    if not isinstance(request.user, User):
        raise SignInRefused
    user = verify(request, request.user.username, old)
    if new == old:
        raise PasswordRefused("The new password is the old one.")
    check_password(user, new)
    user.set_password(new)
    user.must_change_password = False
    with transaction.atomic():
        user.save(update_fields=["password", "must_change_password"])
        auth.update_session_auth_hash(request, user)
        Session.objects.filter(user=user).exclude(session_key=request.session.session_key).delete()
        trail.note("user.password", trail.by_request(request, actor_of_user(user)), kind="user", key=user.username)
    return actor_of_user(user)
