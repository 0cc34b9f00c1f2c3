"""Order deliveries: ledger rows and the queue job that sends them, in the caller's transaction."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any

import psycopg

from gantry import database

_PACKAGE = "gantry.transfers"
#: From here on a delivery is urgent: it does not wait for a bandwidth limit.
URGENT = 100
HIGHEST = 1000


def order(  # noqa: PLR0913  the rest is keyword only
    connection: psycopg.Connection,
    version_ids: Sequence[int],
    node_ids: Sequence[int],
    rule_name: str = "",
    *,
    priority: int = 0,
    held: bool = False,
    decision_id: int | None = None,
    failover: Sequence[int] = (),
    edits: list[Any] | None = None,
) -> int:
    """Order each version to each node once; gives the number of new ledger rows.

    What was ordered before, by whatever rule, is left as it is: ordering again is safe. One queue job per node that got
    rows is ordered on the same connection, so rows and job commit or vanish together.

    `priority`: higher goes first, 0 is the lowest, URGENT and more does not wait for a bandwidth limit. `held`: nothing
    is sent before a person releases it. `decision_id`: the routing decision behind it. `failover`: nodes that are
    tried, one after the other, when a node is dead or cannot be reached for long. `edits`: declared tag edits
    (`gantry.dataset.edit`) that are applied to what is sent; the stored bytes stay.
    """
    if not version_ids or not node_ids:
        return 0
    rows = connection.execute(
        database.statements(_PACKAGE)["order"],
        {
            "version_ids": list(version_ids),
            "node_ids": list(node_ids),
            "rule_name": rule_name,
            "priority": min(max(priority, 0), HIGHEST),
            "status": "held" if held else "waiting",
            "hold_reason": f"held by the rule {rule_name}" if held else "",
            "decision_id": decision_id,
            "failover": list(failover) or None,
            "edits": None if edits is None else json.dumps(edits),
        },
    ).fetchall()
    if not held:
        defer_now(connection, {row[0] for row in rows})
    return len(rows)


def defer_now(connection: psycopg.Connection, node_ids: Iterable[int]) -> None:
    """Have the deliveries of these nodes run at once; one waiting job per node is enough."""
    wanted = sorted(set(node_ids))
    if wanted:
        connection.execute(database.statements(_PACKAGE)["defer_now"], {"node_ids": wanted})


def defer_later(connection: psycopg.Connection, node_id: int, *, at: datetime | None = None, seconds: float = 0.0) -> None:
    """Have the deliveries of a node run at a time, or in so many seconds; an earlier appointment is kept."""
    arguments = {"node_id": node_id, "at": at, "seconds": seconds}
    connection.execute(database.statements(_PACKAGE)["defer_later"], arguments)
