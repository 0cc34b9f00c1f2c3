"""The search of people: one text, filters, an order, pages. Fast at a million studies, and under access control.

Every search is one query after the look at its words (`search_conditions`). Pages follow keys, not offsets, so that page
1 000 costs what page 1 costs and nothing is shown twice because something new came in between.
"""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from typing import Any, Literal, LiteralString, TypeAlias

import psycopg
from psycopg.rows import class_row

from gantry import database
from gantry.catalogue.access import EVERYTHING, Access, Level, mask_study
from gantry.catalogue.errors import BadCursor, SearchTooBroad
from gantry.catalogue.find import MAX_LIMIT, Page
from gantry.catalogue.search_conditions import Conditions, always, conditions_of, few_of
from gantry.catalogue.search_wanted import Wanted

Sort: TypeAlias = Literal["received", "date", "name", "accession"]
#: A search that takes longer is too broad: somebody waits.
PATIENCE = "8s"
#: The index of studies is in memory. By the default cost the planner reads a table of a few hundred grants from end to end
#: for each row of a list rather than use its index.
_BOUNDS: LiteralString = "SELECT set_config('statement_timeout', %s, true), set_config('random_page_cost', '1.1', true)"


@dataclass(frozen=True, slots=True)
class StudyListed:
    """A study as lists show it, with its patient, of whom `patient_level` says how much is shown: full, initials, none."""

    id: int
    study_instance_uid: str
    patient_id: str
    issuer_of_patient_id: str
    patient_name: str
    patient_birth_date: date | None
    patient_sex: str
    study_date: date | None
    study_time: str
    accession_number: str
    study_id: str
    study_description: str
    referring_physician_name: str
    institution_name: str
    modalities: list[str]
    series_count: int
    instance_count: int
    size_bytes: int
    conflict_count: int
    first_received_at: datetime
    last_received_at: datetime
    settled_at: datetime | None
    patient_level: Level = "full"
    protected: bool = False
    hold_labels: list[str] = field(default_factory=list)
    held: bool = False
    calling: list[str] = field(default_factory=list)
    place: str = ""
    patient_birth_year: int | None = None

    @property
    def legal_hold(self) -> bool:
        """A legal hold keeps it."""
        return bool(self.hold_labels)


def search_studies(
    connection: psycopg.Connection[Any],
    wanted: Wanted,
    *,
    sort: Sort = "received",
    descending: bool = True,
    limit: int = 100,
    cursor: str | None = None,
    access: Access = EVERYTHING,
) -> Page[StudyListed]:
    """A page of studies; `limit` is at most 1 000; `access` says which, and how much. Raises BadCursor, SearchTooBroad."""
    limit = max(1, min(limit, MAX_LIMIT))
    with bounded(connection):
        conditions = conditions_of(wanted, access, few_of(connection, wanted, access))
        rows = _rows(connection, conditions, _order(conditions, sort, descending=descending, cursor=cursor), limit + 1)
    following = _encode(sort, rows[limit - 1], descending=descending) if len(rows) > limit else None
    return Page([mask_study(row) for row in rows[:limit]], following)


def one_study(connection: psycopg.Connection[Any], uid: str, *, access: Access = EVERYTHING) -> StudyListed | None:
    """The study of this UID, as much of it as `access` shows; None where it may not be seen, or is not there."""
    conditions = Conditions(access)
    conditions.add("s.study_instance_uid = {}", uid)
    rows = _rows(connection, conditions, ("s.id", "''"), 1)
    return mask_study(rows[0]) if rows else None


def _rows(
    connection: psycopg.Connection[Any], conditions: Conditions, order: tuple[LiteralString, LiteralString], limit: int
) -> list[StudyListed]:
    sql = conditions.into(database.statements("gantry.catalogue", "search.sql")["page"])
    sql = sql.replace("/* order */ s.id", order[0]).replace("/* place */ ''", order[1])
    with psycopg.Cursor(connection, row_factory=class_row(StudyListed)) as found:
        # Not prepared: the plan must be for the filters that are given.
        found.execute(sql, {**conditions.params, **conditions.access.params, "limit": limit}, prepare=False)
        return found.fetchall()


@contextmanager
def bounded(connection: psycopg.Connection[Any]) -> Iterator[None]:
    """A transaction whose statements have PATIENCE: what a person waits for ends in time. Raises SearchTooBroad."""
    try:
        with connection.transaction():
            connection.execute(_BOUNDS, [PATIENCE], prepare=False)
            yield
            connection.execute("SELECT set_config('statement_timeout', '0', true)", prepare=False)
    except psycopg.errors.QueryCanceled as error:
        raise SearchTooBroad(SearchTooBroad.__doc__) from error


# Order and pages

_KEYS: dict[str, tuple[LiteralString, LiteralString, LiteralString]] = {
    "received": ("s.last_received_at", "s.id", "timestamptz"),
    "date": ("x.sort_date", "x.study_id", "date"),
    "name": ("x.sort_name", "x.study_id", "text"),
    "accession": ("x.sort_accession", "x.study_id", "text"),
}


def _order(conditions: Conditions, sort: Sort, *, descending: bool, cursor: str | None) -> tuple[LiteralString, LiteralString]:
    """ORDER BY and the column that a page begins after; adds the condition of the cursor. Raises BadCursor."""
    key, tie, kind = _KEYS[sort]
    access = conditions.access
    if sort == "name" and not always(access, "identified"):
        key = "CASE WHEN " + access.identified.mark("s.id") + " THEN x.sort_name ELSE '' END"
    if sort == "accession" and not (always(access, "identified") or always(access, "initials")):
        leads: LiteralString = "(" + access.identified.mark("s.id") + " OR " + access.initials.mark("s.id") + ")"
        key = "CASE WHEN " + leads + " THEN x.sort_accession ELSE '' END"
    if cursor:
        value, identifier = _decode(cursor, sort, descending=descending)
        sign: LiteralString = "<" if descending else ">"
        template: LiteralString = "(" + key + ", " + tie + ") " + sign + " ({}::" + kind + ", {}::bigint)"
        conditions.add(template, value, identifier)
    direction: LiteralString = " DESC" if descending else " ASC"
    place: LiteralString = "''" if sort == "received" else "(" + key + ")::text"
    return key + direction + ", " + tie + direction, place


def _encode(sort: Sort, last: StudyListed, *, descending: bool) -> str:
    key = [sort, descending, last.last_received_at.isoformat() if sort == "received" else last.place, last.id]
    return base64.urlsafe_b64encode(json.dumps(key).encode()).decode().rstrip("=")


def _decode(cursor: str, sort: Sort, *, descending: bool) -> tuple[Any, int]:
    """Value and id of a cursor of this order. Raises BadCursor."""
    try:
        key = json.loads(base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4)))
        asked, direction, value, identifier = key
        if (asked, direction) != (sort, descending) or isinstance(identifier, bool) or not 0 <= identifier < 2**63:
            raise ValueError("of another search")
        if not isinstance(value, str) or "\0" in value:
            raise ValueError("no text")
        if sort == "received":
            return datetime.fromisoformat(value).astimezone(UTC), identifier
        return (date.fromisoformat(value) if sort == "date" else value.encode("utf-8", "strict").decode()), identifier
    except (binascii.Error, ValueError, TypeError, RecursionError, OverflowError) as error:
        raise BadCursor(BadCursor.__doc__) from error
