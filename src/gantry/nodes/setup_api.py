"""Routes for those who set nodes up: test before saving, security, the kept profile."""

from __future__ import annotations

from typing import Any

from django.http import HttpRequest
from ninja import Path, Router

from dimse.uids import name_of
from gantry.accounts.route import actor_of, check_node, may
from gantry.nodes import registry
from gantry.nodes.address import DimseAddress, check_aet, check_host, check_port
from gantry.nodes.items import Security
from gantry.nodes.models import Node
from gantry.nodes.profile import QUIRKS
from gantry.nodes.schemas import EchoOut, NodeName, NodeTest, ProfileOut, SecurityOut
from gantry.nodes.settings import CHECKS
from gantry.nodes.tryout import try_out

router = Router(tags=["nodes"])


@router.post("/node-tests", auth=may("nodes.edit"), response=EchoOut, summary="Test a node before it is saved")
def test_node(request: HttpRequest, body: NodeTest) -> EchoOut:
    """As `POST /nodes/{name}/echo`, of a place that is no node yet or of a node as it would be. Nothing is kept."""
    check_node(actor_of(request), body.like or body.name)
    address: DimseAddress | str = body.address
    if not body.address:
        address = DimseAddress(check_aet(body.aet), check_host(body.host), check_port(body.port or 0))
    settings = {name: getattr(body, name) for name in CHECKS}
    return EchoOut.of(try_out(address, security=Security(**body.security.dict()), settings=settings, passcode_of=body.like))


@router.get("/nodes/{name}/security", auth=may("nodes.edit"), response=SecurityOut, summary="See TLS and user of a node")
def get_security(request: HttpRequest, name: Path[NodeName]) -> dict[str, Any]:
    """What `PATCH /nodes/{name}` replaces as a whole."""
    found = registry.security_of(registry.get(name), opened=False)
    return {
        "tls": found.tls, "authorities": found.authorities, "fingerprint": found.fingerprint, "certificate": found.certificate,
        "key": found.key, "user": found.user, "has_passcode": bool(found.passcode),
    }  # fmt: skip


@router.get("/nodes/{name}/profile", auth=may("nodes.view"), response=ProfileOut, summary="See what a node can do")
def get_profile(request: HttpRequest, name: Path[NodeName]) -> dict[str, Any]:
    """As its last probe found it; nothing is asked."""
    node: Node = registry.get(name)
    profile = node.profile or {}
    syntaxes = profile.get("syntaxes") or {}
    uids = {*(profile.get("storage") or ()), *syntaxes, *(syntax for some in syntaxes.values() for syntax in some)}
    return {
        "profiled_at": node.profiled_at, "profile": node.profile, "change": node.profile_change,
        "names": {uid: name_of(uid) for uid in sorted(uids)},
        "quirks": {quirk: QUIRKS.get(quirk, quirk) for quirk in profile.get("quirks") or ()},
    }  # fmt: skip
