"""Links in mails: 256 random bits, kept as a digest, good once and for a while."""

from __future__ import annotations

import secrets
from datetime import timedelta

from django.utils import timezone

from gantry import config
from gantry.accounts.errors import LinkRefused
from gantry.accounts.models import MailLink, Registration, User
from gantry.accounts.tokens import digest_of

#: How long a link lives. Registrations wait for people on holiday; a way to a new password does not.
LIFETIMES = {"confirm": timedelta(days=14), "invitation": timedelta(days=14), "password": timedelta(hours=2)}
MAX_LENGTH = 100


def make(purpose: str, *, user: User | None = None, registration: Registration | None = None) -> str:
    """A new link for `purpose` (confirm, invitation, password); those before it end. Gives the address to mail.

    The secret stands behind #, so that it is in no log of a server and no page is told of it.
    """
    now = timezone.now()
    MailLink.objects.filter(expires_at__lt=now - timedelta(days=30)).delete()
    MailLink.objects.filter(purpose=purpose, user=user, registration=registration, used_at=None).update(used_at=now)
    secret = secrets.token_urlsafe(32)
    MailLink.objects.create(
        digest=digest_of(secret), purpose=purpose, user=user, registration=registration, expires_at=now + LIFETIMES[purpose]
    )
    page = "confirm" if purpose == "confirm" else "password"
    return f"{base_url()}/account/{page}/#{secret}"


def use(secret: str, *purposes: str) -> MailLink:
    """Take a link: it does not work again. Call it in the transaction of what it is for. Raises LinkRefused."""
    row = None
    if len(secret) <= MAX_LENGTH:
        rows = MailLink.objects.select_for_update().filter(digest=digest_of(secret), purpose__in=purposes)
        row = rows.filter(used_at=None, expires_at__gt=timezone.now()).first()
    if row is None:
        raise LinkRefused
    row.used_at = timezone.now()
    row.save(update_fields=["used_at"])
    return row


def base_url() -> str:
    """Where people reach the web process."""
    settings = config.current()
    return (settings.public_url or f"http://{settings.http}").rstrip("/")
