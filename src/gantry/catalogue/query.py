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
import select
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, LiteralString

import psycopg
from psycopg import pq
from psycopg.rows import class_row

from gantry import database
from gantry.catalogue.attributes import LEVELS, UNIQUE, Attribute, Kind, Level, attributes, supported_keys
from gantry.catalogue.conditions import Conditions, wild
from gantry.catalogue.errors import BadQuery, LimitReached, QueryStopped
from gantry.catalogue.locate import Location

__all__ = ["LEVELS", "UNIQUE", "Level", "Page", "Query", "matching_instances", "pages", "run", "supported_keys"]

#: Rows that are fetched at once: memory is that of one page, and most answers are one page.
PAGE = 200
#: How often somebody who no longer waits is noticed, seconds.
LOOK_SECONDS = 0.02
_CURSOR = "gantry_query"
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
    Until it is exhausted or closed it holds a transaction on `connection`.
    """
    for page in pages(connection, query, stop=stop):
        yield from page.rows
        if page.more:
            raise LimitReached(f"more than {query.limit} matches")


@dataclass(frozen=True, slots=True)
class Page:
    """Some matches. With `last` the transaction has ended already; with `more` there are others beyond the limit."""

    rows: list[dict[str, Any]]
    last: bool = False
    more: bool = False


def pages(connection: psycopg.Connection[Any], query: Query, *, stop: Callable[[], bool] = lambda: False) -> Iterator[Page]:
    """As run, but a page at a time and without LimitReached."""
    query.check()
    shown = [attributes()[keyword] for keyword in _shown(query)]
    statement, parameters = _select(query, shown)
    left = query.limit
    over = False
    with connection.transaction():
        connection.execute(f"DECLARE {_CURSOR} NO SCROLL CURSOR FOR {statement}", parameters, prepare=False)
        while True:
            rows = _fetch(connection, stop)
            last = len(rows) < PAGE
            if query.limit:
                over = len(rows) > left
                rows = rows[:left]
                left -= len(rows)
            if last or over:
                break
            yield Page(_converted(rows, shown))
    yield Page(_converted(rows, shown), last=True, more=over)


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


def _select(query: Query, shown: Sequence[Attribute]) -> tuple[LiteralString, dict[str, Any]]:
    conditions = _conditions(query)
    columns = ", ".join([_TEXT.get(row.kind, "{}").format(row.column) for row in shown])
    statement = _template(query.level.lower()).format(columns=columns, conditions=conditions.composed())
    if query.limit:
        return f"{statement} LIMIT {conditions.parameter(query.limit + 1)}", conditions.parameters
    return statement, conditions.parameters


# Everything comes as text: the rows are read below psycopg's adaptation, which cannot be watched.
_TEXT: dict[Kind, LiteralString] = {
    Kind.DATE: "replace({}::text, '-', '')",
    Kind.LIST: "array_to_json({})::text",
    Kind.HEADER: "({})::text",
    Kind.HEADER_DATE: "({})::text",
    Kind.NUMBER: "{}::text",
    Kind.CONSTANT: "{}::text",
}
_AS_JSON = frozenset({Kind.LIST, Kind.HEADER, Kind.HEADER_DATE})


def _converted(rows: Sequence[Sequence[bytes | None]], shown: Sequence[Attribute]) -> list[dict[str, Any]]:
    readers = [(row.keyword, row.kind in _AS_JSON) for row in shown]
    return [
        {
            keyword: "" if raw is None else json.loads(raw) if as_json else raw.decode()
            for (keyword, as_json), raw in zip(readers, row, strict=True)
        }
        for row in rows
    ]


def _fetch(connection: psycopg.Connection[Any], stop: Callable[[], bool]) -> list[list[bytes | None]]:
    """The next page of the cursor; cancels the statement when `stop` says so. Raises QueryStopped, psycopg errors."""
    server = connection.pgconn
    server.send_query(f"FETCH {PAGE} FROM {_CURSOR}".encode())
    server.flush()  # forty bytes go into any socket buffer
    answer = select.poll()  # not select(), which knows no descriptor beyond 1023
    answer.register(server.socket, select.POLLIN)
    stopped = False
    while server.is_busy():
        if answer.poll(LOOK_SECONDS * 1000):
            server.consume_input()
        elif not stopped and stop():
            stopped = True
            connection.cancel_safe(timeout=5.0)
    result = server.get_result()
    while server.get_result() is not None:
        pass
    if result is None or result.status != pq.ExecStatus.TUPLES_OK:
        error = psycopg.errors.error_from_result(result) if result is not None else psycopg.OperationalError("no result")
        if stopped and isinstance(error, psycopg.errors.QueryCanceled):
            raise QueryStopped(QueryStopped.__doc__) from error
        raise error
    columns = range(result.nfields)
    return [[result.get_value(row, column) for column in columns] for row in range(result.ntuples)]
