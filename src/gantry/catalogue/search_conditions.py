"""The conditions of a search in SQL: words, days, patterns and filters, of what somebody may see.

Words are looked up first when they are rare: at most FEW studies are then fetched and sorted. When they are common, the
list is walked in its order, and soon has a page together.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import date
from typing import Any, Literal, LiteralString

import psycopg

from gantry import database
from gantry.catalogue.access import Access
from gantry.catalogue.find import like
from gantry.catalogue.search_wanted import Wanted, moment, since
from gantry.catalogue.search_words import Term, lexemes

#: So many studies are fetched by their words and sorted; of more the list is walked.
FEW = 4000
#: Words that more than COMMON of the RECENT newest studies have and show are common: a page is together soon.
RECENT, COMMON = 500, 20
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
        # No column holds a NUL, and no parameter may: the search finds nothing instead of failing.
        self.params[name] = value.replace("\0", "\N{REPLACEMENT CHARACTER}") if isinstance(value, str) else value
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


@dataclass(frozen=True, slots=True)
class Worded:
    """How common the words of a search are: of so many of the RECENT newest studies, `shown` of which would be shown.

    `few`: all studies that have them, when they are at most FEW; None: they are common, so walk the list.
    """

    studies: int = 0
    shown: int = 0
    few: list[int] | None = None


def conditions_of(wanted: Wanted, access: Access, few: Sequence[int] | None, *, by_index: bool = False) -> Conditions:
    """The conditions of a search; `few` is what `few_of` gave for it; `by_index`: find all that have the words by their
    index, which is for those that are sorted afterwards anyway."""
    conditions = Conditions(access)
    terms = wanted.terms
    for term in terms:
        if term.words:
            continue
        if term.kind == "modality":
            conditions.add("s.modalities @> ARRAY[{}::text]", term.text)
        elif term.kind == "uid":
            _uid(conditions, term.text)
        else:
            _days(conditions, (term.first, term.last))
    _words(conditions, [term for term in terms if term.words], few, by_index=by_index)
    _patterns(conditions, wanted)
    _filters(conditions, wanted)
    return conditions


def few_of(connection: psycopg.Connection[Any], wanted: Wanted, access: Access) -> list[int] | None:
    """The studies that have the words of a search, when they are at most FEW; None: they are common, so walk the list."""
    return look_up(connection, wanted, access).few


def look_up(connection: psycopg.Connection[Any], wanted: Wanted, access: Access) -> Worded:
    """How common the words of a search are, and which studies have them when they are few.

    How common they are is counted among the newest studies, and only of those that would be shown: of half of all
    studies a common word is as common as ever, of two hundred old ones no word is. What is rarer, the words or what is
    seen, is where they are fetched from.
    """
    levels = _levels([term for term in wanted.terms if term.words], access, "x.study_id")
    if not levels:
        return Worded()
    conditions = Conditions(access)
    found: LiteralString = "(" + " OR ".join(_ways(conditions, levels)) + ")"
    # All that a level leaves out is found by a wider one, so the last is the superset of them all.
    values = {"few_words": levels[-1][0], "few": FEW + 1, "recent": RECENT, **conditions.params, **access.params}

    def ask(name: str) -> Any:
        sql = database.statements("gantry.catalogue", "search.sql")[name].replace("/* found */ TRUE", found)
        seen, among = access.seen.mark("x.study_id"), access.seen.among("x.study_id")
        sql = sql.replace("/* seen */ TRUE", seen).replace("/* among */ TRUE", among)
        return connection.execute(sql, values, prepare=False).fetchone()

    shown, worded = ask("sample")
    if shown > COMMON:
        return Worded(worded, shown)
    by_sight = worded > COMMON and not access.seen.everything and ask("sample_of_sight")[0] < worded
    connection.execute("SELECT set_config('enable_seqscan', 'off', true)", prepare=False)
    (few,) = ask("few_by_sight" if by_sight else "few_by_words")
    connection.execute("SELECT set_config('enable_seqscan', 'on', true)", prepare=False)
    return Worded(worded, shown, few if len(few) <= FEW else None)


def _levels(terms: Sequence[Term], access: Access, study: LiteralString) -> list[tuple[str, LiteralString]]:
    """For each level at which a patient is shown: the words in the fields that may be searched there, and who it is for."""
    leading: LiteralString = "(" + access.identified.mark(study) + " OR " + access.initials.mark(study) + ")"
    levels: tuple[tuple[str, LiteralString], ...] = (("d", "TRUE"), ("ad", leading), ("niad", access.identified.mark(study)))
    if always(access, "identified"):
        levels = (("niad", "TRUE"),)
    elif access.identified.nothing and always(access, "initials"):
        levels = (("ad", "TRUE"),)
    elif access.identified.nothing and access.initials.nothing:
        levels = (("d", "TRUE"),)
    found: list[tuple[str, LiteralString]] = []
    for letters, mark in levels:
        parts = [lexemes(term, letters) for term in terms]
        if parts and all(parts):
            found.append((" & ".join(parts), mark))
    return found


def _ways(conditions: Conditions, levels: Sequence[tuple[str, LiteralString]]) -> list[LiteralString]:
    """The words in SQL, one way for each level, with the function behind @@, which no index serves: rare words are looked
    up before, by common ones the index would only find what the walk passes anyway."""
    return ["(ts_match_vq(x.words, " + conditions.value(words) + "::tsquery) AND " + mark + ")" for words, mark in levels]


def _words(conditions: Conditions, terms: Sequence[Term], few: Sequence[int] | None, *, by_index: bool) -> None:
    """All words, in the fields that may be searched of each study: by the level at which its patient is shown."""
    if not terms:
        return
    levels = _levels(terms, conditions.access, "s.id")
    ways = _ways(conditions, levels)
    if not ways:
        conditions.parts.append(_NONE)
        return
    if by_index:
        conditions.add("x.words @@ {}::tsquery", levels[-1][0])
    if few is not None:
        conditions.add("s.id = ANY({}::bigint[])", list(few))
    conditions.parts.append("({})".format(" OR ".join(ways)))


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


def always(access: Access, which: Literal["identified", "initials"]) -> bool:
    """All that is seen is shown so far: everything is, or both answers have the same grounds."""
    shown = access.identified if which == "identified" else access.initials
    if shown.everything or shown.nothing:
        return shown.everything
    return list(shown.params.values()) == list(access.seen.params.values())
