"""Acts of this room in the audit: in the transaction of the act, on Django's connection."""

from __future__ import annotations

from typing import Any

from django.db import connection
from django.http import HttpRequest

from gantry.audit.record import By, by_actor, record


def note(act: str, by: By, **what: Any) -> None:
    """Write one entry (see `audit.record.record` for the words it takes)."""
    with connection.cursor() as cursor:
        record(cursor, act, by, **what)


def by_request(request: HttpRequest, actor: Any = None) -> By:
    """Who acts in this request; `actor` when it is somebody else than the route let in."""
    from gantry.accounts.route import actor_of
    from gantry.accounts.sign_in import address_of

    return by_actor(actor or actor_of(request), address_of(request))
