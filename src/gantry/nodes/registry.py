"""Add, list, get and remove nodes."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass

from django.db import IntegrityError, transaction
from django.db.models import ProtectedError
from django.utils import timezone

from gantry import config
from gantry.nodes.address import DimseAddress, check_aet
from gantry.nodes.errors import BadNode, NodeExists, NodeInUse, NodeMissing
from gantry.nodes.items import SendTarget
from gantry.nodes.models import Node

_SLUG = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,62}", re.ASCII)


@dataclass(frozen=True, slots=True)
class NodeLimits:
    """How hard a node may be pushed, and how long we wait for it (seconds)."""

    max_associations: int = 4
    max_attempts: int = 12
    connect_seconds: float = 10.0
    response_seconds: float = 60.0


def check_name(name: str) -> str:
    """A node name as it may stand in a command, a rule and a URL. Raises BadNode."""
    if not _SLUG.fullmatch(name):
        raise BadNode(
            f"{name[:80]!r} is no node name: use letters, digits, '-' and '_', at most 63, beginning with a letter or digit"
        )
    return name


def _check_limits(limits: NodeLimits) -> None:
    ranges = {
        "max_associations": (1, 64),
        "max_attempts": (1, 1000),
        "connect_seconds": (0.1, 600),
        "response_seconds": (0.1, 86400),
    }
    for field, (low, high) in ranges.items():
        value = getattr(limits, field)
        if not low <= value <= high:
            raise BadNode(f"{field} is {value}; it must be between {low} and {high}")


def add(
    name: str,
    address: DimseAddress | str,
    *,
    calling_aet: str = "",
    limits: NodeLimits | None = None,
    enabled: bool = True,
) -> Node:
    """Register a DIMSE node. `calling_aet` empty: it is called with the AE title of this instance.

    Raises BadNode, BadAddress or NodeExists.
    """
    limits = limits or NodeLimits()
    check_name(name)
    _check_limits(limits)
    where = DimseAddress.parse(address) if isinstance(address, str) else address
    node = Node(
        name=name,
        aet=where.aet,
        host=where.host,
        port=where.port,
        calling_aet=check_aet(calling_aet) if calling_aet else "",
        max_associations=limits.max_associations,
        max_attempts=limits.max_attempts,
        connect_seconds=limits.connect_seconds,
        response_seconds=limits.response_seconds,
        enabled=enabled,
        created_at=timezone.now(),
    )
    try:
        with transaction.atomic():
            node.save(force_insert=True)
    except IntegrityError as error:
        raise NodeExists(f"there is a node {name!r} already: remove it first or choose another name") from error
    return node


def target_of(node: Node) -> SendTarget:
    """Where a node is and how we call it."""
    return SendTarget(
        DimseAddress(node.aet, node.host, node.port),
        node.calling_aet or config.current().aet,
        connect_seconds=node.connect_seconds,
        response_seconds=node.response_seconds,
    )


def target_at(address: DimseAddress | str) -> SendTarget:
    """A peer that is no node. Raises BadAddress."""
    where = DimseAddress.parse(address) if isinstance(address, str) else address
    return SendTarget(where, config.current().aet)


def list_nodes() -> list[Node]:
    """All nodes by name, without the removed ones."""
    return list(Node.objects.filter(removed_at=None).order_by("name"))


def get(name: str) -> Node:
    """The node of this name. Raises NodeMissing."""
    node = Node.objects.filter(name=name, removed_at=None).first()
    if node is None:
        raise NodeMissing(f"there is no node {name[:80]!r}: `gantry node list` shows those that are")
    return node


def enable(name: str, *, enabled: bool = True) -> Node:
    """Let deliveries to a node run, or hold them back. Raises NodeMissing."""
    node = get(name)
    Node.objects.filter(pk=node.pk).update(enabled=enabled, retry_at=None)
    node.refresh_from_db()
    return node


def remove(name: str, *, open_deliveries: Callable[[int], int]) -> None:
    """Take a node away. What it has confirmed stays in the ledger.

    `open_deliveries(node_id)` counts what has not ended (`gantry.transfers.count_open`).
    Raises NodeMissing, NodeInUse.
    """
    with transaction.atomic():
        node = Node.objects.select_for_update().filter(name=name, removed_at=None).first()
        if node is None:
            raise NodeMissing(f"there is no node {name[:80]!r}: `gantry node list` shows those that are")
        count = open_deliveries(node.pk)
        if count:
            raise NodeInUse(f"node {name!r} has {count} deliveries that have not ended: wait for them, or disable the node")
        try:
            with transaction.atomic():
                node.delete()
        except ProtectedError:
            Node.objects.filter(pk=node.pk).update(enabled=False, removed_at=timezone.now())
