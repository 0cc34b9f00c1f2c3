"""People who ask for an account themselves: they confirm their address, an administrator decides."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from django.db import transaction
from django.utils import timezone

from gantry import config
from gantry.accounts import links, mail_orders, people, throttle, trail
from gantry.accounts.errors import Conflict, LinkRefused, NotAllowed, NotFound
from gantry.accounts.models import Registration, User
from gantry.audit.record import By


@dataclass(frozen=True, slots=True)
class Wish:
    """What somebody says who wants an account."""

    username: str
    email: str
    first_name: str
    last_name: str
    phone: str = ""
    department: str = ""
    message: str = ""


def register(wish: Wish, address: str) -> None:
    """Keep the wish and mail a link to its address. The same for everybody, with an account or without.

    Raises NotAllowed where people may not register themselves, Invalid, TooManyRequests.
    """
    if not config.current().self_registration:
        raise NotAllowed("People cannot register themselves here.", remedy="Ask an administrator for an account.")
    username, email = people.check_username(wish.username), people.check_email(wish.email)
    throttle.count_mail(email, address)
    with transaction.atomic():
        Registration.objects.filter(email__iexact=email, state="unconfirmed").delete()
        row = Registration.objects.create(
            username=username, email=email, first_name=wish.first_name.strip(), last_name=wish.last_name.strip(),
            phone=wish.phone.strip(), department=wish.department.strip(), message=wish.message.strip(),
        )  # fmt: skip
        mail_orders.order("confirm", email, registration=row)


def confirm(secret: str, address: str) -> Registration:
    """The link of a registration was followed: an administrator is told. Raises LinkRefused, TooManyRequests."""
    throttle.count_link(address)
    with transaction.atomic():
        row = links.use(secret, "confirm").registration
        if row is None or row.state != "unconfirmed":
            raise LinkRefused
        row.state, row.confirmed_at = "waiting", timezone.now()
        row.save(update_fields=["state", "confirmed_at"])
        by = By(row.username, "session", None, address)
        trail.note("registration.confirm", by, kind="registration", key=str(row.pk))
        mail_orders.order("wish", "", registration=row)
    return row


def _waiting(registration_id: int) -> Registration:
    row = Registration.objects.select_for_update().filter(pk=registration_id).first()
    if row is None:
        raise NotFound("There is no such registration.", remedy="`gantry registration list --state all` shows them all.")
    if row.state in {"approved", "refused"}:
        raise Conflict(f"This registration is {row.state} already.")
    return row


def approve(
    registration_id: int,
    by: By,
    *,
    role: str = "none",
    memberships: Mapping[str, str] | None = None,
    username: str = "",
    deciding: User | None = None,
) -> User:
    """Make the account, with `role` everywhere and these roles by institute; its owner gets a link to choose a password.

    A wish that was not confirmed can be approved as well: then the link is the proof of the address.
    Raises NotFound, Conflict, Invalid.
    """
    with transaction.atomic():
        row = _waiting(registration_id)
        person = people.Person(
            username or row.username, row.email, role, row.first_name, row.last_name, row.phone, row.department
        )
        user = people.add(person, by, memberships=memberships or {}, invite=True)
        row.state, row.decided_at, row.decided_by, row.user = "approved", timezone.now(), deciding, user
        row.save(update_fields=["state", "decided_at", "decided_by", "user"])
        trail.note("registration.approve", by, kind="registration", key=str(row.pk), after={"user": user.username})
    return user


def refuse(registration_id: int, by: By, *, reason: str = "", deciding: User | None = None) -> Registration:
    """Say no; the person is told without the reason, which the audit keeps. Raises NotFound, Conflict."""
    with transaction.atomic():
        row = _waiting(registration_id)
        confirmed = row.state == "waiting"
        row.state, row.decided_at, row.decided_by = "refused", timezone.now(), deciding
        row.save(update_fields=["state", "decided_at", "decided_by"])
        trail.note("registration.refuse", by, kind="registration", key=str(row.pk), reason=reason)
        if confirmed:
            mail_orders.order("refusal", row.email, registration=row)
    return row
