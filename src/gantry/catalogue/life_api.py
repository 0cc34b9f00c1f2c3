"""Routes: deleting studies and taking them back, protection, legal holds, retention rules."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from itertools import islice
from typing import Any, Literal

from django.http import HttpRequest
from ninja import Path, Query, Router, Schema, Status
from pydantic import ConfigDict, Field

from gantry.accounts import connection, trail
from gantry.accounts.errors import Conflict as Clash
from gantry.accounts.errors import Invalid, NotFound
from gantry.accounts.page import Page, PageQuery, Text, Uid, answer, by_id
from gantry.accounts.route import actor_of, may
from gantry.accounts.visible import visible
from gantry.catalogue import protect, retention, trash
from gantry.catalogue.api import router as studies
from gantry.catalogue.errors import BadRetention, StudyKept, StudyMissing
from gantry.catalogue.models import Hold, Study, Trash
from gantry.catalogue.remove import Above, remove_study

router = Router(tags=["storage"])


class Wiring:
    """What rooms above this one know and `main.api` hands in."""

    above: Above
    #: Which studies were delivered, and when.
    delivered: retention.Delivered
    #: Orders that the files of what was removed go now.
    unlink_soon: Callable[[], object]


wiring = Wiring()


class Reason(Schema):
    """Why. It is kept in the audit."""

    model_config = ConfigDict(extra="forbid")

    reason: Text = Field(min_length=1, max_length=2000, examples=["sent under the wrong patient"])


class TrashOut(Schema):
    """A study that was deleted."""

    study_instance_uid: str
    state: str = Field(description="trash, restored or removed", examples=["trash"])
    reason: str
    trashed_by: str
    trashed_at: datetime
    expires_at: datetime = Field(description="When it is removed for good")
    instance_count: int
    size_bytes: int
    ended_by: str
    ended_at: datetime | None


class TrashPage(Page[TrashOut]):
    """A page of the trash."""


class TrashQuery(PageQuery):
    """Which part of the trash."""

    state: Literal["trash", "restored", "removed", ""] = Field(default="trash", description="Empty: all")


class RestoredOut(Schema):
    """A study that is back."""

    study_instance_uid: str
    instances: int


class RemovedOut(Schema):
    """A study that is gone for good."""

    study_instance_uid: str
    instances: int
    bytes: int


def _seen(request: HttpRequest, uid: str, action: str) -> None:
    """Raise NotFound unless the study is one on which this actor may do that."""
    if not visible(actor_of(request), action).narrow(Study.objects.filter(study_instance_uid=uid), "pk").exists():
        raise NotFound("There is no such study.")


def _refusal(error: StudyKept | StudyMissing) -> Exception:
    if isinstance(error, StudyKept):
        return Clash(str(error), details={"kept_by": error.by})
    return NotFound(str(error))


# On the router that has the path: of two routers with one path only the first is asked.
@studies.delete("/studies/{uid}", auth=may("studies.delete"), response={202: TrashOut}, summary="Delete a study")
def delete_study(request: HttpRequest, uid: Path[Uid], query: Query[Reason]) -> Status[Any]:
    """Into the trash: it vanishes everywhere, its bytes stay until `expires_at`, and it can be restored until then.

    Refused while a legal hold, a protection or open deliveries keep it.
    """
    _seen(request, uid, "studies.delete")
    try:
        gone = trash.put_in_trash(
            connection.of_request(), uid, by=trail.by_request(request), reason=query.reason, count_open=wiring.above.count_open
        )
    except (StudyKept, StudyMissing) as error:
        raise _refusal(error) from error
    return Status(202, gone)


@router.get("/trash", auth=may("studies.view"), response=TrashPage, summary="List deleted studies")
def list_trash(request: HttpRequest, query: Query[TrashQuery]) -> dict[str, Any]:
    """What was deleted, the last first."""
    rows = visible(actor_of(request), "studies.view").narrow(Trash.objects.all(), "study_id")
    if query.state:
        rows = rows.filter(state=query.state)
    found, cursor = by_id(rows, query, newest_first=True)
    return answer(request, found, cursor)


@router.post("/trash/{uid}/restore", auth=may("studies.restore"), response=RestoredOut, summary="Take a study back")
def restore_study(request: HttpRequest, uid: Path[Uid]) -> dict[str, Any]:
    """As it was before it was deleted."""
    _seen(request, uid, "studies.restore")
    try:
        count = trash.restore(connection.of_request(), uid, by=trail.by_request(request))
    except StudyMissing as error:
        raise NotFound(str(error)) from error
    return {"study_instance_uid": uid, "instances": count}


@router.delete("/trash/{uid}", auth=may("studies.remove"), response=RemovedOut, summary="Remove a study for good")
def remove_from_trash(request: HttpRequest, uid: Path[Uid], query: Query[Reason]) -> Any:
    """Out of the trash before its time: rows now, files right after. Nothing brings it back."""
    _seen(request, uid, "studies.remove")
    try:
        gone = remove_study(uid, wiring.above, by=trail.by_request(request), reason=query.reason)
    except (StudyKept, StudyMissing) as error:
        raise _refusal(error) from error
    wiring.unlink_soon()
    return gone


class ProtectionOut(Schema):
    """Whether a study is protected from being deleted and recycled."""

    study_instance_uid: str
    protected: bool


@router.put("/studies/{uid}/protection", auth=may("studies.hold"), response=ProtectionOut, summary="Protect a study")
def put_protection(request: HttpRequest, uid: Path[Uid]) -> dict[str, Any]:
    """Neither quota nor rule nor person deletes it until the protection is taken away."""
    return _protect(request, uid, on=True)


@router.delete("/studies/{uid}/protection", auth=may("studies.hold"), response=ProtectionOut, summary="Unprotect a study")
def delete_protection(request: HttpRequest, uid: Path[Uid]) -> dict[str, Any]:
    """Take the protection away; a legal hold stays."""
    return _protect(request, uid, on=False)


def _protect(request: HttpRequest, uid: str, *, on: bool) -> dict[str, Any]:
    _seen(request, uid, "studies.hold")
    try:
        protect.protect(connection.of_request(), uid, by=trail.by_request(request), on=on)
    except StudyMissing as error:
        raise NotFound(str(error)) from error
    return {"study_instance_uid": uid, "protected": on}


class HoldIn(Reason):
    """A legal hold."""

    label: str = Field(min_length=1, max_length=80, pattern=r"\S", examples=["case 2026-17"])


class HoldOut(Schema):
    """A legal hold on a study."""

    study_instance_uid: str
    label: str
    reason: str
    placed_by: str
    placed_at: datetime
    lifted_by: str
    lifted_at: datetime | None
    lift_reason: str


class HoldPage(Page[HoldOut]):
    """A page of holds."""


class HoldQuery(PageQuery):
    """Which holds."""

    study_instance_uid: Uid | None = None
    ended: bool = Field(default=False, description="Those that were lifted, too")


@router.get("/storage/holds", auth=may("storage.view"), response=HoldPage, summary="List legal holds")
def list_holds(request: HttpRequest, query: Query[HoldQuery]) -> dict[str, Any]:
    """The newest first."""
    rows = visible(actor_of(request), "storage.view").narrow(Hold.objects.select_related("study"), "study_id")
    if query.study_instance_uid:
        rows = rows.filter(study__study_instance_uid=query.study_instance_uid)
    if not query.ended:
        rows = rows.filter(lifted_at=None)
    found, cursor = by_id(rows, query, newest_first=True)
    return answer(request, ({**vars(one), "study_instance_uid": one.study.study_instance_uid} for one in found), cursor)


@router.post("/studies/{uid}/holds", auth=may("studies.hold"), response={201: HoldOut}, summary="Place a legal hold")
def place_hold(request: HttpRequest, uid: Path[Uid], body: HoldIn) -> Status[Any]:
    """While it is not lifted, nothing deletes the study: no person, no rule, no quota, no expiry of the trash."""
    _seen(request, uid, "studies.hold")
    place = connection.of_request()
    try:
        protect.hold(place, uid, label=body.label, reason=body.reason, by=trail.by_request(request))
    except StudyMissing as error:
        raise NotFound(str(error)) from error
    except BadRetention as error:
        raise Invalid(str(error)) from error
    label = body.label.strip()
    return Status(201, next(one for one in protect.list_holds(place, uid=uid, limit=1000) if one.label == label))


class LiftQuery(Reason):
    """Which hold, and why it ends."""

    label: str = Field(min_length=1, max_length=80, pattern=r"\S", examples=["case 2026-17"])


@router.delete("/studies/{uid}/holds", auth=may("studies.hold"), response={204: None}, summary="Lift a legal hold")
def lift_hold(request: HttpRequest, uid: Path[Uid], query: Query[LiftQuery]) -> Status[None]:
    """The hold stays in the list of those that were lifted."""
    _seen(request, uid, "studies.hold")
    by = trail.by_request(request)
    try:
        protect.lift(connection.of_request(), uid, label=query.label, reason=query.reason, by=by)
    except StudyMissing as error:
        raise NotFound(str(error)) from error
    except BadRetention as error:
        raise Invalid(str(error)) from error
    return Status(204, None)


class RetentionRuleIn(Schema):
    """A retention rule."""

    model_config = ConfigDict(extra="forbid")

    days: int = Field(ge=0, le=36_500, examples=[90])
    after: Literal["delivered", "received"] = "delivered"
    calling_aet: Text = Field(default="", max_length=16, description="Who sent it; empty: anyone", examples=["CT1"])
    modality: Text = Field(default="", max_length=16, description="Empty: any", examples=["CT"])
    enabled: bool = True


class RetentionRuleOut(RetentionRuleIn):
    """A retention rule."""

    name: str
    created_by: str
    created_at: datetime


class RetentionRulePage(Page[RetentionRuleOut]):
    """All retention rules."""


@router.get("/storage/retention", auth=may("storage.view"), response=RetentionRulePage, summary="List retention rules")
def list_retention_rules(request: HttpRequest) -> dict[str, Any]:
    """By name, on one page."""
    return answer(request, retention.list_rules(connection.of_request()), None)


@router.put(
    "/storage/retention/{name}", auth=may("storage.edit"), response=RetentionRuleOut, summary="Add or change a retention rule"
)
def put_retention_rule(request: HttpRequest, name: str, body: RetentionRuleIn) -> Any:
    """Studies of this kind go to the trash so many days after they were delivered everywhere, or received."""
    place = connection.of_request()
    try:
        retention.put_rule(place, name, **body.dict(), by=trail.by_request(request))
    except BadRetention as error:
        raise Invalid(str(error)) from error
    return next(rule for rule in retention.list_rules(place) if rule.name == name)


@router.delete("/storage/retention/{name}", auth=may("storage.edit"), response={204: None}, summary="Remove a retention rule")
def drop_retention_rule(request: HttpRequest, name: str) -> Status[None]:
    """What it has sent to the trash stays there."""
    try:
        retention.drop_rule(connection.of_request(), name, by=trail.by_request(request))
    except StudyMissing as error:
        raise NotFound(str(error)) from error
    return Status(204, None)


class DueStudy(Schema):
    """A study that a rule would send to the trash now."""

    study_instance_uid: str
    last_received_at: datetime
    size_bytes: int


class DueOut(Schema):
    """What a rule would send to the trash now."""

    studies: int
    bytes: int
    complete: bool = Field(description="False: there are more than were counted")
    oldest: list[DueStudy] = Field(description="The first of them")


#: Studies that a preview counts, and those that it names.
_COUNTED, _NAMED = 2000, 50


@router.post("/storage/retention-preview", auth=may("storage.view"), response=DueOut, summary="What would a rule remove?")
def preview_retention(request: HttpRequest, body: RetentionRuleIn) -> dict[str, Any]:
    """As if the rule ran now; nothing is changed. Studies that something keeps are not counted."""
    rule = retention.Rule(
        0, "preview", body.calling_aet.strip(), body.modality.strip(), body.days, body.after, True, "", datetime.now(UTC)
    )
    due = retention.due(connection.of_request(), rule, wiring.delivered, datetime.now(UTC))
    found = list(islice(due, _COUNTED + 1))
    counted = found[:_COUNTED]
    shown = visible(actor_of(request), "studies.view")
    named = shown.narrow(Study.objects.filter(pk__in=[one.id for one in counted[:_NAMED]]), "pk").order_by("last_received_at")
    return {
        "studies": len(counted), "bytes": sum(one.size_bytes for one in counted), "complete": len(found) <= _COUNTED,
        "oldest": list(named.values("study_instance_uid", "last_received_at", "size_bytes")),
    }  # fmt: skip
