"""The search of people: one text, filters, an order, pages. Fast at a million studies, and under access control.

Words are looked up first when they are rare: at most FEW studies are then fetched and sorted. When they are common, the
list is walked in its order, and soon has a page together. Pages follow keys, so nothing is shown twice because
something new came in between.
"""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime, timedelta
from typing import Any, Literal, LiteralString, TypeAlias

import psycopg
from psycopg.rows import class_row

from gantry import database
from gantry.catalogue.access import EVERYTHING, Access, Level, mask_study
from gantry.catalogue.errors import BadCursor, SearchTooBroad
from gantry.catalogue.find import MAX_LIMIT, Page, like
from gantry.catalogue.search_words import Term, lexemes, understand

Sort: TypeAlias = Literal["received", "date", "name", "accession"]
State: TypeAlias = Literal["new", "settled", "conflict", "protected", "legal_hold", "held"]
Within: TypeAlias = Literal["", "day", "week", "month", "year"]
SPANS: dict[str, int] = {"day": 1, "week": 7, "month": 30, "year": 365}
#: So many studies are fetched by their words and sorted; of more the list is walked.
FEW = 4000
#: Words that more than COMMON of the RECENT newest studies have are common: a page is together soon.
RECENT, COMMON = 500, 20
#: A search that takes longer is too broad: somebody waits.
PATIENCE = "8s"
_STATES: dict[str, LiteralString] = {
    "new": "s.settled_at IS NULL",
    "settled": "s.settled_at IS NOT NULL",
    "conflict": "s.conflict_count > 0",
    "protected": "s.protected_at IS NOT NULL",
    "legal_hold": "EXISTS (SELECT FROM catalogue_hold h WHERE h.study_id = s.id AND h.lifted_at IS NULL)",
    "held": "/* held back */ FALSE",
}
_NONE: LiteralString = "FALSE"


@dataclass(slots=True)
class Wiring:
    """What `main` hands in: the condition that something of study `s` is held back, which rooms above know."""

    held_back: LiteralString = "FALSE"


wiring = Wiring()


@dataclass(frozen=True, slots=True)
class StudyListed:
    """A study as lists show it; the fields of `find.StudyFound`, and its state."""

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


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """Which studies; what is empty does not count, all that is given must hold.

    `text` is the search box. Names, Patient ID and accession number take the wildcards * and ?, any case; days are
    ranges with both ends included; `dated` and `received` count back from `today`.
    """

    text: str = ""
    patient_id: str = ""
    patient_name: str = ""
    accession_number: str = ""
    study_date: tuple[date | None, date | None] = (None, None)
    modalities: Sequence[str] = ()
    study_instance_uid: str = ""
    conflicts: bool | None = None
    calling_aet: str = ""
    called_aet: str = ""
    institute: str = ""
    states: Sequence[State] = ()
    dated: Within = ""
    received: Within = ""
    today: date = field(default_factory=lambda: datetime.now().astimezone().date())

    @property
    def terms(self) -> list[Term]:
        """The text as it was understood."""
        return understand(self.text, self.today)


@dataclass(slots=True)
class Conditions:
    """Conditions of one search in SQL, with their parameters."""

    access: Access
    parts: list[LiteralString] = field(default_factory=list)
    params: dict[str, Any] = field(default_factory=dict)

    def value(self, value: object) -> LiteralString:
        """A placeholder for a value."""
        names: tuple[LiteralString, ...] = _NAMES
        name = names[len(self.params)]
        self.params[name] = value
        return "%(" + name + ")s"

    def add(self, template: LiteralString, *values: object) -> None:
        """A condition; each {} is a value."""
        self.parts.append(template.format(*[self.value(value) for value in values]))

    def into(self, sql: LiteralString) -> LiteralString:
        """A statement of search.sql with these conditions."""
        asked: LiteralString = "(" + " AND ".join(self.parts) + ")" if self.parts else "TRUE"
        whole = sql.replace("/* asked */ TRUE", asked).replace("/* held back */ FALSE", wiring.held_back)
        return self.access.into(whole, "s.id")


