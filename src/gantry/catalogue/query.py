"""The query of DICOM on the index: patients, studies, series or images, however many, in constant memory.

Matching follows PS3.4 C.2.2.2, levels and unique keys C.4.1. This file knows attributes by keyword and nothing of
the wire. Where the standard leaves it open:

- Names are compared without case and accents. Components that a query leaves out or empty match everything, so
  DOE finds DOE^JOHN. A name without an equals sign is looked for in all groups unless it is plain ASCII.
- A list of values means any of them, for every attribute. Other text is compared with its case.
- A time that is not exact means all it may be: 10 is from 10:00:00 to 10:59:59.999999.
- Attributes of the levels above may be asked for and searched by at every level.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing, nullcontext
from dataclasses import dataclass
from typing import Any, Literal, LiteralString

import psycopg
from psycopg.pq import TransactionStatus
from psycopg.rows import class_row

from gantry import database
from gantry.catalogue.attributes import LEVELS, UNIQUE, Attribute, Kind, Level, attributes, supported_keys
from gantry.catalogue.conditions import Conditions, wild
from gantry.catalogue.errors import BadQuery, LimitReached
from gantry.catalogue.locate import Location
from gantry.catalogue.stream import PAGE, Rows, Statement, streamed

__all__ = ["LEVELS", "PAGE", "UNIQUE", "Level", "Page", "Query", "matching_instances", "pages", "run", "supported_keys"]

_MOMENTS = (("StudyDate", "StudyTime"), ("SeriesDate", "SeriesTime"))


@dataclass(frozen=True, slots=True)
class Query:
    """What is asked. `keys` are compared and given back, `wanted` only given back; what is empty matches all.

    Keys that are not in `supported_keys(level)` are passed over. Unless `relational`, the unique key of each level
    above must be one value (PS3.4 C.4.1.1.3.1). `combined`: date and time of a study or series are one moment.
    `limit` 0: none.
    """

    level: Level
    root: Literal["PATIENT", "STUDY"]
    keys: Mapping[str, str | list[str]]
    wanted: Sequence[str] = ()
    relational: bool = False
    limit: int = 0
    combined: bool = False

    def values(self, keyword: str) -> list[str]:
        """The values of a key; none when it is absent or empty."""
        value = self.keys.get(keyword, "")
        return [one for one in ([value] if isinstance(value, str) else value) if one]

    def check(self) -> None:
        """Raises BadQuery when level and unique keys do not go together."""
        if self.level not in LEVELS or (self.root == "STUDY" and self.level == "PATIENT"):
            raise BadQuery("QueryRetrieveLevel", f"is not a level of the {self.root.lower()} root")
        if self.relational:
            return
        first = 1 if self.root == "STUDY" else 0
        for level in LEVELS[first : LEVELS.index(self.level)]:
            values = self.values(UNIQUE[level])
            if len(values) != 1 or wild(values[0]):
                raise BadQuery(UNIQUE[level], f"must be one value at the level {self.level}")


def run(
    connection: psycopg.Connection[Any], query: Query, *, stop: Callable[[], bool] = lambda: False
) -> Iterator[dict[str, Any]]:
    """The matches: keyword to text, or to a list of texts where an attribute has several values.

    In no particular order. `stop` is asked every LOOK_SECONDS while the database works; when it says yes the
    statement is cancelled. Raises BadQuery, LimitReached after the last one, QueryStopped, psycopg errors.
    Until it is exhausted or closed it holds a statement on `connection`.
    """
    for page in pages(connection, query, stop=stop):
        yield from page.rows
        if page.more:
            raise LimitReached(f"more than {query.limit} matches")


@dataclass(frozen=True, slots=True)
class Page:
    """Some matches: `raw` has the text of each column of `shown` as UTF-8. With `last` the statement has ended already;
    with `more` there are others beyond the limit."""

    raw: Rows
    shown: Sequence[Attribute]
    last: bool = False
    more: bool = False

    @property
    def rows(self) -> list[dict[str, Any]]:
        """Keyword to text, or to a list of texts."""
        return [self.read(row) for row in self.raw]

    def read(self, row: Sequence[bytes | None]) -> dict[str, Any]:
        """One of `raw`, as in `rows`."""
        return {
            one.keyword: "" if raw is None else json.loads(raw) if one.kind in AS_JSON else raw.decode()
            for one, raw in zip(self.shown, row, strict=True)
        }


def pages(connection: psycopg.Connection[Any], query: Query, *, stop: Callable[[], bool] = lambda: False) -> Iterator[Page]:
    """As run, but a page at a time and without LimitReached."""
    query.check()
    shown = [attributes()[keyword] for keyword in _shown(query)]
    statement = _select(query, shown)
    left = query.limit
    over = False
    last: Rows = []
    # In a transaction of the caller's a statement that is cancelled must not break it.
    inside = connection.info.transaction_status is not TransactionStatus.IDLE
    with connection.transaction() if inside else nullcontext(), closing(streamed(connection, statement, stop)) as chunks:
        for chunk in chunks:
            rows = chunk[:left] if query.limit else chunk
            over = len(rows) < len(chunk)
            left -= len(rows)
            if over or len(chunk) < PAGE:
                last = rows
                break
            yield Page(rows, shown)
    yield Page(last, shown, last=True, more=over)


def matching_instances(connection: psycopg.Connection[Any], query: Query) -> list[Location]:
    """The current version of every instance that a query of any level means, as a retrieve does.

    In the order of study, series and instance number. Raises BadQuery and psycopg errors.
    """
    query.check()
    conditions = _conditions(query)
    statement = _template("locations").format(conditions=conditions.composed())
    with connection.cursor(row_factory=class_row(Location)) as cursor:
        cursor.execute(statement, conditions.parameters, prepare=False)
        return cursor.fetchall()


def _template(name: str) -> LiteralString:
    return database.statements("gantry.catalogue", "query.sql")[name]


def _shown(query: Query) -> list[str]:
    """The keywords of an answer."""
    supported = supported_keys(query.level)
    asked = dict.fromkeys([UNIQUE[query.level], *query.keys, *query.wanted])
    return [keyword for keyword in asked if keyword in supported]


def _conditions(query: Query) -> Conditions:
    conditions = Conditions()
    supported = supported_keys(query.level)
    together: set[str] = set()
    for day, time in _MOMENTS if query.combined else ():
        dates, times = query.values(day), query.values(time)
        if day in supported and len(dates) == len(times) == 1:
            conditions.match_moment(attributes()[day], attributes()[time], dates[0], times[0])
            together |= {day, time}
    for keyword in query.keys:
        if keyword in supported and keyword not in together:
            conditions.match(attributes()[keyword], query.values(keyword))
    return conditions


def _select(query: Query, shown: Sequence[Attribute]) -> Statement:
    conditions = _conditions(query)
    columns = ", ".join([_TEXT.get(row.kind, "{}").format(row.column) for row in shown])
    text = _template(query.level.lower()).format(columns=columns, conditions=conditions.composed())
    if query.limit:
        text = f"{text} LIMIT {conditions.parameter(query.limit + 1)}::bigint"
    return Statement(text, conditions.parameters, reused=conditions.pinned)


# Everything comes as text: the rows are read below psycopg's adaptation, which cannot be watched.
_TEXT: dict[Kind, LiteralString] = {
    Kind.DATE: "replace({}::text, '-', '')",
    Kind.LIST: "array_to_json({})::text",
    Kind.HEADER: "({})::text",
    Kind.HEADER_DATE: "({})::text",
    Kind.NUMBER: "{}::text",
    Kind.CONSTANT: "{}::text",
}
#: Of these the text is JSON: a string or a list of strings.
AS_JSON = frozenset({Kind.LIST, Kind.HEADER, Kind.HEADER_DATE})
