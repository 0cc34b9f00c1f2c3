"""Order a mail in a request, write and send it in the worker.

A request leaves one row, the same for everybody who asks; who that is, what the mail says and which link it
holds is decided when it is sent. So neither answer nor time tells whether an account exists, and no link lies
in the database or in the queue.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta

from django.db import transaction
from django.utils import timezone

from gantry import config
from gantry.accounts import links, mail
from gantry.accounts.models import MailOrder, Registration, User

MAX_ATTEMPTS = 10
FORGET_AFTER = timedelta(days=14)


def order(kind: str, address: str, *, user: User | None = None, registration: Registration | None = None) -> MailOrder:
    """Note that a mail is wanted and queue it, in the transaction of the caller."""
    from gantry.accounts.work import send_mail

    with transaction.atomic():
        row = MailOrder.objects.create(kind=kind, address=address, user=user, registration=registration)
        send_mail.defer(order_id=row.pk)
    return row


def carry_out(order_id: int) -> str:
    """Write and send one ordered mail; gives where it went, empty when there was none to send. Raises MailFailed."""
    row = MailOrder.objects.select_related("user", "registration").filter(pk=order_id, done_at=None).first()
    if row is None:
        return ""
    MailOrder.objects.filter(done_at__lt=timezone.now() - FORGET_AFTER).delete()
    written = _KINDS[row.kind](row)
    row.attempts += 1
    try:
        place = mail.send(written[0], written[1], written[2]) if written and written[0] else ""
    except mail.MailFailed as error:
        row.error = str(error)
        row.save(update_fields=["attempts", "error"])
        raise
    row.done_at, row.error = timezone.now(), ""
    row.save(update_fields=["attempts", "done_at", "error"])
    return place


Written = tuple[list[str], str, str]


def _of_address(address: str) -> User | None:
    return User.objects.filter(email__iexact=address).first()


def _confirm(row: MailOrder) -> Written | None:
    """To somebody who asked for an account. Who has one already is told so, in the mail and nowhere else."""
    user = _of_address(row.address)
    if user is not None:
        if row.registration is not None:
            MailOrder.objects.filter(pk=row.pk).update(registration=None)  # or it would go along
            row.registration.delete()
            row.registration = None
        text = (
            f"Somebody, probably you, asked for an account with this address. You have one already: {user.username}.\n\n"
            f"If you forgot the password: {links.base_url()}/account/forgotten/\n"
        )
        return [row.address], "You have an account already", text
    if row.registration is None or row.registration.state != "unconfirmed":
        return None
    link = links.make("confirm", registration=row.registration)
    text = (
        "Please confirm that this is your address. An administrator then looks at your wish for an account.\n\n"
        f"{link}\n\nThe link works once, for 14 days. If you did not ask for it, do nothing.\n"
    )
    return [row.address], "Confirm your address", text


def _wish(row: MailOrder) -> Written | None:
    """To the administrators: somebody waits."""
    people = User.objects.filter(is_active=True, role="administrator").exclude(email="")
    to = config.current().mail_administrators or list(people.values_list("email", flat=True)[:20])
    text = (
        "Somebody confirmed their address and waits for an account.\n\n"
        f"gantry registration list\ngantry registration approve {row.registration_id}\n\n"
        f"GET {links.base_url()}/api/v1/registrations\n"
    )
    return to, "Somebody asks for an account", text


def _invitation(row: MailOrder) -> Written | None:
    if row.user is None or not row.user.is_active:
        return None
    text = (
        f"There is an account for you. Your user name is {row.user.username}.\n\nChoose your password here:\n"
        f"{links.make('invitation', user=row.user)}\n\nThe link works once, for 14 days.\n"
    )
    return [row.user.email], "Your account", text


def _refusal(row: MailOrder) -> Written | None:
    return [row.address], "Your wish for an account", "Your wish for an account was not granted. Please ask your administrator.\n"


def _password(row: MailOrder) -> Written | None:
    """To somebody who forgot the password; when nobody has the address there is no mail."""
    user = _of_address(row.address)
    if user is None or not user.is_active:
        return None
    text = (
        f"Somebody, probably you, asked for a new password for {user.username}.\n\n{links.make('password', user=user)}\n\n"
        "The link works once, for two hours. If you did not ask for it, do nothing.\n"
    )
    return [user.email], "A new password", text


_KINDS: dict[str, Callable[[MailOrder], Written | None]] = {
    "confirm": _confirm,
    "wish": _wish,
    "invitation": _invitation,
    "refusal": _refusal,
    "password": _password,
}
