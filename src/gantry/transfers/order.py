"""Order deliveries: ledger rows and the queue job that sends them, in the caller's transaction."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import psycopg

from gantry import database

_PACKAGE = "gantry.transfers"
#: From here on a delivery is urgent: it does not wait for a bandwidth limit.
URGENT = 100
HIGHEST = 1000


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """These versions to these nodes, each once.

    `priority`: higher goes first, 0 is the lowest, URGENT and more does not wait for a bandwidth limit. `held`: nothing
    is sent before a person releases it. `decision_id`: the routing decision behind it. `failover`: nodes that are
    tried, one after the other, when a node is dead or cannot be reached for long. `edits`: declared tag edits
    (`gantry.dataset.edit`) that are applied to what is sent; the stored bytes stay. `ordered_by`: the person, if one did.
    """

    version_ids: Sequence[int]
    node_ids: Sequence[int]
    rule_name: str = ""
    priority: int = 0
    held: bool = False
    decision_id: int | None = None
    failover: Sequence[int] = ()
    edits: list[Any] | None = None
    ordered_by: str = ""


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
    ordered_by: str = "",
) -> int:
    """A single `Order`; gives the number of new ledger rows."""
    one = Order(
        version_ids=version_ids, node_ids=node_ids, rule_name=rule_name, priority=priority, held=held,
        decision_id=decision_id, failover=failover, edits=edits, ordered_by=ordered_by,
    )  # fmt: skip
    return order_all(connection, [one]).total()


def order_all(connection: psycopg.Connection, orders: Sequence[Order]) -> Counter[int | None]:
    """Order each version to each node once; gives the number of new ledger rows by decision.

    What was ordered before, by whatever rule, is left as it is: ordering again is safe. Where two orders mean the same
    version and node the first one counts. One queue job per node that got rows is ordered on the same connection, so
    rows and job commit or vanish together.
    """
    wanted = [one for one in orders if one.version_ids and one.node_ids]
    if not wanted:
        return Counter()
    rows = connection.execute(database.statements(_PACKAGE)["order"], _columns(wanted)).fetchall()
    defer_now(connection, {node_id for node_id, _, status in rows if status != "held"})
    return Counter(decision_id for _, decision_id, _ in rows)


def _columns(orders: Sequence[Order]) -> dict[str, Any]:
    versions = [(turn, version_id) for turn, one in enumerate(orders, 1) for version_id in one.version_ids]
    nodes = [(turn, node_id) for turn, one in enumerate(orders, 1) for node_id in one.node_ids]
    return {
        "rule_names": [one.rule_name for one in orders],
        "statuses": ["held" if one.held else "waiting" for one in orders],
        "priorities": [min(max(one.priority, 0), HIGHEST) for one in orders],
        "hold_reasons": [f"held by the rule {one.rule_name}" if one.held else "" for one in orders],
        "decision_ids": [one.decision_id for one in orders],
        "failovers": [
            "{" + ",".join(str(int(node_id)) for node_id in one.failover) + "}" if one.failover else None for one in orders
        ],
        "ordered_by": [one.ordered_by for one in orders],
        "edits": [None if one.edits is None else json.dumps(one.edits) for one in orders],
        "version_turns": [turn for turn, _ in versions],
        "version_ids": [version_id for _, version_id in versions],
        "node_turns": [turn for turn, _ in nodes],
        "node_ids": [node_id for _, node_id in nodes],
    }


def defer_now(connection: psycopg.Connection, node_ids: Iterable[int]) -> None:
    """Have the deliveries of these nodes run at once; one waiting job per node is enough."""
    wanted = sorted(set(node_ids))
    if wanted:
        connection.execute(database.statements(_PACKAGE)["defer_now"], {"node_ids": wanted})


def defer_later(connection: psycopg.Connection, node_id: int, *, at: datetime | None = None, seconds: float = 0.0) -> None:
    """Have the deliveries of a node run at a time, or in so many seconds; an earlier appointment is kept."""
    arguments = {"node_id": node_id, "at": at, "seconds": seconds}
    connection.execute(database.statements(_PACKAGE)["defer_later"], arguments)