_NAMES: tuple[LiteralString, ...] = (
    "v0", "v1", "v2", "v3", "v4", "v5", "v6", "v7", "v8", "v9", "v10", "v11", "v12", "v13", "v14", "v15", "v16", "v17", "v18",
    "v19", "v20", "v21", "v22", "v23", "v24", "v25", "v26", "v27", "v28", "v29", "v30", "v31", "v32", "v33", "v34", "v35", "v36",
    "v37", "v38", "v39", "v40", "v41", "v42", "v43", "v44", "v45", "v46", "v47", "v48", "v49", "v50", "v51", "v52", "v53", "v54",
    "v55", "v56", "v57", "v58", "v59", "v60", "v61", "v62", "v63",
)  # fmt: skip


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
        conditions = conditions_of(connection, wanted, access)
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
            connection.execute("SELECT set_config('statement_timeout', %s, true)", [PATIENCE], prepare=False)
            yield
            connection.execute("SELECT set_config('statement_timeout', '0', true)", prepare=False)
    except psycopg.errors.QueryCanceled as error:
        raise SearchTooBroad(SearchTooBroad.__doc__) from error


def conditions_of(connection: psycopg.Connection[Any], wanted: Wanted, access: Access) -> Conditions:
    """The conditions of a search; looks up first whether its words are rare."""
    conditions = Conditions(access)
    words: list[Term] = []
    for term in wanted.terms:
        if term.words:
            words.append(term)
        elif term.kind == "modality":
            conditions.add("s.modalities @> ARRAY[{}::text]", term.text)
        elif term.kind == "uid":
            _uid(conditions, term.text)
        else:
            _days(conditions, (term.first, term.last))
    if words:
        _words(connection, conditions, words)
    _patterns(conditions, wanted)
    _filters(conditions, wanted)
    return conditions


def _words(connection: psycopg.Connection[Any], conditions: Conditions, terms: Sequence[Term]) -> None:
    """All words, in the fields that may be searched of each study: by the level at which its patient is shown."""
    access = conditions.access
    leading: LiteralString = "({} OR {})".format(access.identified.mark("s.id"), access.initials.mark("s.id"))
    levels: tuple[tuple[str, LiteralString], ...] = (("d", "TRUE"), ("ad", leading), ("niad", access.identified.mark("s.id")))
    if _always(access, "identified"):
        levels = (("niad", "TRUE"),)
    elif access.identified.nothing and _always(access, "initials"):
        levels = (("ad", "TRUE"),)
    elif access.identified.nothing and access.initials.nothing:
        levels = (("d", "TRUE"),)
    ways: list[LiteralString] = []
    widest = ""
    for letters, mark in levels:
        parts = [lexemes(term, letters) for term in terms]
        if all(parts):
            widest = " & ".join(parts)
            # All that it excludes is found by a wider level, so the last is the superset of them all.
            # The function behind @@, which no index serves: rare words are looked up before, by common ones the index
            # would only find what the walk passes anyway.
            ways.append("(ts_match_vq(x.words, " + conditions.value(widest) + "::tsquery) AND " + mark + ")")
    if not ways:
        conditions.parts.append(_NONE)
        return
    if (few := _few(connection, access, widest)) is not None:
        conditions.add("s.id = ANY({}::bigint[])", few)
    conditions.parts.append("({})".format(" OR ".join(ways)))


def _few(connection: psycopg.Connection[Any], access: Access, words: str) -> list[int] | None:
    """The studies that have these words, when they are at most FEW; None: they are common, so walk the list."""
    sql = database.statements("gantry.catalogue", "search.sql")["few"].replace(
        "/* among */ TRUE", access.seen.among("x.study_id")
    )
    # For who sees a part, common words are no reason to walk: the part may be small. 500 of the newest is never above that.
    common = COMMON if access.seen.everything else RECENT
    connection.execute("SELECT set_config('enable_seqscan', 'off', true)", prepare=False)
    values = {"few_words": words, "few": FEW + 1, "recent": RECENT, "common": common}
    row = connection.execute(sql, {**values, **access.seen.params}, prepare=False).fetchone()
    connection.execute("SELECT set_config('enable_seqscan', 'on', true)", prepare=False)
    return row[0] if row is not None and row[0] is not None and len(row[0]) <= FEW else None


