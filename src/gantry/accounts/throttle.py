"""Locks signing in after failures, in the database, so that all web processes agree and a restart forgets nothing."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from datetime import timedelta

from django.db import connection, transaction
from django.utils import timezone

from gantry.accounts.errors import SignInLocked, TooManyRequests
from gantry.accounts.models import SignInFailures


@dataclass(frozen=True, slots=True)
class Limit:
    """So many failures within `window` lock for `lock`."""

    failures: int
    window: timedelta
    lock: timedelta


#: One name from one address: five, then a quarter of an hour.
PER_NAME = Limit(5, timedelta(minutes=15), timedelta(minutes=15))
#: One address, whatever the names: against trying one password on many names.
PER_ADDRESS = Limit(50, timedelta(minutes=15), timedelta(minutes=15))
FORGET_AFTER = timedelta(days=1)

_COUNT = """
WITH term AS (SELECT make_interval(secs => %(window)s) AS quiet, make_interval(secs => %(lock)s) AS long)
INSERT INTO accounts_signinfailures AS f (key, failures, last_at)
VALUES (%(key)s, 1, now())
ON CONFLICT (key) DO UPDATE SET
    failures = CASE WHEN f.locked_until > now() THEN f.failures
                    WHEN f.locked_until IS NOT NULL OR f.last_at < now() - (SELECT quiet FROM term) THEN 1
                    ELSE f.failures + 1 END,
    last_at = CASE WHEN f.locked_until > now() THEN f.last_at ELSE now() END,
    locked_until = CASE WHEN f.locked_until > now() THEN f.locked_until
                        WHEN f.locked_until IS NULL AND f.last_at >= now() - (SELECT quiet FROM term)
                             AND f.failures + 1 > %(limit)s THEN now() + (SELECT long FROM term) END
RETURNING extract(epoch FROM locked_until - now())::float8
"""


#: Mails asked for, by the address of the mail and by where the wish comes from.
MAILS_PER_NAME = Limit(3, timedelta(hours=1), timedelta(hours=1))
MAILS_PER_ADDRESS = Limit(20, timedelta(hours=1), timedelta(hours=1))
#: Links tried from one place: 256 bits are not guessed, but nobody has to try.
LINKS_PER_ADDRESS = Limit(30, timedelta(minutes=15), timedelta(minutes=15))
#: Codes of a second factor: six digits are guessed soon, from one place or from many.
CODES_PER_NAME = Limit(5, timedelta(minutes=15), timedelta(minutes=15))


def _key(kind: str, *parts: str) -> bytes:
    # A digest, because people type passwords into the name field; the case of a name gives no fresh attempts.
    return hashlib.sha256("\0".join([kind, *parts]).encode("utf-8", "surrogatepass")).digest()


def _keys(username: str, address: str) -> list[tuple[bytes, Limit]]:
    return [(_key("name", username.casefold(), address), PER_NAME), (_key("address", address), PER_ADDRESS)]


def _count(keys: list[tuple[bytes, Limit]]) -> int | None:
    """Count once for each key; the longest wait in seconds when one of them is locked."""
    waits: list[float] = []
    with transaction.atomic(), connection.cursor() as cursor:
        for key, limit in keys:
            cursor.execute(
                _COUNT,
                {"key": key, "window": limit.window.total_seconds(), "lock": limit.lock.total_seconds(), "limit": limit.failures},
            )
            row = cursor.fetchone()
            if row and row[0] is not None:
                waits.append(row[0])
    return max(1, round(max(waits))) if waits else None


def count_attempt(username: str, address: str) -> None:
    """Count an attempt as failed *before* the password is looked at, so that a hundred at once get no more tries.

    Raises SignInLocked with the seconds to wait. `forgive` takes the count back after a success.
    """
    if wait := _count(_keys(username, address)):
        raise SignInLocked(retry_after=wait)


def count_mail(recipient: str, address: str) -> None:
    """Count a wish for a mail to `recipient`. Raises TooManyRequests, whether or not anybody has that address."""
    keys = [(_key("mail", recipient.casefold()), MAILS_PER_NAME), (_key("mails", address), MAILS_PER_ADDRESS)]
    if wait := _count(keys):
        raise TooManyRequests(retry_after=wait)


def count_link(address: str) -> None:
    """Count a link that is tried. Raises TooManyRequests."""
    if wait := _count([(_key("links", address), LINKS_PER_ADDRESS)]):
        raise TooManyRequests(retry_after=wait)


def count_code(user_id: int) -> None:
    """Count a second-factor code of a user, from wherever, before it is looked at. Raises SignInLocked."""
    if wait := _count([(_key("code", str(user_id)), CODES_PER_NAME)]):
        raise SignInLocked(retry_after=wait)


def forgive_code(user_id: int) -> None:
    """The code was right."""
    SignInFailures.objects.filter(key=_key("code", str(user_id))).delete()


def forgive(username: str, address: str) -> None:
    """The attempt was a success: the name's count is cleared, the address's gets this one back."""
    (name, _), (place, _) = _keys(username, address)
    SignInFailures.objects.filter(key=name).delete()
    with connection.cursor() as cursor:
        cursor.execute("UPDATE accounts_signinfailures SET failures = greatest(failures - 1, 0) WHERE key = %s", [place])
    SignInFailures.objects.filter(last_at__lt=timezone.now() - FORGET_AFTER).delete()
