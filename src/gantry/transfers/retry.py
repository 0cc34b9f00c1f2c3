"""Let deliveries that failed or are dead be tried again, by a person's decision."""

from __future__ import annotations

from collections.abc import Sequence

import psycopg

from gantry import database
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
    by: By | None = None,
) -> int:
    """Put dead and failed deliveries back to waiting, due now, with their attempts forgiven; gives their number.

    Filters are combined. A pause of the node after a failed connection is lifted. Raises BadFilter for a status
    that cannot be retried: what is confirmed stays confirmed.
    """
    wrong = sorted(set(statuses) - set(RETRYABLE))
    if wrong:
        raise BadFilter(f"deliveries with status {', '.join(wrong)} cannot be retried: only {' and '.join(RETRYABLE)}")
    queries = database.statements("gantry.transfers")
    with connection.transaction():
        rows = connection.execute(
            queries["retry"],
            {
                "statuses": list(statuses),
                "study_uid": study_uid,
                "node": node,
                "ids": None if ids is None else list(ids),
            },
        ).fetchall()
        nodes = {row[0] for row in rows}
        if nodes:
            connection.execute(queries["clear_pause"], {"node_ids": sorted(nodes)})
            defer_now(connection, nodes)
        if by is not None:
            record(
                connection, "delivery.retry", by, kind="study" if study_uid else "node", key=study_uid or node or "",
                study_uid=study_uid or "", after={"deliveries": len(rows), "node": node},
            )  # fmt: skip
    return len(rows)
