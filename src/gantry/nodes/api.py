"""Routes: nodes."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any
from uuid import UUID

from django.db import connection, transaction
from django.http import HttpRequest
from django.shortcuts import get_object_or_404
from django.utils import timezone
from ninja import Path, Query, Router, Status

from gantry.accounts.page import PageQuery, answer, by_id, pack, unpack
from gantry.accounts.route import actor_of, check_node, may
from gantry.accounts.sign_in import address_of
from gantry.audit.record import By, Json, by_actor, record
from gantry.nodes import registry
from gantry.nodes.address import DimseAddress, check_aet, check_host, check_port
from gantry.nodes.fetch import Wanted
from gantry.nodes.find import Found, find
from gantry.nodes.items import Security
from gantry.nodes.kinds import ask
from gantry.nodes.models import Fetch, Node
from gantry.nodes.probe import probe
from gantry.nodes.question import Answer
from gantry.nodes.schemas import (
    EchoOut,
    FetchIn,
    FetchOut,
    FetchPage,
    FindIn,
    FindOut,
    NodeChange,
    NodeIn,
    NodeName,
    NodeOut,
    NodePage,
    ProbeOut,
)

router = Router(tags=["nodes"])


class Wiring:
    """What rooms above this one know and `main.api` hands in."""

    #: Counts the deliveries to a node, by its id, that have not ended.
    open_deliveries: Callable[[int], int]


wiring = Wiring()
_KIND_SETTINGS = ("transcode", "bandwidth", "reconcile", "failover_seconds", "http_auth", "path_template")


def _by(request: HttpRequest) -> By:
    return by_actor(actor_of(request), address_of(request))


@router.get("/nodes", auth=may("nodes.view"), response=NodePage, summary="List nodes")
def list_nodes(request: HttpRequest, query: Query[PageQuery]) -> dict[str, Any]:
    """All nodes, oldest first; to a token for some nodes, these."""
    rows = Node.objects.filter(removed_at=None)
    mine = actor_of(request).nodes
    found, cursor = by_id(rows if mine is None else rows.filter(name__in=mine), query, newest_first=False)
    return answer(request, found, cursor)


@router.post("/nodes", auth=may("nodes.edit"), response={201: NodeOut}, summary="Add a node")
def add_node(request: HttpRequest, body: NodeIn) -> Status[Node]:
    """Register a DICOM peer, a DICOMweb server or a folder. Nothing is sent to it before a rule or a person says so."""
    check_node(actor_of(request), body.name)
    limits = registry.NodeLimits(body.max_associations, body.max_attempts, body.connect_seconds, body.response_seconds)
    address: DimseAddress | str = body.address
    if not body.address:
        address = DimseAddress(check_aet(body.aet), check_host(body.host), check_port(body.port or 0))
    security = Security(**body.security.dict())
    settings = {name: getattr(body, name) for name in _KIND_SETTINGS}
    node = registry.add(
        body.name, address, calling_aet=body.calling_aet, limits=limits, enabled=body.enabled, security=security,
        settings=settings, by=_by(request),
    )  # fmt: skip
    return Status(201, node)


@router.get("/nodes/{name}", auth=may("nodes.view"), response=NodeOut, summary="Get a node")
def get_node(request: HttpRequest, name: Path[NodeName]) -> Node:
    """One node."""
    return registry.get(name)


@router.patch("/nodes/{name}", auth=may("nodes.edit"), response=NodeOut, summary="Change a node, hold it back, or let it run")
def change_node(request: HttpRequest, name: Path[NodeName], body: NodeChange) -> Node:
    """Change settings; switch deliveries off or on: what is ordered waits."""
    given = {field: value for field, value in body.dict().items() if value is not None}
    address, security, passcode = given.pop("address", ""), None, None
    if given.pop("security", None) is not None and body.security is not None:
        passcode = body.security.passcode
        kept = registry.security_of(registry.get(name), opened=False).passcode if passcode is None else passcode
        security = Security(**{**body.security.dict(), "passcode": kept})
    return registry.change(name, given, address=address, security=security, passcode=passcode, by=_by(request))


@router.post("/nodes/{name}/echo", auth=may("nodes.echo"), response=EchoOut, summary="Ask for a sign of life")
def echo_node(request: HttpRequest, name: Path[NodeName]) -> EchoOut:
    """A C-ECHO (PS3.4 A), a question to the web server, or a file in the folder. A failure is an answer too: `ok` is
    false."""
    return EchoOut.of(ask(registry.place_of(registry.get(name))))


@router.post("/nodes/{name}/find", auth=may("nodes.query"), response=FindOut, summary="Ask a node what it has")
def find_at_node(request: HttpRequest, name: Path[NodeName], body: FindIn) -> FindOut:
    """C-FIND (PS3.4 C). Answers that do not fit what was asked are left out; a page is a part of one query."""
    target = registry.target_of(registry.get(name))
    seen = Found()

    async def ask() -> list[Answer]:
        asked = find(
            target, body.level, body.keys, wanted=body.wanted, limit=body.skip + body.limit, deadline=body.seconds, seen=seen
        )
        return [answer async for answer in asked]

    return FindOut(items=asyncio.run(ask())[body.skip :], more=seen.cut, dropped=seen.dropped)


@router.post("/nodes/{name}/fetch", auth=may("nodes.fetch"), response={202: FetchOut}, summary="Fetch from a node")
def fetch_from_node(request: HttpRequest, name: Path[NodeName], body: FetchIn) -> Status[Fetch]:
    """Order a fetch into the home; it runs in the queue. `GET` its state until it has ended."""
    node = registry.get(name)
    uids = [str(Wanted.parse(uid)) for uid in dict.fromkeys(body.uids)]
    with transaction.atomic():
        made = Fetch.objects.create(node=node, uids=uids, how=body.how, created_at=timezone.now())
        with connection.cursor() as cursor:
            after: Json = {"fetch": str(made.id), "how": body.how, "uids": uids}
            study = uids[0].partition("/")[0]
            record(cursor, "node.fetch", _by(request), kind="node", key=node.name, study_uid=study, after=after)
        from gantry.nodes.work import fetch_ordered  # procrastinate's app needs Django ready

        fetch_ordered.defer(fetch_id=str(made.id))
    return Status(202, made)


@router.get("/nodes/{name}/fetch", auth=may("nodes.fetch"), response=FetchPage, summary="List fetches from a node")
def list_fetches(request: HttpRequest, name: Path[NodeName], query: Query[PageQuery]) -> dict[str, Any]:
    """Newest first."""
    begin = unpack(query.cursor) if query.cursor else 0
    end = begin + query.limit
    found = list(Fetch.objects.filter(node=registry.get(name)).order_by("-created_at", "-id")[begin : end + 1])
    return answer(request, found[: query.limit], pack(end) if len(found) > query.limit else None)


@router.get("/nodes/{name}/fetch/{fetch_id}", auth=may("nodes.fetch"), response=FetchOut, summary="See a fetch")
def get_fetch(request: HttpRequest, name: Path[NodeName], fetch_id: UUID) -> Fetch:
    """How far it is, and what is missing at its end."""
    return get_object_or_404(Fetch, pk=fetch_id, node=registry.get(name))


@router.delete("/nodes/{name}/fetch/{fetch_id}", auth=may("nodes.fetch"), response={202: FetchOut}, summary="Stop a fetch")
def stop_fetch(request: HttpRequest, name: Path[NodeName], fetch_id: UUID) -> Status[Fetch]:
    """Stop it; what came stays."""
    found = get_object_or_404(Fetch, pk=fetch_id, node=registry.get(name))
    Fetch.objects.filter(pk=found.pk, ended_at=None).update(cancel_wanted=True)
    return Status(202, found)


@router.post("/nodes/{name}/probe", auth=may("nodes.query"), response=ProbeOut, summary="Find out what a node can do")
def probe_node(request: HttpRequest, name: Path[NodeName]) -> ProbeOut:
    """Ask it, keep the answer with the node, and say what has changed. Takes seconds."""
    found = probe(registry.target_of(registry.get(name)))
    return ProbeOut(profile=found.as_dict(), changes=[] if found.error else registry.keep_profile(name, found))


@router.delete("/nodes/{name}", auth=may("nodes.edit"), response={204: None}, summary="Remove a node")
def remove_node(request: HttpRequest, name: Path[NodeName]) -> Status[None]:
    """Take a node away that has no open deliveries. What it has confirmed stays in the ledger."""
    registry.remove(name, open_deliveries=wiring.open_deliveries, by=_by(request))
    return Status(204, None)
