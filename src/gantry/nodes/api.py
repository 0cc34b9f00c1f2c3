"""Routes: nodes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from django.http import HttpRequest
from ninja import Path, Query, Router, Status

from gantry.accounts.page import PageQuery, answer, by_id
from gantry.accounts.route import may
from gantry.nodes import registry
from gantry.nodes.address import DimseAddress, check_aet, check_host, check_port
from gantry.nodes.echo import echo
from gantry.nodes.models import Node
from gantry.nodes.schemas import EchoOut, NodeChange, NodeIn, NodeName, NodeOut, NodePage

router = Router(tags=["nodes"])


class Wiring:
    """What rooms above this one know and `main.api` hands in."""

    #: Counts the deliveries to a node, by its id, that have not ended.
    open_deliveries: Callable[[int], int]


wiring = Wiring()


@router.get("/nodes", auth=may("nodes.view"), response=NodePage, summary="List nodes")
def list_nodes(request: HttpRequest, query: Query[PageQuery]) -> dict[str, Any]:
    """All nodes, oldest first."""
    found, cursor = by_id(Node.objects.filter(removed_at=None), query, newest_first=False)
    return answer(request, found, cursor)


@router.post("/nodes", auth=may("nodes.edit"), response={201: NodeOut}, summary="Add a node")
def add_node(request: HttpRequest, body: NodeIn) -> Status[Node]:
    """Register a DIMSE node. Nothing is sent to it before a rule or a person says so."""
    limits = registry.NodeLimits(body.max_associations, body.max_attempts, body.connect_seconds, body.response_seconds)
    address: DimseAddress | str = body.address
    if not body.address:
        address = DimseAddress(check_aet(body.aet), check_host(body.host), check_port(body.port or 0))
    node = registry.add(body.name, address, calling_aet=body.calling_aet, limits=limits, enabled=body.enabled)
    return Status(201, node)


@router.get("/nodes/{name}", auth=may("nodes.view"), response=NodeOut, summary="Get a node")
def get_node(request: HttpRequest, name: Path[NodeName]) -> Node:
    """One node."""
    return registry.get(name)


@router.patch("/nodes/{name}", auth=may("nodes.edit"), response=NodeOut, summary="Hold a node back, or let it run")
def change_node(request: HttpRequest, name: Path[NodeName], body: NodeChange) -> Node:
    """Switch deliveries to a node off or on; what is ordered waits."""
    return registry.enable(name, enabled=body.enabled)


@router.post("/nodes/{name}/echo", auth=may("nodes.echo"), response=EchoOut, summary="Ask for a sign of life")
def echo_node(request: HttpRequest, name: Path[NodeName]) -> EchoOut:
    """Open an association and send a C-ECHO (PS3.4 A). A failure is an answer too: `ok` is false."""
    return EchoOut.of(echo(registry.target_of(registry.get(name))))


@router.delete("/nodes/{name}", auth=may("nodes.edit"), response={204: None}, summary="Remove a node")
def remove_node(request: HttpRequest, name: Path[NodeName]) -> Status[None]:
    """Take a node away that has no open deliveries. What it has confirmed stays in the ledger."""
    registry.remove(name, open_deliveries=wiring.open_deliveries)
    return Status(204, None)
