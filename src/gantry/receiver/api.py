"""Routes: who may call the DICOM port, and who was refused."""

from __future__ import annotations

from typing import Any

from django.http import HttpRequest
from ninja import Path, Query, Router, Status

from gantry.accounts.page import PageQuery, answer, by_id
from gantry.accounts.route import actor_of, may
from gantry.accounts.sign_in import address_of
from gantry.audit import By, by_actor
from gantry.receiver import allow
from gantry.receiver.models import Caller, RefusedCaller
from gantry.receiver.schemas import AeTitle, CallerChange, CallerIn, CallerOut, CallerPage, RefusedPage

router = Router(tags=["callers"])


def _by(request: HttpRequest) -> By:
    return by_actor(actor_of(request), address_of(request))


@router.get("/callers", auth=may("callers.view"), response=CallerPage, summary="List callers")
def list_callers(request: HttpRequest, query: Query[PageQuery]) -> dict[str, Any]:
    """Who is let in or denied by name, oldest first. Nodes may echo and store without an entry."""
    found, cursor = by_id(Caller.objects.all(), query, newest_first=False)
    return answer(request, found, cursor)


@router.post("/callers", auth=may("callers.edit"), response={201: CallerOut}, summary="Allow a caller")
def allow_caller(request: HttpRequest, body: CallerIn) -> Status[Caller]:
    """Let the caller of an AE title in, for exactly what is given; an entry it has is replaced."""
    caller = allow.allow(
        body.aet, may=body.may, hosts=body.hosts, certificate=body.certificate, name=body.name, by=_by(request)
    )  # fmt: skip
    return Status(201, caller)


@router.get("/callers/refused", auth=may("callers.view"), response=RefusedPage, summary="List refused callers")
def list_refused_callers(request: HttpRequest, query: Query[PageQuery]) -> dict[str, Any]:
    """Who was not let in, from where, why and how often; the newest entry first."""
    found, cursor = by_id(RefusedCaller.objects.all(), query, newest_first=True)
    return answer(request, found, cursor)


@router.patch("/callers/{aet}", auth=may("callers.edit"), response=CallerOut, summary="Deny a caller")
def deny_caller(request: HttpRequest, aet: Path[AeTitle], body: CallerChange) -> Caller:
    """Refuse an AE title from now on, also when it is a node."""
    return allow.deny(allow.get(aet).aet, by=_by(request))


@router.delete("/callers/{aet}", auth=may("callers.edit"), response={204: None}, summary="Forget a caller")
def remove_caller(request: HttpRequest, aet: Path[AeTitle]) -> Status[None]:
    """It is a stranger again."""
    allow.remove(aet, by=_by(request))
    return Status(204, None)
