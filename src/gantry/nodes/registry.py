"""Add, list, get and remove nodes."""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from django.db import IntegrityError, transaction
from django.db.models import ProtectedError
from django.utils import timezone

from gantry import config
from gantry.nodes.address import DimseAddress, check_aet
from gantry.nodes.errors import BadNode, NodeExists, NodeInUse, NodeMissing
from gantry.nodes.items import PLAIN, Security, SendTarget
from gantry.nodes.models import Node
from gantry.nodes.passcodes import forget_passcode, keep_passcode, passcode_of
from gantry.nodes.profile import NodeProfile, changes

_FINGERPRINT = re.compile(r"(?:[0-9A-Fa-f]{2}:?){31}[0-9A-Fa-f]{2}", re.ASCII)
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


def check_security(security: Security) -> Security:
    """As it is kept: full paths, the fingerprint in one spelling. Raises BadNode."""
    files = {"authorities": security.authorities, "certificate": security.certificate, "key": security.key}
    for what, path in files.items():
        if path and not os.path.exists(path):
            raise BadNode(f"the {what} file {path[:200]!r} does not exist")
    if not security.tls:
        if any(files.values()) or security.fingerprint:
            raise BadNode("certificates and fingerprints are for TLS: switch it on (--tls)")
    elif not (security.authorities or security.fingerprint):
        raise BadNode(
            "TLS needs to know whom to trust: name a file of authorities (--authorities), or the SHA-256 fingerprint of the "
            "node's certificate (--fingerprint)"
        )
    if security.key and not security.certificate:
        raise BadNode("a key without a certificate: name both (--certificate, --key)")
    if security.fingerprint and not _FINGERPRINT.fullmatch(security.fingerprint):
        raise BadNode("the fingerprint is no SHA-256 one: 64 hexadecimal digits, with or without colons")
    if security.passcode and not security.user:
        raise BadNode("a passcode without a user name")
    paths = {what: os.path.abspath(path) if path else "" for what, path in files.items()}
    fingerprint = security.fingerprint.replace(":", "").lower()
    return Security(security.tls, fingerprint=fingerprint, user=security.user, passcode=security.passcode, **paths)


def add(
    name: str,
    address: DimseAddress | str,
    *,
    calling_aet: str = "",
    limits: NodeLimits | None = None,
    enabled: bool = True,
    security: Security = PLAIN,
) -> Node:
    """Register a DIMSE node. `calling_aet` empty: it is called with the AE title of this instance.

    Raises BadNode, BadAddress or NodeExists.
    """
    limits = limits or NodeLimits()
    check_name(name)
    _check_limits(limits)
    security = check_security(security)
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
        tls=security.tls,
        tls_authorities=security.authorities,
        tls_fingerprint=security.fingerprint,
        tls_certificate=security.certificate,
        tls_key=security.key,
        user_name=security.user,
    )
    try:
        with transaction.atomic():
            node.save(force_insert=True)
            if security.passcode:
                keep_passcode(_home(), node.pk, security.passcode)
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
        security=security_of(node),
        quirks=frozenset(NodeProfile.from_dict(node.profile).quirks) if node.profile else frozenset(),
    )


def security_of(node: Node) -> Security:
    """TLS and user of a node; the passcode is read from its file."""
    return Security(
        tls=node.tls,
        authorities=node.tls_authorities,
        fingerprint=node.tls_fingerprint,
        certificate=node.tls_certificate,
        key=node.tls_key,
        user=node.user_name,
        passcode=passcode_of(_home(), node.pk) if node.user_name else "",
    )


def _home() -> Path:
    return Path(config.current().home)


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


def keep_profile(name: str, found: NodeProfile) -> list[str]:
    """Keep what a probe found; gives what has changed since the probe before, and keeps that too. Raises NodeMissing."""
    node = get(name)
    changed = changes(NodeProfile.from_dict(node.profile), found) if node.profile else []
    Node.objects.filter(pk=node.pk).update(
        profile=found.as_dict(), profiled_at=timezone.now(), profile_change="; ".join(changed)[:2000]
    )
    return changed


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
        forget_passcode(_home(), node.pk)
        try:
            with transaction.atomic():
                node.delete()
        except ProtectedError:
            Node.objects.filter(pk=node.pk).update(enabled=False, removed_at=timezone.now())
