"""Routes: the quarantine."""

from __future__ import annotations

from typing import Any, Literal
from uuid import UUID

from django.db.models import Q
from django.http import HttpRequest
from ninja import Query, Router
from pydantic import Field

from gantry.accounts.errors import Invalid
from gantry.accounts.page import PageQuery, answer
from gantry.accounts.route import may
from gantry.intake.models import QuarantinedObject
from gantry.intake.schemas import QuarantinePage

router = Router(tags=["quarantine"])


class QuarantineQuery(PageQuery):
    """Which part of the quarantine."""

    state: Literal["", "held", "accepted", "discarded"] = Field(default="", description="Empty: all")


@router.get("/quarantine", auth=may("quarantine.view"), response=QuarantinePage, summary="List the quarantine")
def list_quarantine(request: HttpRequest, query: Query[QuarantineQuery]) -> dict[str, Any]:
    """Objects that could not be indexed, newest first, with the reason."""
    rows = QuarantinedObject.objects.order_by("-quarantined_at", "-id")
    if query.state:
        rows = rows.filter(state=query.state)
    if query.cursor:
        # Their ids are random, so the place in the list is told by one of them.
        last = _last_seen(query.cursor)
        rows = rows.filter(Q(quarantined_at__lt=last.quarantined_at) | Q(quarantined_at=last.quarantined_at, id__lt=last.id))
    found = list(rows[: query.limit + 1])
    cursor = str(found[query.limit - 1].id) if len(found) > query.limit else None
    return answer(request, found[: query.limit], cursor)


def _last_seen(cursor: str) -> QuarantinedObject:
    try:
        return QuarantinedObject.objects.get(pk=UUID(cursor))
    except (QuarantinedObject.DoesNotExist, ValueError) as error:
        raise Invalid("The cursor is none of ours.", remedy="Take it from `next` of the page before.") from error
