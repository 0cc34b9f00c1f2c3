"""The vocabulary of permissions: actions, and the roles that are sets of them."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

#: Every action there is, with what it lets a person do.
MEANINGS: Mapping[str, str] = MappingProxyType(
    {
        "admin.use": "Use the administration pages",
        "callers.edit": "Say who may call the DICOM port, and for what",
        "callers.view": "See who may call the DICOM port, and who was refused",
        "conflicts.view": "See senders that disagree about an instance or a patient",
        "deliveries.retry": "Queue failed and dead deliveries again",
        "deliveries.view": "See the delivery ledger and receipts",
        "docs.view": "Read the API documentation on this server",
        "metrics.view": "Read the metrics",
        "nodes.echo": "Ask a node for a sign of life (C-ECHO)",
        "nodes.edit": "Add and remove nodes",
        "nodes.fetch": "Fetch studies from nodes into this instance",
        "nodes.query": "Ask nodes what they have and can do (C-FIND, probe)",
        "nodes.view": "See nodes",
        "quarantine.view": "See objects that could not be indexed",
        "rules.edit": "Add, remove, switch rules",
        "rules.view": "See rules",
        "session.own": "See who one is, change the own password, sign out",
        "studies.download": "Fetch the stored bytes of instances",
        "studies.view": "Search and see studies, series and instances",
        "system.view": "See the details of the health checks",
        "tokens.own": "List, create and revoke own tokens",
    }
)
ACTIONS: frozenset[str] = frozenset(MEANINGS)

VIEWER = frozenset({
    "conflicts.view", "deliveries.view", "docs.view", "nodes.view", "rules.view", "session.own",
    "studies.download", "studies.view", "tokens.own",
})  # fmt: skip
OPERATOR = VIEWER | {
    "callers.view",
    "deliveries.retry",
    "metrics.view",
    "nodes.echo",
    "nodes.fetch",
    "nodes.query",
    "quarantine.view",
    "system.view",
}

#: A viewer reads, an operator keeps things running, an administrator may do everything.
ROLES: Mapping[str, frozenset[str]] = MappingProxyType(
    {
        "administrator": ACTIONS,
        "operator": OPERATOR,
        "viewer": VIEWER,
    }
)

#: What a person may do before they have replaced the password that was made for them.
BEFORE_PASSWORD_CHANGE = frozenset({"session.own"})
