"""Nodes in the file."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import psycopg

from gantry import sealing
from gantry.main.one_file import given
from gantry.main.one_file.plan import Run, Section, WrongField
from gantry.main.one_file.schema import Kept, Node
from gantry.nodes import registry
from gantry.nodes.errors import BadAddress, BadNode
from gantry.nodes.items import Security
from gantry.nodes.kinds import WEB, kind_of, read_address, words_of
from gantry.nodes.models import Node as Row
from gantry.nodes.passcodes import as_kept, passcode_of, stored_form
from gantry.nodes.settings import CHECKS, checked
from gantry.transfers.find import count_open

#: Field of the file -> field of Security.
_SECURITY = ("tls", "authorities", "fingerprint", "certificate", "key", "user")
_FILES = ("authorities", "certificate", "key")


class Nodes(Section[Node]):
    """Places we talk to."""

    name = "nodes"

    def read(self, home: Path, connection: psycopg.Connection[Any]) -> list[Node]:
        """By name."""
        return [_as_item(row, home) for row in registry.list_nodes()]

    def normal(self, item: Node, run: Run) -> Node:
        """Addresses, titles, calendars and fingerprints as they are kept."""
        registry.check_name(item.name)
        try:
            where = read_address(item.address, run.home)
        except (BadAddress, BadNode) as error:
            raise WrongField("address", str(error)) from error
        given.check("passcode", item.passcode, run)
        kept = {
            **checked({name: getattr(item, name) for name in CHECKS}),
            "address": f"folder:{where}" if item.address.startswith("folder:") else str(where),
            "fingerprint": item.fingerprint.replace(":", "").lower(),
            **{name: os.path.abspath(path) for name in _FILES if (path := getattr(item, name))},
        }
        if kind_of(item.address) == WEB and str(where).startswith("https:"):
            kept["tls"] = True
        return item.model_copy(update=kept)

    def differences(self, before: Node, item: Node, run: Run) -> dict[str, tuple[Any, Any]]:
        """The passcode is compared where it is kept."""
        found = super().differences(before, item, run)
        found.pop("passcode", None)
        row = registry.get(before.name)
        if _passcode_differs(row, item.passcode, run):
            found["passcode"] = (given.words(before.passcode), given.words(item.passcode))
        return found

    def add(self, item: Node, run: Run) -> None:
        """Register it."""
        passcode = _given(item.passcode)
        if isinstance(item.passcode, Kept):
            run.notes.append(f"nodes {item.name}: no passcode is stored here: set it, or write where it is")
        security = Security(**{name: getattr(item, name) for name in _SECURITY}, passcode=passcode)
        settings = {name: getattr(item, name) for name in CHECKS if name not in _OWN}
        limits = registry.NodeLimits(item.max_associations, item.max_attempts, item.connect_seconds, item.response_seconds)
        registry.add(
            item.name, item.address, calling_aet=item.calling_aet, limits=limits, enabled=item.enabled, security=security,
            settings=settings, by=run.by,
        )  # fmt: skip

    def change(self, before: Node, item: Node, fields: Mapping[str, tuple[Any, Any]], run: Run) -> None:
        """Change it; of another kind it is another node."""
        if kind_of(before.address) != kind_of(item.address):
            raise WrongField(
                "address", f"node {item.name!r} is of another kind ({before.address}): give the new one another name"
            )
        settings = {name: getattr(item, name) for name in CHECKS if name in fields}
        passcode = _given(item.passcode) if "passcode" in fields else None
        security = None
        if fields.keys() & set(_SECURITY):
            row = registry.get(before.name)
            kept = passcode if passcode is not None else _kept(row, run.home)
            security = Security(**{name: getattr(item, name) for name in _SECURITY}, passcode=kept)
        address = item.address if "address" in fields else ""
        registry.change(before.name, settings, address=address, security=security, passcode=passcode, by=run.by)

    def remove(self, item: Node, run: Run) -> None:
        """Refused while deliveries to it are open."""
        registry.remove(item.name, open_deliveries=lambda node_id: count_open(run.connection, node_id), by=run.by)


#: Settings that `registry.add` takes by another way.
_OWN = frozenset({"calling_aet", "enabled", "max_associations", "max_attempts", "connect_seconds", "response_seconds"})


def _as_item(row: Row, home: Path) -> Node:
    return Node(
        name=row.name, address=words_of(row), **{name: getattr(row, name) for name in CHECKS},
        tls=row.tls, authorities=row.tls_authorities, fingerprint=row.tls_fingerprint, certificate=row.tls_certificate,
        key=row.tls_key, user=row.user_name, passcode=given.shown(_stored(row, home)),
    )  # fmt: skip


def _stored(row: Row, home: Path) -> str:
    """How its passcode is kept; never the passcode."""
    return stored_form(home, row.pk, row.passcode)


def _kept(row: Row, home: Path) -> str:
    """What to hand on so that the passcode stays as it is."""
    return as_kept(home, row.pk, row.passcode)


def _passcode_differs(row: Row, wanted: Kept | str | None, run: Run) -> bool:
    if wanted is None or isinstance(wanted, Kept):
        return False
    form = _stored(row, run.home)
    if not wanted or not form:
        return bool(wanted) != bool(form)
    if sealing.is_reference(wanted):
        return form != wanted
    try:
        return wanted != passcode_of(run.home, row.pk, row.passcode)
    except BadNode:
        return True


def _given(wanted: Kept | str | None) -> str:
    return "" if wanted is None or isinstance(wanted, Kept) else wanted
