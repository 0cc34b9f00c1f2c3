"""Add, list, get and remove nodes."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from django.db import IntegrityError, connection, transaction
from django.db.models import ProtectedError
from django.utils import timezone

from gantry import config
from gantry.audit.record import SYSTEM, By, record
from gantry.nodes.address import DimseAddress, check_aet
from gantry.nodes.errors import BadNode, NodeExists, NodeInUse, NodeMissing
from gantry.nodes.items import PLAIN, AnyTarget, Security, SendTarget
from gantry.nodes.kinds import DIMSE, FOLDER, WEB, kind_of, read_address, security_from, target_from, words_of
from gantry.nodes.models import Node
from gantry.nodes.passcodes import forget_passcode, keep_passcode
from gantry.nodes.profile import NodeProfile, changes
from gantry.nodes.settings import CHECKS, checked
from gantry.nodes.stow_client import is_local

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


def check_security(security: Security, *, system_authorities: bool = False) -> Security:
    """As it is kept: full paths, the fingerprint in one spelling. `system_authorities`: those of this machine count
    where none are named. Raises BadNode."""
    files = {"authorities": security.authorities, "certificate": security.certificate, "key": security.key}
    for what, path in files.items():
        if path and not os.path.exists(path):
            raise BadNode(f"the {what} file {path[:200]!r} does not exist")
    if not security.tls:
        if any(files.values()) or security.fingerprint:
            raise BadNode("certificates and fingerprints are for TLS: switch it on (--tls)")
    elif not (security.authorities or security.fingerprint or system_authorities):
        raise BadNode(
            "TLS needs to know whom to trust: name a file of authorities (--authorities), or the SHA-256 fingerprint of the "
            "node's certificate (--fingerprint)"
        )
    if security.key and not security.certificate:
        raise BadNode("a key without a certificate: name both (--certificate, --key)")
    if security.fingerprint and not _FINGERPRINT.fullmatch(security.fingerprint):
        raise BadNode("the fingerprint is no SHA-256 one: 64 hexadecimal digits, with or without colons")
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
    settings: Mapping[str, Any] | None = None,
    by: By = SYSTEM,
) -> Node:
    """Register a node: AET@HOST:PORT, https://... of a DICOMweb server, or folder:/path.

    `calling_aet` empty: it is called with the AE title of this instance. `settings` by name, as in `nodes.settings`.
    Raises BadNode, BadAddress or NodeExists.
    """
    limits = limits or NodeLimits()
    check_name(name)
    _check_limits(limits)
    kind = kind_of(address) if isinstance(address, str) else DIMSE
    where = read_address(address, _home()) if isinstance(address, str) else address
    values = checked(settings or {})
    security = security_for(kind, where, security, values)
    node = Node(
        name=name,
        kind=kind,
        **_place(where),
        calling_aet=check_aet(calling_aet) if calling_aet else "",
        max_associations=limits.max_associations,
        max_attempts=limits.max_attempts,
        connect_seconds=limits.connect_seconds,
        response_seconds=limits.response_seconds,
        enabled=enabled,
        created_at=timezone.now(),
        **_kept(security),
    )
    for field, value in values.items():
        setattr(node, field, value)
    try:
        with transaction.atomic():
            node.save(force_insert=True)
            _note(by, "node.add", node, None)
            if security.passcode:
                keep_passcode(_home(), node.pk, security.passcode)
    except IntegrityError as error:
        raise NodeExists(f"there is a node {name!r} already: remove it first or choose another name") from error
    return node


def change(
    name: str,
    settings: Mapping[str, Any],
    *,
    address: str = "",
    security: Security | None = None,
    passcode: str | None = None,
    by: By = SYSTEM,
) -> Node:
    """Change settings of a node by name (`nodes.settings`); its kind stays. `security` replaces all of it; `passcode`
    only that. What is being sent this moment ends as it began.

    Raises BadNode, BadAddress, NodeMissing.
    """
    values = checked(settings)
    with transaction.atomic():
        node = get(name)
        Node.objects.select_for_update().get(pk=node.pk)
        before = described(node)
        where: DimseAddress | str = words_of(node)
        if address:
            if kind_of(address) != node.kind:
                raise BadNode(f"node {name!r} is of the kind {node.kind}: add a new one for another kind of place")
            where = read_address(address, _home())
            for field, value in _place(where).items():
                setattr(node, field, value)
        for field, value in values.items():
            setattr(node, field, value)
        kept = security if security is not None else security_of(node, opened=False)
        if passcode is not None:
            kept = replace(kept, passcode=passcode)
        kept = security_for(node.kind, where, kept, {"http_auth": node.http_auth})
        for field, value in _kept(kept).items():
            setattr(node, field, value)
        if "enabled" in values or address:
            node.retry_at = None
        node.save()
        _note(by, "node.edit", node, before)
        if passcode is not None or security is not None:
            keep_passcode(_home(), node.pk, kept.passcode) if kept.passcode else forget_passcode(_home(), node.pk)
    return node


def _place(where: DimseAddress | str) -> dict[str, Any]:
    if isinstance(where, DimseAddress):
        return {"aet": where.aet, "host": where.host, "port": where.port}
    return {"aet": "", "host": "", "port": 0, "url": where}


def _kept(security: Security) -> dict[str, Any]:
    return {
        "tls": security.tls,
        "tls_authorities": security.authorities,
        "tls_fingerprint": security.fingerprint,
        "tls_certificate": security.certificate,
        "tls_key": security.key,
        "user_name": security.user,
    }


def security_for(kind: str, where: DimseAddress | str, security: Security, values: Mapping[str, Any]) -> Security:
    """As it is kept of a node of this kind and place. Raises BadNode for what cannot be, or does not fit the kind."""
    return _for_kind(kind, where, _checked_security(kind, where, security), values)


def _checked_security(kind: str, where: DimseAddress | str, security: Security) -> Security:
    """For a web server the address says whether it is TLS, and the authorities of the system may vouch for it."""
    if kind != WEB:
        return check_security(security)
    if str(where).startswith("http:"):
        return check_security(security)
    return check_security(replace(security, tls=True), system_authorities=True)


def _for_kind(kind: str, where: DimseAddress | str, security: Security, values: Mapping[str, Any]) -> Security:
    """What does not fit the kind. Raises BadNode."""
    auth = values.get("http_auth", "")
    if kind == FOLDER and (security != PLAIN or auth):
        raise BadNode("a folder has neither TLS nor a user: the rights of its volume count")
    if kind == DIMSE and auth:
        raise BadNode("http_auth is for DICOMweb servers; DICOM peers are told the user by user identity negotiation")
    if kind == DIMSE and security.passcode and not security.user:
        raise BadNode("a passcode without a user name")
    if kind == WEB:
        if security.tls and str(where).startswith("http:"):
            raise BadNode("TLS needs an address with https:")
        if auth == "basic" and not security.user:
            raise BadNode("basic sign-in needs a user name")
        if auth and str(where).startswith("http:") and not is_local(str(where)):
            raise BadNode("over http: everybody on the way could read the passcode: use https:")
    return security


def described(node: Node) -> dict[str, Any]:
    """The settings of a node, without secrets."""
    return {"address": words_of(node), **{name: getattr(node, name) for name in (*CHECKS, *_kept(PLAIN))}}


def _note(by: By, act: str, node: Node, before: Mapping[str, Any] | None) -> None:
    after = None if act == "node.remove" else described(node)
    if before is not None and after is not None:
        changed = {name for name in after if before[name] != after[name]}
        before, after = ({name: some[name] for name in changed} for some in (before, after))
    with connection.cursor() as cursor:
        record(cursor, act, by, kind="node", key=node.name, before=before, after=after)


def target_of(node: Node) -> SendTarget:
    """Where a DICOM peer is and how we call it. Raises BadNode for a node of another kind."""
    target = place_of(node)
    if not isinstance(target, SendTarget):
        raise BadNode(
            f"node {node.name!r} is no DICOM peer but {words_of(node)}: it takes deliveries, and answers no DICOM query"
        )
    return target


def place_of(node: Node) -> AnyTarget:
    """Where a node of any kind is, and how it is spoken to."""
    return target_from(node, config.current().aet, _home())


def security_of(node: Node, *, opened: bool = True) -> Security:
    """TLS and user of a node; not `opened`: the passcode in the form it is kept in. Raises BadNode when it cannot be had."""
    return security_from(node, _home(), opened=opened)


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
    changed: list[str] = []
    if node.profile:
        before = NodeProfile.from_dict(node.profile)
        changed = changes(before, found)
        # What fetches have learned is no question of a probe.
        found.fetch_associations = found.fetch_associations or before.fetch_associations
    Node.objects.filter(pk=node.pk).update(
        profile=found.as_dict(), profiled_at=timezone.now(), profile_change="; ".join(changed)[:2000]
    )
    return changed


def enable(name: str, *, enabled: bool = True, by: By = SYSTEM) -> Node:
    """Let deliveries to a node run, or hold them back. Raises NodeMissing."""
    return change(name, {"enabled": enabled}, by=by)


def remove(name: str, *, open_deliveries: Callable[[int], int], by: By = SYSTEM) -> None:
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
        _note(by, "node.remove", node, described(node))
        try:
            with transaction.atomic():
                node.delete()
        except ProtectedError:
            Node.objects.filter(pk=node.pk).update(enabled=False, removed_at=timezone.now())
