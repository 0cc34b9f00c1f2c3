"""Look after people: add, change, lock, unlock, end their sessions; a new password by mail."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from django.contrib.auth.hashers import make_password
from django.core.exceptions import ValidationError
from django.core.validators import validate_email
from django.db import transaction

from gantry.accounts import institutes, links, mail_orders, sign_in, throttle, trail
from gantry.accounts.errors import Conflict, Invalid, LinkRefused, NotFound
from gantry.accounts.models import ROLE_NAMES, Session, User
from gantry.audit.record import By

_USERNAME = re.compile(r"[\w.@+-]{1,150}")
#: What `change` takes; `role` and `email` are checked, the rest is text.
FIELDS = ("email", "role", "first_name", "last_name", "phone", "department")


@dataclass(frozen=True, slots=True)
class Person:
    """Somebody who gets an account. `role` holds everywhere; none: only what memberships give."""

    username: str
    email: str = ""
    role: str = "none"
    first_name: str = ""
    last_name: str = ""
    phone: str = ""
    department: str = ""


def check_username(name: str) -> str:
    """The name as it is kept. Raises Invalid."""
    name = name.strip()
    if not _USERNAME.fullmatch(name):
        raise Invalid("A user name has 1 to 150 letters, digits and @ . + - _ only.")
    return name


def check_email(address: str) -> str:
    """The address as it is kept; may be empty only where the caller says so. Raises Invalid."""
    address = address.strip()
    try:
        validate_email(address)
    except ValidationError as error:
        raise Invalid("This is no e-mail address.") from error
    return address


def _check_role(role: str) -> str:
    if role not in ROLE_NAMES:
        raise Invalid(f"There is no role {role[:40]}.", remedy=f"Choose from: {', '.join(ROLE_NAMES)}.")
    return role


def find(username: str, *, lock: bool = False) -> User:
    """By name, in any case. Raises NotFound."""
    rows = User.objects.select_for_update() if lock else User.objects.all()
    user = rows.filter(username=username).first() or rows.filter(username__iexact=username).first()
    if user is None:
        raise NotFound("There is no such user.", remedy="`gantry user list`, or GET /api/v1/users, shows them all.")
    return user


def _free(username: str = "", email: str = "", *, but: int = 0) -> None:
    """Raises Conflict when somebody else has this name or address."""
    others = User.objects.exclude(pk=but)
    if username and others.filter(username__iexact=username).exists():
        raise Conflict("There is a user of this name already.", remedy="Choose another name.")
    if email and others.filter(email__iexact=email).exists():
        raise Conflict("Somebody has this e-mail address already.", remedy="An address belongs to one person.")


def add(
    person: Person, by: By, *, memberships: Mapping[str, str] | None = None, invite: bool = False, password: str = ""
) -> User:
    """Make an account: by `invite` its owner is mailed a link to choose a password; or with a `password` that must be changed.

    Without both nobody can sign in to it, but tokens can be made (a machine account). Raises Invalid, Conflict, NotFound.
    """
    name = check_username(person.username)
    email = check_email(person.email) if person.email or invite else ""
    hashed = make_password(password or None)
    with transaction.atomic():
        _free(name, email)
        user = User.objects.create(
            username=name, email=email, role=_check_role(person.role), password=hashed, must_change_password=bool(password),
            first_name=person.first_name, last_name=person.last_name, phone=person.phone, department=person.department,
            is_staff=person.role == "administrator",
        )  # fmt: skip
        trail.note("user.add", by, kind="user", key=name, after=_shown(user))
        for institute, role in (memberships or {}).items():
            institutes.set_member(institute, name, role, by)
        if invite:
            mail_orders.order("invitation", email, user=user)
    return user


def _shown(user: User) -> dict[str, Any]:
    return {"role": user.role, "email": user.email, "active": user.is_active, "department": user.department}


def change(username: str, by: By, **changes: str) -> User:
    """Change fields of FIELDS. Raises NotFound, Invalid, Conflict (the last administrator stays one)."""
    with transaction.atomic():
        user = find(username, lock=True)
        before = _shown(user)
        if changes.get("email"):
            changes["email"] = check_email(changes["email"])
            _free(email=changes["email"], but=user.pk)
        if "role" in changes and _check_role(changes["role"]) != "administrator":
            _keep_one_administrator(user)
            user.is_staff = user.is_superuser = False
        elif "role" in changes:
            user.is_staff = True
        for name in FIELDS:
            if name in changes:
                setattr(user, name, changes[name].strip())
        user.save(update_fields=[*FIELDS, "is_staff", "is_superuser"])
        trail.note("user.edit", by, kind="user", key=user.username, before=before, after=_shown(user))
    return user


def _keep_one_administrator(user: User) -> None:
    """Raises Conflict when without this one nobody could administrate any more."""
    administrators = User.objects.select_for_update().filter(role="administrator", is_active=True)
    administrators = administrators | User.objects.select_for_update().filter(is_superuser=True, is_active=True)
    found = {row.pk for row in administrators.order_by("pk")}
    if found == {user.pk}:
        raise Conflict("This is the last administrator.", remedy="Make somebody else an administrator first.")


def lock(username: str, by: By, reason: str = "") -> User:
    """Switch an account off: sessions and tokens end with the next request. Raises NotFound, Conflict."""
    with transaction.atomic():
        user = find(username, lock=True)
        _keep_one_administrator(user)
        user.is_active, user.locked_reason = False, reason.strip()
        user.save(update_fields=["is_active", "locked_reason"])
        Session.objects.filter(user=user).delete()
        trail.note("user.lock", by, kind="user", key=user.username, reason=reason)
    return user


def unlock(username: str, by: By) -> User:
    """Switch an account on again. Raises NotFound."""
    with transaction.atomic():
        user = find(username, lock=True)
        user.is_active, user.locked_reason = True, ""
        user.save(update_fields=["is_active", "locked_reason"])
        trail.note("user.unlock", by, kind="user", key=user.username)
    return user


def end_sessions(user: User, by: By, *, public_id: Any = None, keep: str = "") -> int:
    """End sessions of a user: the one of this public id, or all but the one with the key `keep`. Gives how many."""
    rows = Session.objects.filter(user=user).exclude(session_key=keep)
    if public_id is not None:
        rows = Session.objects.filter(user=user, public_id=public_id)
    with transaction.atomic():
        ended, _ = rows.delete()
        if ended:
            trail.note("session.revoke", by, kind="user", key=user.username, after={"sessions": ended})
    return ended


def forgot_password(email: str, address: str) -> None:
    """Order a mail with a way to a new password, the same whoever has the address. Raises Invalid, TooManyRequests."""
    email = check_email(email)
    throttle.count_mail(email, address)
    mail_orders.order("password", email)


def choose_password(secret: str, new: str, address: str) -> User:
    """Follow a link to a new password; all sessions of the user end. Raises LinkRefused, PasswordRefused, TooManyRequests."""
    throttle.count_link(address)
    with transaction.atomic():
        user = links.use(secret, "password", "invitation").user
        if user is None or not user.is_active:
            raise LinkRefused
        sign_in.check_password(user, new)
        user.set_password(new)
        user.must_change_password = False
        user.save(update_fields=["password", "must_change_password"])
        Session.objects.filter(user=user).delete()
        trail.note("user.password", By(user.username, "session", user.pk, address), kind="user", key=user.username)
    return user
