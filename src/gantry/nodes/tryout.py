"""Does a node answer that is not saved yet? Everything is checked as if it were added, and nothing is kept."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from gantry import config
from gantry.nodes import registry
from gantry.nodes.address import DimseAddress
from gantry.nodes.echo import EchoResult
from gantry.nodes.folder_path import check_template
from gantry.nodes.items import PLAIN, AnyTarget, FolderTarget, Security, SendTarget, WebTarget
from gantry.nodes.kinds import DIMSE, FOLDER, ask, kind_of, read_address, reserve_bytes
from gantry.nodes.settings import checked

#: A test is for a person who waits, seconds.
PATIENCE_SECONDS = 15.0


def try_out(
    address: DimseAddress | str, *, security: Security = PLAIN, settings: Mapping[str, Any] | None = None,
    passcode_of: str = "",
) -> EchoResult:  # fmt: skip
    """A sign of life of a place that is no node yet, or of a node as it would be. `settings` as of `registry.add`.

    `passcode_of`: the node whose kept passcode counts where none is given. Raises BadNode, BadAddress, NodeMissing.
    """
    if passcode_of and not security.passcode:
        security = replace(security, passcode=registry.security_of(registry.get(passcode_of)).passcode)
    return ask(_target(address, security, checked(settings or {})))


def _target(address: DimseAddress | str, security: Security, values: Mapping[str, Any]) -> AnyTarget:
    kind = kind_of(address) if isinstance(address, str) else DIMSE
    where = read_address(address, Path(config.current().home)) if isinstance(address, str) else address
    security = registry.security_for(kind, where, security, values)
    connect = min(values.get("connect_seconds", 10.0), PATIENCE_SECONDS)
    response = min(values.get("response_seconds", 60.0), PATIENCE_SECONDS)
    if isinstance(where, DimseAddress):
        calling = values.get("calling_aet") or config.current().aet
        return SendTarget(where, calling, connect_seconds=connect, response_seconds=response, security=security)
    if kind == FOLDER:
        template = values.get("path_template", "")
        return FolderTarget(where, check_template(template) if template else "", reserve_bytes())
    return WebTarget(where, connect, response, security, values.get("http_auth", ""))
