"""Read the ledger: rows page by page, sums per study and per node."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime
from typing import LiteralString

import psycopg
from psycopg.rows import class_row

from gantry import database
from gantry.accounts.visible import Visible
from gantry.transfers.errors import BadFilter

STATUSES = ("waiting", "sent", "confirmed", "failed", "dead", "cancelled", "held", "away")
PAGE_LIMIT = 1000


@dataclass(frozen=True, slots=True)
class DeliveryRow:
    """One row of the ledger as people read it. `stored_sha256` and `sent_sha256` are hex digests of the data set."""

    id: int
    study_instance_uid: str
    sop_instance_uid: str
    node: str
    rule_name: str
    status: str
    attempts: int
    next_attempt_at: datetime | None
    dimse_status: int | None
    error: str
    stored_sha256: str
    sent_sha256: str | None
    dataset_bytes: int
    created_at: datetime
    sent_at: datetime | None
    confirmed_at: datetime | None
    priority: int
    hold_reason: str
    changed: str
    verified_at: datetime | None
    verified_by: str


@dataclass(frozen=True, slots=True)
class LedgerFilter:
    """What to look for; None means any."""

    study_uid: str | None = None
    node: str | None = None
    status: str | None = None
    rule_name: str | None = None
    sop_instance_uid: str | None = None


@dataclass(frozen=True, slots=True)
class Page:
    """Rows in the order they were ordered; `next_after` goes into the next call, None at the end."""

    items: list[DeliveryRow]
    next_after: int | None


def find(
    connection: psycopg.Connection,
    wanted: LedgerFilter | None = None,
    *,
    after: int | None = None,
    limit: int = 100,
    seen: Visible | None = None,
    nodes: Collection[str] | None = None,
) -> Page:
    """A page of the ledger; `seen`: of the studies that somebody may see; `nodes`: to these only (None: all).

    Raises BadFilter for an unknown status or a limit outside 1 to 1000."""
    wanted = wanted or LedgerFilter()
    if wanted.status is not None and wanted.status not in STATUSES:
        raise BadFilter(f"{wanted.status[:40]!r} is no status: use one of {', '.join(STATUSES)}")
    if not 1 <= limit <= PAGE_LIMIT:
        raise BadFilter(f"the limit is {limit}; it must be between 1 and {PAGE_LIMIT}")
    with connection.cursor(row_factory=class_row(DeliveryRow)) as cursor:
        rows = cursor.execute(
            _statement(seen),
            {
                **(seen.params if seen is not None else {}),
                "after": after,
                "limit": limit + 1,
                "study_uid": wanted.study_uid,
                "node": wanted.node,
                "status": wanted.status,
                "rule_name": wanted.rule_name,
                "sop_instance_uid": wanted.sop_instance_uid,
                "nodes": None if nodes is None else sorted(nodes),
            },
        ).fetchall()
    items = rows[:limit]
    return Page(items, items[-1].id if len(rows) > limit else None)


def _statement(seen: Visible | None) -> LiteralString:
    condition: LiteralString = seen.condition("d.study_id") if seen is not None else "TRUE"
    return database.statements("gantry.transfers")["find"].replace("{seen}", condition)


@dataclass(frozen=True, slots=True)
class StudySummary:
    """How many deliveries of a study to a node have a status, and their data set bytes."""

    study_instance_uid: str
    node: str
    status: str
    count: int
    bytes: int


def summary_of_studies(connection: psycopg.Connection, study_uids: list[str]) -> list[StudySummary]:
    """Counts per study, node and status."""
    statement = database.statements("gantry.transfers")["summary_of_studies"]
    return [StudySummary(*row) for row in connection.execute(statement, {"study_uids": study_uids})]


@dataclass(frozen=True, slots=True)
class NodeSummary:
    """How many deliveries to a node have a status."""

    node: str
    status: str
    count: int


def summary_of_nodes(connection: psycopg.Connection) -> list[NodeSummary]:
    """Counts per node and status, over the whole ledger."""
    return [NodeSummary(*row) for row in connection.execute(database.statements("gantry.transfers")["summary_of_nodes"])]


def count_open(connection: psycopg.Connection, node_id: int) -> int:
    """Deliveries to a node that have not ended (waiting, failed, sent)."""
    row = connection.execute(database.statements("gantry.transfers")["count_open"], {"node_id": node_id}).fetchone()
    return int(row[0]) if row else 0