def _uid(conditions: Conditions, uid: str) -> None:
    """Of a study, a series or an instance."""
    conditions.add(
        "s.id = ANY(ARRAY(SELECT id FROM catalogue_study WHERE study_instance_uid = {} UNION ALL "
        "SELECT study_id FROM catalogue_series WHERE series_instance_uid = {} UNION ALL "
        "SELECT e.study_id FROM catalogue_instance i JOIN catalogue_series e ON e.id = i.series_id "
        "WHERE i.sop_instance_uid = {}))",
        uid, uid, uid,
    )  # fmt: skip


def _days(conditions: Conditions, days: tuple[date | None, date | None]) -> None:
    if days[0] is not None:
        conditions.add("s.study_date >= {}::date", days[0])
    if days[1] is not None:
        conditions.add("s.study_date <= {}::date", days[1])


def _patterns(conditions: Conditions, wanted: Wanted) -> None:
    """The filters with wildcards; what is hidden is not searched."""
    if wanted.patient_id:
        conditions.add("(lower(p.patient_id) LIKE {} AND /* identified */ TRUE)", like(wanted.patient_id))
    if wanted.patient_name:
        conditions.add("(lower(p.patient_name) LIKE {} AND /* identified */ TRUE)", like(wanted.patient_name))
    if wanted.accession_number:
        conditions.add("(lower(s.accession_number) LIKE {} AND /* leading */ TRUE)", like(wanted.accession_number))


def _filters(conditions: Conditions, wanted: Wanted) -> None:
    _days(conditions, wanted.study_date)
    if wanted.modalities:
        conditions.add("s.modalities && {}::text[]", list(wanted.modalities))
    if wanted.study_instance_uid:
        conditions.add("s.study_instance_uid = {}", wanted.study_instance_uid)
    if wanted.conflicts is not None:
        conditions.add("(s.conflict_count > 0) = {}::boolean", wanted.conflicts)
    if wanted.calling_aet:
        conditions.add("x.calling @> ARRAY[{}::text]", wanted.calling_aet)
    if wanted.called_aet:
        conditions.add("x.called @> ARRAY[{}::text]", wanted.called_aet)
    if wanted.institute:
        conditions.add(
            "EXISTS (SELECT FROM accounts_belonging b JOIN accounts_institute i ON i.id = b.institute_id "
            "WHERE b.study_id = s.id AND i.name = {})", wanted.institute,
        )  # fmt: skip
    conditions.parts.extend(_STATES[state] for state in wanted.states)
    if wanted.dated:
        _days(conditions, (since(wanted.dated, wanted.today), wanted.today))
    if wanted.received:
        conditions.add("s.last_received_at >= {}::timestamptz", moment(since(wanted.received, wanted.today)))


def since(within: str, today: date) -> date:
    """The first day of the last day, week, month or year."""
    return today - timedelta(days=SPANS[within] - 1)


def moment(day: date) -> datetime:
    """When that day began here."""
    return datetime(day.year, day.month, day.day).astimezone()


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
    if sort == "name" and not _always(access, "identified"):
        key = "CASE WHEN " + access.identified.mark("s.id") + " THEN x.sort_name ELSE '' END"
    if sort == "accession" and not (_always(access, "identified") or _always(access, "initials")):
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


def _always(access: Access, which: Literal["identified", "initials"]) -> bool:
    """All that is seen is shown so far: everything is, or both answers have the same grounds."""
    shown = access.identified if which == "identified" else access.initials
    if shown.everything or shown.nothing:
        return shown.everything
    return list(shown.params.values()) == list(access.seen.params.values())


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


def without(wanted: Wanted, facet: str) -> Wanted:
    """The same search without what one facet narrows, so that its other values can be counted."""
    empty: dict[str, Any] = {"modality": {"modalities": ()}, "state": {"states": ()}}.get(facet, {facet: ""})
    return replace(wanted, **empty)
