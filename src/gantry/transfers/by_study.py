"""The ledger by study and destination: one line for all instances of a study on their way to a node."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, LiteralString

import psycopg
from psycopg.rows import class_row

from gantry import database
from gantry.accounts.visible import Visible
from gantry.catalogue.access import EVERYTHING, Access, mask_study
from gantry.catalogue.search import StudyListed
from gantry.transfers.errors import BadFilter
from gantry.transfers.find import STATUSES

PAGE_LIMIT = 1000


@dataclass(frozen=True, slots=True)
class GroupFilter:
    """Which studies and destinations; what is None or empty does not count. `statuses`: some instance has one of them."""

    study_uid: str | None = None
    node: str | None = None
    statuses: tuple[str, ...] = ()
    rule_name: str | None = None


@dataclass(frozen=True, slots=True)
class Group:
    """All deliveries of a study to one node; the words of the status are counts of instances, by the newest delivery of each.

    `error` is that of one that failed or was given up, or why the node is paused; `next_attempt_at` is null when
    nothing waits. `last_...`: the newest order among them; its origin and by whom as in a receipt.
    """

    study_row: int
    node_row: int
    node: str
    kind: str
    enabled: bool
    breaker: str
    node_removed: bool
    waiting: int
    sent: int
    confirmed: int
    failed: int
    dead: int
    cancelled: int
    held: int
    away: int
    attempts: int
    priority: int
    ordered_at: datetime
    confirmed_at: datetime | None
    rule_names: list[str]
    hold_reason: str
    next_attempt_at: datetime | None
    error: str
    last_ordered_at: datetime
    last_rule_name: str
    last_origin: str
    last_ordered_by: str

    @property
    def total(self) -> int:
        """Deliveries, whatever became of them."""
        return sum(getattr(self, status) for status in STATUSES)


@dataclass(frozen=True, slots=True)
class StudyGroups:
    """A study, as much of its patient as may be seen, and its deliveries by destination."""

    study: StudyListed
    destinations: list[Group]


@dataclass(frozen=True, slots=True)
class GroupPage:
    """Newest study first; `next_before` goes into the next call, None at the end."""

    items: list[StudyGroups]
    next_before: int | None


def by_study(
    connection: psycopg.Connection[Any],
    wanted: GroupFilter | None = None,
    *,
    before: int | None = None,
    limit: int = 50,
    seen: Visible | None = None,
    nodes: Collection[str] | None = None,
    access: Access = EVERYTHING,
) -> GroupPage:
    """A page of studies with their deliveries by destination, in four queries. `seen`: of the studies that somebody may
    see the deliveries of; `nodes`: to these only (None: all); `access`: how much of their patients.

    Raises BadFilter for an unknown status or a limit outside 1 to 1 000."""
    wanted = wanted or GroupFilter()
    if unknown := sorted(set(wanted.statuses) - set(STATUSES)):
        raise BadFilter(f"{unknown[0][:40]!r} is no status: use one of {', '.join(STATUSES)}")
    if not 1 <= limit <= PAGE_LIMIT:
        raise BadFilter(f"the limit is {limit}; it must be between 1 and {PAGE_LIMIT}")
    names = nodes
    if wanted.node is not None:
        names = {wanted.node} if nodes is None else {wanted.node} & set(nodes)
    node_ids = None
    if names is not None:
        node_ids = [row[0] for row in _run(connection, _sql("nodes_of_name"), {"names": sorted(names)}).fetchall()]
    values: dict[str, Any] = {
        "before": before, "limit": limit + 1, "study_uid": wanted.study_uid, "node_ids": node_ids,
        "statuses": list(wanted.statuses), "rule_name": wanted.rule_name,
    }  # fmt: skip
    study_ids = _study_ids(connection, wanted, values, seen)
    more = len(study_ids) > limit
    study_ids = study_ids[:limit]
    groups = _groups(connection, wanted, {**values, "study_ids": study_ids})
    # One whose only fitting deliveries were sent again since has no group.
    found = [study for study in shown_studies(connection, study_ids, access) if study.id in groups]
    items = [StudyGroups(study, groups[study.id]) for study in found]
    return GroupPage(items, study_ids[-1] if more else None)


def shown_studies(connection: psycopg.Connection[Any], study_ids: Sequence[int], access: Access) -> list[StudyListed]:
    """These studies in this order, no more of their patients than may be seen. Those that are gone are left out."""
    if not study_ids:
        return []
    sql = access.into(_sql("shown_studies"), "s.id")
    with psycopg.Cursor(connection, row_factory=class_row(StudyListed)) as cursor:
        cursor.execute(sql, {"study_ids": list(study_ids), **access.params}, prepare=False)
        found = {study.id: mask_study(study) for study in cursor.fetchall()}
    return [found[study_id] for study_id in study_ids if study_id in found]


def _study_ids(
    connection: psycopg.Connection[Any], wanted: GroupFilter, values: dict[str, Any], seen: Visible | None
) -> list[int]:
    condition = _row_condition(wanted, values)
    if wanted.statuses:
        condition += " AND d.status = ANY(%(statuses)s::text[])"
    sql = _sql("studies").replace("/* wanted */ TRUE", condition)
    if seen is not None:
        sql = sql.replace("/* seen */ TRUE", seen.condition("s.id"))
        values = {**values, **seen.params}
    return [row[0] for row in _run(connection, sql, values).fetchall()]


def _groups(connection: psycopg.Connection[Any], wanted: GroupFilter, values: dict[str, Any]) -> dict[int, list[Group]]:
    if not values["study_ids"]:
        return {}
    having: LiteralString = "bool_or(d.newest AND d.status = ANY(%(statuses)s::text[]))" if wanted.statuses else "TRUE"
    sql = _sql("groups").replace("/* in group */ TRUE", _row_condition(wanted, values)).replace("/* has status */ TRUE", having)
    found: dict[int, list[Group]] = {}
    with psycopg.Cursor(connection, row_factory=class_row(Group)) as cursor:
        for group in cursor.execute(sql, values, prepare=False).fetchall():
            found.setdefault(group.study_row, []).append(group)
    return found


def _row_condition(wanted: GroupFilter, values: dict[str, Any]) -> LiteralString:
    """Only what is asked for stands in the statement, so that the plan is for that."""
    condition: LiteralString = "TRUE"
    if values["node_ids"] is not None:
        condition += " AND d.node_id = ANY(%(node_ids)s::bigint[])"
    if wanted.rule_name is not None:
        condition += " AND d.rule_name = %(rule_name)s"
    return condition


def _sql(name: str) -> LiteralString:
    return database.statements("gantry.transfers", "by.sql")[name]


def _run(connection: psycopg.Connection[Any], sql: LiteralString, values: dict[str, Any]) -> psycopg.Cursor[Any]:
    return psycopg.Cursor(connection).execute(sql, values, prepare=False)
