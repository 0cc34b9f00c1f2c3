"""How many of a search's studies there are of each kind: bounded, so that it costs the same at a million."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal, LiteralString, TypeAlias, get_args

import psycopg

from gantry import database
from gantry.accounts.allowed import Actor
from gantry.catalogue.access import EVERYTHING, Access
from gantry.catalogue.search import bounded
from gantry.catalogue.search_conditions import RECENT, Worded, conditions_of, look_up
from gantry.catalogue.search_wanted import SPANS, Wanted, moment, since, without

#: Counted up to here; with more, every number means "at least".
LIMIT = 10_000
#: Values of a facet with the most studies.
MAX_VALUES = 50
Name: TypeAlias = Literal["modality", "state", "dated", "received", "calling_aet", "called_aet", "institute"]
FACETS: tuple[Name, ...] = get_args(Name)
#: Where at least one of so many of the newest studies is seen, the list is walked and each looked up; where fewer are,
#: those that are seen are fetched and sorted.
SPARSE = 8
#: A study that the index of words gives costs so many times one that a walk passes: it is looked up and sorted.
COST_BY_INDEX = 3
_STATES = ["new", "settled", "conflict", "held", "legal_hold", "protected"]
_ORDERED = {"dated": list(SPANS), "received": list(SPANS), "state": _STATES}
_Counted: TypeAlias = list[tuple[str, str, int]]


@dataclass(frozen=True, slots=True)
class Value:
    """One value of a facet and its studies."""

    value: str
    count: int


@dataclass(frozen=True, slots=True)
class Facet:
    """The values of one facet; `more`: there are studies that were not counted, so each number means at least."""

    name: Name
    values: list[Value]
    more: bool


@dataclass(frozen=True, slots=True)
class Facets:
    """Studies of the search (`more`: at least so many), and its facets."""

    total: int
    more: bool
    facets: list[Facet]


def count_facets(
    connection: psycopg.Connection[Any], wanted: Wanted, *, actor: Actor, access: Access, names: Sequence[Name] = FACETS
) -> Facets:
    """The total and these facets of a search; one that narrows it is counted as if it did not. Raises SearchTooBroad."""
    with bounded(connection):
        worded = look_up(connection, wanted, access)  # no facet narrows the words
        count = _Counting(connection, actor, access, worded.few, _by_index(connection, worded), _seen(connection, access))
        narrowing = [name for name in names if narrows(wanted, name)]
        base = count(wanted, [name for name in names if name not in narrowing])
        own = {name: count(without(wanted, name), [name]) for name in narrowing}
    counted = {name: own.get(name, base) for name in names}
    facets = [Facet(name, _sorted(name, rows), _total(rows) > LIMIT) for name, rows in counted.items()]
    return Facets(min(_total(base), LIMIT), _total(base) > LIMIT, facets)


def narrows(wanted: Wanted, facet: Name) -> bool:
    """Whether a search is narrowed by a facet."""
    return bool({"modality": wanted.modalities, "state": wanted.states}.get(facet, getattr(wanted, facet, "")))


def _seen(connection: psycopg.Connection[Any], access: Access) -> LiteralString:
    """The condition that study `s` is seen, cheap for as many as are counted."""
    each = access.seen.condition("s.id")
    if access.seen.everything or access.seen.nothing or each != access.seen.mark("s.id"):
        return each  # an institute with few studies: they are fetched
    sql = database.statements("gantry.catalogue", "search.sql")["sample_of_sight"]
    sql = sql.replace("/* seen */ TRUE", access.seen.mark("x.study_id"))
    row = connection.execute(sql, {**access.seen.params, "recent": RECENT}, prepare=False).fetchone()
    assert row is not None
    return each if row[0] * SPARSE >= RECENT else access.seen.among("s.id")


def _by_index(connection: psycopg.Connection[Any], worded: Worded) -> bool:
    """Whether to find common words by their index: fewer studies have them than a walk to LIMIT of them would pass."""
    if worded.few is not None or not worded.shown:
        return False
    row = connection.execute("SELECT reltuples FROM pg_class WHERE oid = 'catalogue_studysearch'::regclass").fetchone()
    assert row is not None
    found, passed = float(row[0]) * worded.studies / RECENT, LIMIT * RECENT / worded.shown
    return COST_BY_INDEX * found < passed


@dataclass(frozen=True, slots=True)
class _Counting:
    """Counts for one reader and the words of one search."""

    connection: psycopg.Connection[Any]
    actor: Actor
    access: Access
    few: Sequence[int] | None
    by_index: bool
    seen: LiteralString

    def __call__(self, wanted: Wanted, names: Sequence[Name]) -> _Counted:
        """Facet, value and studies; the total is a facet of its own."""
        statements = database.statements("gantry.catalogue", "search.sql")
        conditions = conditions_of(wanted, self.access, self.few, by_index=self.by_index)
        conditions.access = replace(self.access, seen=EVERYTHING.seen)  # what is seen stands in the text already
        sql = statements["facets"].replace("/* seen */ TRUE", self.seen)
        if "calling_aet" in names or "called_aet" in names:
            sql = sql.replace("NULL::text[] AS calling, NULL::text[] AS called", "x.calling, x.called")
        for name in names:
            sql += " UNION ALL " + statements["facet_" + name]
        values = {
            **conditions.params, **self.access.params, "limit": LIMIT + 1, "today": wanted.today, "span_names": list(SPANS),
            "span_days": [since(span, wanted.today) for span in SPANS],
            "span_moments": [moment(since(span, wanted.today)) for span in SPANS],
        }  # fmt: skip
        if not self.access.seen.everything:
            # The names of institutes that one is not in are nobody's business.
            sql = sql.replace("/* institutes */ TRUE", "b.institute_id = ANY(%(institutes)s::bigint[])")
            values["institutes"] = [place.institute_id for place in self.actor.places]
        found = self.connection.execute(conditions.into(sql), values, prepare=False).fetchall()
        return [(row[0], row[1], row[2]) for row in found]


def _total(counted: _Counted) -> int:
    return next((count for facet, _, count in counted if facet == "total"), 0)


def _sorted(facet: Name, counted: _Counted) -> list[Value]:
    """The most frequent first; spans and states in their own order."""
    values = [Value(value, min(count, LIMIT)) for name, value, count in counted if name == facet and count]
    if (order := _ORDERED.get(facet)) is not None:
        return sorted(values, key=lambda one: order.index(one.value))
    return sorted(values, key=lambda one: (-one.count, one.value))[:MAX_VALUES]
