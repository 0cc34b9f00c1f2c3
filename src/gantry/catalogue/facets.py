"""How many of a search's studies there are of each kind: bounded, so that it costs the same at a million."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import psycopg

from gantry import database
from gantry.accounts.allowed import Actor
from gantry.catalogue.access import Access
from gantry.catalogue.search import bounded
from gantry.catalogue.search_conditions import conditions_of, few_of
from gantry.catalogue.search_wanted import SPANS, Wanted, moment, since, without

#: Counted up to here; with more, every number means "at least".
LIMIT = 10_000
#: Values of a facet with the most studies.
MAX_VALUES = 50
FACETS = ("modality", "state", "dated", "received", "calling_aet", "called_aet", "institute")
_STATES = ["new", "settled", "conflict", "held", "legal_hold", "protected"]
_ORDERED = {"dated": list(SPANS), "received": list(SPANS), "state": _STATES}


@dataclass(frozen=True, slots=True)
class Value:
    """One value of a facet and its studies."""

    value: str
    count: int


@dataclass(frozen=True, slots=True)
class Facet:
    """The values of one facet; `more`: there are studies that were not counted, so each number means at least."""

    name: str
    values: list[Value]
    more: bool


@dataclass(frozen=True, slots=True)
class Facets:
    """Studies of the search (`more`: at least so many), and its facets."""

    total: int
    more: bool
    facets: list[Facet]


def count_facets(connection: psycopg.Connection[Any], wanted: Wanted, *, actor: Actor, access: Access) -> Facets:
    """The facets of a search; a facet that narrows it is counted as if it did not. Raises SearchTooBroad."""
    with bounded(connection):
        few = few_of(connection, wanted, access)  # no facet narrows the words
        base = _count(connection, wanted, actor, access, few)
        facets = []
        for name in FACETS:
            counted = _count(connection, without(wanted, name), actor, access, few) if _narrows(wanted, name) else base
            facets.append(Facet(name, _sorted(name, counted), _total(counted) > LIMIT))
    total = _total(base)
    return Facets(min(total, LIMIT), total > LIMIT, facets)


def _narrows(wanted: Wanted, facet: str) -> bool:
    return bool({"modality": wanted.modalities, "state": wanted.states}.get(facet, getattr(wanted, facet, "")))


def _count(
    connection: psycopg.Connection[Any], wanted: Wanted, actor: Actor, access: Access, few: Sequence[int] | None
) -> list[tuple[str, str, int]]:
    conditions = conditions_of(wanted, access, few)
    # Not the walk that lists take: it would look up each study of all.
    whole = database.statements("gantry.catalogue", "search.sql")["facets"].replace("/* seen */ TRUE", access.seen.among("s.id"))
    sql = conditions.into(whole)
    values = {
        **conditions.params, **access.params, "limit": LIMIT + 1, "today": wanted.today, "span_names": list(SPANS),
        "span_days": [since(span, wanted.today) for span in SPANS],
        "span_moments": [moment(since(span, wanted.today)) for span in SPANS],
    }  # fmt: skip
    if not access.seen.everything:
        # The names of institutes that one is not in are nobody's business.
        sql = sql.replace("/* institutes */ TRUE", "i.id = ANY(%(institutes)s::bigint[])")
        values["institutes"] = [place.institute_id for place in actor.places]
    return [(row[0], row[1], row[2]) for row in connection.execute(sql, values, prepare=False).fetchall()]


def _total(counted: Sequence[tuple[str, str, int]]) -> int:
    return next((count for facet, _, count in counted if facet == "total"), 0)


def _sorted(facet: str, counted: Sequence[tuple[str, str, int]]) -> list[Value]:
    """The most frequent first; spans and states in their own order."""
    values = [Value(value, min(count, LIMIT)) for name, value, count in counted if name == facet and count]
    if (order := _ORDERED.get(facet)) is not None:
        return sorted(values, key=lambda one: order.index(one.value))
    return sorted(values, key=lambda one: (-one.count, one.value))[:MAX_VALUES]
