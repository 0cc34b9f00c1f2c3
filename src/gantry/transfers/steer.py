"""Hold, release, recall or send again one study: in all queues or in one, by a person, with a reason, audited."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, TypeAlias

import psycopg

from gantry import database
from gantry.audit.record import By, record
from gantry.transfers.errors import BadFilter, StudyMissing
from gantry.transfers.order import HIGHEST, defer_now

Act: TypeAlias = Literal["hold", "release", "recall", "resend"]
REASON_LIMIT = 500


@dataclass(frozen=True, slots=True)
class Steered:
    """How many deliveries were changed, and how many could not be because they are on the wire this moment."""

    changed: int
    under_way: int


def steer(
    connection: psycopg.Connection,
    act: Act,
    study_uid: str,
    *,
    by: By,
    reason: str = "",
    node: str | None = None,
    priority: int | None = None,
) -> Steered:
    """hold: nothing more is sent before `release`. recall: what was not sent yet never is, unless it is sent again.
    resend: everything goes once more, also what was confirmed; the old proof stays. `priority` sets that of the rows.

    Raises StudyMissing, BadFilter (no reason given, no such node).
    """
    reason = reason.replace("\0", "").strip()[:REASON_LIMIT]
    if act != "release" and not reason:
        raise BadFilter("give a reason: it stands in the ledger and in the audit")
    if priority is not None and not 0 <= priority <= HIGHEST:
        raise BadFilter(f"the priority is {priority}; it must be between 0 and {HIGHEST}")
    queries = database.statements("gantry.transfers", "healing.sql")
    with connection.transaction():
        study = connection.execute(queries["study"], {"study_uid": study_uid}).fetchone()
        if study is None:
            raise StudyMissing("there is no study of this Study Instance UID")
        node_id: int | None = None
        if node is not None:
            found = connection.execute(queries["node_of_name"], {"name": node}).fetchone()
            if found is None:
                raise BadFilter(f"there is no node {node[:80]!r}: `gantry node list` shows those that are")
            node_id = found[0]
        scope = {"study_id": study[0], "node_id": node_id, "reason": reason, "priority": priority, "who": by.who}
        rows = connection.execute(queries[act], scope).fetchall()
        if act == "resend":
            rows += connection.execute(queries["resend_confirmed"], scope).fetchall()
        if act in {"release", "resend"}:
            nodes = {row[0] for row in rows}
            if nodes:
                connection.execute(database.statements("gantry.transfers")["clear_pause"], {"node_ids": sorted(nodes)})
            defer_now(connection, nodes)
        under_way = connection.execute(queries["under_way"], scope).fetchone()
        result = Steered(len(rows), int(under_way[0]) if under_way else 0)
        record(
            connection, f"delivery.{act}", by, kind="study", key=study_uid, study_uid=study_uid, reason=reason,
            after={"node": node, "deliveries": result.changed, "under_way": result.under_way, "priority": priority},
        )  # fmt: skip
    return result
