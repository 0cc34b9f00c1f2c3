"""One destination for people: how it is, its week, what went wrong lately; and what came and went a moment ago."""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import psycopg
from psycopg.rows import class_row

from gantry import config, database
from gantry.accounts.visible import Visible
from gantry.nodes.calendar import NO_LIMIT, Calendar, parse_calendar
from gantry.nodes.errors import BadNode, NodeMissing
from gantry.transfers.measure import Outlook, outlook

_DAY_MINUTES = 24 * 60


@dataclass(frozen=True, slots=True)
class Span:
    """Part of a weekday (0 is Monday), from `begin` to `end` in minutes of the day. `limit` in bytes per second: null is no
    limit, 0 is closed but for urgent work."""

    day: int
    begin: int
    end: int
    limit: float | None


@dataclass(frozen=True, slots=True)
class FailureKind:
    """What went wrong with some of the newest deliveries, and how often."""

    status: str
    error: str
    dimse_status: int | None
    count: int
    last_at: datetime


@dataclass(frozen=True, slots=True)
class Destination:
    """A destination with its week and its last errors. `time_zone` is the one the week is in."""

    outlook: Outlook
    week: list[Span]
    time_zone: str
    errors: list[FailureKind]


@dataclass(frozen=True, slots=True)
class Flow:
    """What came or went in the last seconds; `lag` is the longest wait for the index, seconds."""

    instances: int = 0
    bytes: int = 0
    lag: float = 0.0


def by_destination(connection: psycopg.Connection[Any], name: str, *, seen: Visible | None = None) -> Destination:
    """One destination; errors of the studies that are `seen` (None: all). Raises NodeMissing."""
    found = next(iter(outlook(connection, nodes=[name])), None)
    if found is None:
        raise NodeMissing(f"there is no node {name[:80]!r}")
    try:
        calendar = parse_calendar(found.bandwidth)
    except BadNode:
        calendar = NO_LIMIT
    sql = database.statements("gantry.transfers", "by.sql")["errors"]
    values: dict[str, Any] = {"node_id": found.id}
    if seen is not None:
        sql = sql.replace("/* seen */ TRUE", seen.condition("d.study_id"))
        values |= seen.params
    with psycopg.Cursor(connection, row_factory=class_row(FailureKind)) as cursor:
        errors = cursor.execute(sql, values, prepare=False).fetchall()
    return Destination(found, week(calendar), config.current().time_zone, errors)


def week(calendar: Calendar) -> list[Span]:
    """The seven days of a calendar as spans without gap and overlap, by the clock on the wall."""
    cuts = sorted({0, _DAY_MINUTES, *(minute for window in calendar.windows for minute in (window.begin, window.end))})
    spans: list[Span] = []
    for day in range(7):
        for begin, end in itertools.pairwise(cuts):
            rate = next((window.rate for window in calendar.windows if window.holds(day, begin)), math.inf)
            limit = None if math.isinf(rate) else rate
            if spans and spans[-1].day == day and spans[-1].limit == limit:
                spans[-1] = Span(day, spans[-1].begin, end, limit)
            else:
                spans.append(Span(day, begin, end, limit))
    return spans


def flows(connection: psycopg.Connection[Any], seconds: float = 60.0) -> dict[str, Flow]:
    """`received` and `forwarded` in the last seconds."""
    sql = database.statements("gantry.transfers", "by.sql")["traffic"]
    rows = psycopg.Cursor(connection).execute(sql, {"seconds": seconds}).fetchall()
    return {way: Flow(instances, size, lag) for way, instances, size, lag in rows}
