"""Find the profile of a node anew when the node does otherwise than it says."""

from __future__ import annotations

import logging

import psycopg

from gantry import database
from gantry.nodes.errors import NodeError

_log = logging.getLogger(__name__)
#: A node that does now this, now that is not probed all the time, seconds.
LEAST_SECONDS = 600.0


def probe_anew(connection: psycopg.Connection, node_id: int, *, least_seconds: float = LEAST_SECONDS) -> bool:
    """Have a node probed soon by the queue, unless that was done lately or is ordered already; gives whether it was ordered."""
    statement = database.statements("gantry.nodes", "links.sql")["probe_anew"]
    return connection.execute(statement, {"node_id": node_id, "least_seconds": least_seconds}).rowcount == 1


def refresh(node_id: int) -> list[str]:
    """Probe a node now and keep what is found; gives what has changed. A node that cannot be asked keeps its profile."""
    # The tables are not ready when the room of deliveries, which orders this, is imported.
    from gantry.nodes import registry
    from gantry.nodes.models import Node
    from gantry.nodes.probe import probe

    node = Node.objects.filter(pk=node_id, removed_at=None).first()
    if node is None or not node.profile:
        return []
    try:
        found = probe(registry.target_of(node))
        if found.error:
            _log.warning("node %s could not be probed again: %s", node.name, found.error)
            return []
        changed = registry.keep_profile(node.name, found)
    except NodeError as error:
        _log.warning("node %s could not be probed again: %s", node.name, error)
        return []
    _log.info("node %s was probed again; changed: %s", node.name, "; ".join(changed) or "nothing")
    return changed
