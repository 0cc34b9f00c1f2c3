"""Routes: the quarantine."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal
from uuid import UUID

from django.db.models import Q
from django.http import HttpRequest
from ninja import Query, Router
from pydantic import Field

from gantry import config
from gantry.accounts import connection, trail
from gantry.accounts.errors import Conflict, Invalid, NotFound
from gantry.accounts.page import PageQuery, answer
from gantry.accounts.route import actor_of, may
from gantry.accounts.visible import visible
from gantry.dataset import DatasetError
from gantry.intake import quarantine
from gantry.intake.errors import NotAcceptable, NotHeld
from gantry.intake.held_header import read_header
from gantry.intake.models import QuarantinedObject
from gantry.intake.schemas import AcceptIn, DiscardIn, HeldHeaderOut, QuarantinedDetail, QuarantinedOut, QuarantinePage
from gantry.storage import resolve

router = Router(tags=["quarantine"])


class QuarantineQuery(PageQuery):
    """Which part of the quarantine."""

    state: Literal["", "held", "indexed", "accepted", "discarded"] = Field(default="", description="Empty: all")


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


def _home() -> Path:
    return Path(config.current().home)


@router.get("/quarantine/{identifier}", auth=may("quarantine.view"), response=QuarantinedDetail, summary="See why it is held")
def get_quarantined(request: HttpRequest, identifier: UUID) -> dict[str, Any]:
    """One object, with the UIDs that can be read in it."""
    try:
        found = quarantine.get_held(connection.of_request(), _home(), identifier)
    except NotHeld as error:
        raise NotFound("Nothing in the quarantine has this id.") from error
    row = QuarantinedOut.from_orm(QuarantinedObject.objects.get(pk=identifier)).dict()
    fields = ("is_dicom", "sop_class_uid", "sop_instance_uid", "study_instance_uid", "series_instance_uid", "problem")
    return {**row, **{field: getattr(found, field) for field in fields}}


@router.get("/quarantine/{identifier}/header", auth=may("quarantine.view"), response=HeldHeaderOut, summary="Read a held object")
def get_held_header(request: HttpRequest, identifier: UUID) -> dict[str, Any]:
    """Its attributes before the pixels, as far as they can be read. Who may not see patients does not see them here."""
    try:
        row = QuarantinedObject.objects.get(pk=identifier)
        found = read_header(Path(resolve(_home(), row.file_path)))
    except QuarantinedObject.DoesNotExist as error:
        raise NotFound("Nothing in the quarantine has this id.") from error
    except DatasetError as error:
        return {"attributes": [], "note": f"it cannot be read as DICOM: {error}"}
    except OSError as error:
        raise NotFound("Its bytes are gone: it was accepted or discarded.") from error
    open_to = visible(actor_of(request), "patients.identify").everything
    shown = []
    for one in found.attributes:
        hidden = one.personal and not open_to
        shown.append(
            {"tag": one.tag, "keyword": one.keyword, "vr": one.vr, "length": one.length, "hidden": hidden,
             "text": None if hidden else one.text}
        )  # fmt: skip
    if open_to:
        by = trail.by_request(request)
        trail.note("quarantine.view", by, kind="quarantined object", key=str(identifier))
    return {"attributes": shown, "note": found.note}


@router.post(
    "/quarantine/{identifier}/accept", auth=may("quarantine.edit"), response=QuarantinedOut, summary="Accept a held object"
)
def accept_quarantined(request: HttpRequest, identifier: UUID, body: AcceptIn) -> QuarantinedObject:
    """Through the door again, perhaps with UIDs set in a copy of it; the original of a repaired one stays."""
    repairs = {keyword: uid for keyword, uid in body.set.dict().items() if uid}
    try:
        quarantine.accept_held(
            connection.of_request(), _home(), identifier, by=trail.by_request(request), reason=body.reason, repairs=repairs
        )
    except NotHeld as error:
        raise NotFound("Nothing in the quarantine has this id.") from error
    except NotAcceptable as error:
        raise Conflict(f"It cannot be accepted: {error}.", remedy="Set the UIDs that are missing, or discard it.") from error
    return QuarantinedObject.objects.get(pk=identifier)


@router.post(
    "/quarantine/{identifier}/discard", auth=may("quarantine.edit"), response=QuarantinedOut, summary="Discard a held object"
)
def discard_quarantined(request: HttpRequest, identifier: UUID, body: DiscardIn) -> QuarantinedObject:
    """Its bytes are deleted for good."""
    try:
        quarantine.discard_held(connection.of_request(), _home(), identifier, by=trail.by_request(request), reason=body.reason)
    except NotHeld as error:
        raise NotFound("Nothing in the quarantine has this id.") from error
    return QuarantinedObject.objects.get(pk=identifier)
