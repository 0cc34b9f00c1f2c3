"""Let deliveries that failed or are dead be tried again, by a person's decision."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any

import psycopg

from gantry import database
from gantry.accounts.visible import Visible
from gantry.audit.record import By, record
from gantry.transfers.errors import BadFilter
from gantry.transfers.order import defer_now

RETRYABLE = ("dead", "failed")


def retry(
    connection: psycopg.Connection,
    *,
    study_uid: str | None = None,
    node: str | None = None,
    statuses: Sequence[str] = RETRYABLE,
    ids: Sequence[int] | None = None,
    nodes: Collection[str] | None = None,
    seen: Visible | None = None,
    by: By | None = None,
) -> int:
    """Put dead and failed deliveries back to waiting, due now, with their attempts forgiven; gives their number.

    Filters are combined. `seen`: only of the studies that the one who asks may do it with (None: all). `nodes`: only to
    these (None: all). A pause of the node after a failed connection is lifted. Raises BadFilter for a status
    that cannot be retried: what is confirmed stays confirmed.
    """
    wrong = sorted(set(statuses) - set(RETRYABLE))
    if wrong:
        raise BadFilter(f"deliveries with status {', '.join(wrong)} cannot be retried: only {' and '.join(RETRYABLE)}")
    queries = database.statements("gantry.transfers")
    sql = queries["retry"].replace("/* seen */ TRUE", seen.condition("d.study_id") if seen is not None else "TRUE")
    values: dict[str, Any] = {
        "statuses": list(statuses), "study_uid": study_uid, "node": node, "ids": None if ids is None else list(ids),
        "nodes": None if nodes is None else sorted(nodes), **(seen.params if seen is not None else {}),
    }  # fmt: skip
    with connection.transaction():
        rows = connection.execute(sql, values).fetchall()
        node_ids = {row[0] for row in rows}
        if node_ids:
            connection.execute(queries["clear_pause"], {"node_ids": sorted(node_ids)})
            defer_now(connection, node_ids)
        if by is not None:
            record(
                connection, "delivery.retry", by, kind="study" if study_uid else "node", key=study_uid or node or "",
                study_uid=study_uid or "", after={"deliveries": len(rows), "node": node},
            )  # fmt: skip
    return len(rows)
