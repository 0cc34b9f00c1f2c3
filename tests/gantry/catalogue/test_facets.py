"""Facets beside plain counting: whoever asks, however it is narrowed, by either way to find what is seen."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from datetime import date, timedelta
from typing import Any

import psycopg
import pytest
from tests.gantry.catalogue.conftest import NOW, make_row

from gantry.accounts import visible
from gantry.accounts.allowed import Actor, Place
from gantry.accounts.visible import Visible
from gantry.catalogue import Wanted, facets, search_callers, search_studies
from gantry.catalogue.access import EVERYTHING, Access
from gantry.catalogue.search import StudyListed
from gantry.catalogue.search_wanted import SPANS, moment, since, without

TODAY = date(2026, 3, 2)
STUDIES = 40
ACTOR = Actor(1, "a", "none", "session", places=(Place(1, "East", "clinician"), Place(2, "West", "clinician")))
NOTHING = Visible("none", nothing=True)
ASKED: list[dict[str, Any]] = [
    {}, {"text": "thorax"}, {"text": "thorax 7"}, {"text": "ct 2026"}, {"modalities": ("CT",)}, {"modalities": ("CT", "US")},
    {"states": ("new",)}, {"states": ("legal_hold", "settled")}, {"dated": "week"}, {"received": "day"}, {"calling_aet": "AE1"},
    {"modalities": ("MR",), "received": "week"}, {"modalities": ("MR",), "states": ("protected",), "dated": "year", "institute": "East"},
    {"text": "knee", "called_aet": "GANTRY", "calling_aet": "AE2"}, {"patient_name": "muster*"}, {"institute": "West"},
    {"text": "nobody has this word"},
]  # fmt: skip


@pytest.fixture
def archive(index: Callable[..., Any], connection: psycopg.Connection) -> Any:
    """Forty studies of many kinds; one is in the trash. A half belongs to East, a tenth to West, one was granted."""
    rows = []
    for number in range(STUDIES):
        header = {
            "PatientID": f"P-{number % 9}", "PatientName": f"Muster^{'Anna' if number % 2 else 'Bert'}", "Modality": ["CT", "MR", "US"][number % 3],
            "StudyDate": None if number % 11 == 0 else f"{TODAY - timedelta(days=number * number):%Y%m%d}", "AccessionNumber": f"A-{number}",
            "StudyDescription": ["CT Thorax", "Knee", f"Thorax {number}"][number % 3],
        }  # fmt: skip
        received = NOW - timedelta(hours=9 * number)
        rows.append(make_row(study=str(number), header=header, received_at=received, calling_aet=f"AE{number % 4}"))
        if number % 7 == 0:
            more = {**header, "Modality": "SR"}
            rows.append(make_row("2", study=str(number), series="2", header=more, received_at=received, calling_aet="AE9"))
    index(*rows)
    for (batch,) in connection.execute("SELECT DISTINCT batch_id FROM catalogue_version").fetchall():
        search_callers.remember(connection, batch)
    numbered = "CREATE TEMP TABLE numbered AS SELECT id, split_part(study_instance_uid, '.', 10)::int AS n FROM catalogue_study"
    for statement in (
        numbered,
        "UPDATE catalogue_study SET settled_at = now() WHERE id IN (SELECT id FROM numbered WHERE n % 2 = 0)",
        "UPDATE catalogue_study SET conflict_count = 1 WHERE id IN (SELECT id FROM numbered WHERE n % 10 = 3)",
        "UPDATE catalogue_study SET protected_at = now() WHERE id IN (SELECT id FROM numbered WHERE n % 4 = 1)",
        "UPDATE catalogue_study SET trashed_at = now() WHERE id IN (SELECT id FROM numbered WHERE n = 4)",
        "INSERT INTO catalogue_hold (study_id, label, reason, placed_by, placed_at, lifted_by, lifted_at, lift_reason) "
        "SELECT id, 'court', '', '', now(), '', CASE WHEN n = 6 THEN now() END, '' FROM numbered WHERE n IN (2, 3, 6, 10)",
        "CREATE TEMP TABLE accounts_institute (id bigint, name text)",
        "INSERT INTO accounts_institute VALUES (1, 'East'), (2, 'West'), (3, 'Other')",
        "CREATE TEMP TABLE accounts_belonging (institute_id bigint, study_id bigint)",
        "INSERT INTO accounts_belonging SELECT 1, id FROM numbered WHERE n % 2 = 0",
        "INSERT INTO accounts_belonging SELECT 2, id FROM numbered WHERE n % 10 = 0",
        "INSERT INTO accounts_belonging SELECT 3, id FROM numbered",
        "CREATE TEMP TABLE accounts_grant (study_id bigint, user_id bigint, group_id bigint, institute_id bigint, until timestamptz)",
        "INSERT INTO accounts_grant SELECT id, 1, NULL, NULL, NULL FROM numbered WHERE n = 5",
    ):
        connection.execute(statement)
    return connection


def plainly(connection: psycopg.Connection, name: str, studies: list[StudyListed], *, everything: bool) -> dict[str, int]:
    """The values of a facet among studies, counted one by one."""
    ids = [study.id for study in studies]
    match name:
        case "modality":
            return Counter(modality for study in studies for modality in study.modalities)
        case "calling_aet":
            return Counter(aet for study in studies for aet in study.calling)
        case "called_aet":
            return Counter({"GANTRY": len(studies)}) if studies else {}
        case "dated":
            days = [study.study_date for study in studies if study.study_date is not None]
            return Counter(span for span in SPANS for day in days if since(span, TODAY) <= day <= TODAY)
        case "received":
            moments = [study.last_received_at for study in studies]
            return Counter(span for span in SPANS for one in moments if one >= moment(since(span, TODAY)))
        case "institute":
            told = "" if everything else "AND i.id IN (1, 2)"
            sql = f"SELECT i.name FROM accounts_belonging b JOIN accounts_institute i ON i.id = b.institute_id {told} WHERE b.study_id = ANY(%s)"
            return Counter(row[0] for row in connection.execute(sql, [ids]).fetchall())
    found: Counter[str] = Counter()
    for study in studies:
        found["new" if study.settled_at is None else "settled"] += 1
        states = {
            "conflict": study.conflict_count > 0,
            "protected": study.protected,
            "legal_hold": study.legal_hold,
            "held": study.held,
        }
        found.update(state for state, holds in states.items() if holds)
    return found


READERS = ("everything", "a part", "viewer of a part", "nothing")


def reader(name: str) -> Access:
    """A new one each time: what is few is looked up when it is asked."""
    part = Visible("part", params={"part_institutes": [1, 2], "part_groups": [], "part_user": 1})
    return {
        "everything": EVERYTHING, "a part": Access(seen=part, identified=part, initials=NOTHING),
        "viewer of a part": Access(seen=part, identified=NOTHING, initials=part), "nothing": Access(seen=NOTHING, identified=NOTHING, initials=NOTHING),
    }[name]  # fmt: skip


@pytest.mark.parametrize(
    ("few", "sparse", "by_index"), [(4000, 8, True), (-1, 0, True), (-1, 10**9, False)], ids=["fetched", "as a set", "walked"]
)
def test_facets_are_what_counting_gives(
    archive: Any, monkeypatch: pytest.MonkeyPatch, few: int, sparse: int, by_index: bool
) -> None:
    monkeypatch.setattr(visible, "FEW", few)
    monkeypatch.setattr(facets, "SPARSE", sparse)
    monkeypatch.setattr(facets, "_by_index", lambda *_: by_index)
    totals = []
    for name in READERS:
        for asked in ASKED:
            wanted = Wanted(today=TODAY, **asked)
            access = reader(name)
            counted = facets.count_facets(archive, wanted, actor=ACTOR, access=access)
            found = search_studies(archive, wanted, access=access, limit=1000).items
            assert (counted.total, counted.more) == (len(found), False), (name, asked)
            assert [facet.name for facet in counted.facets] == list(facets.FACETS)
            for facet in counted.facets:
                narrows = facets.narrows(wanted, facet.name)
                studies = (
                    search_studies(archive, without(wanted, facet.name), access=access, limit=1000).items if narrows else found
                )
                expected = plainly(archive, facet.name, studies, everything=name == "everything")
                assert {one.value: one.count for one in facet.values} == expected, (name, asked, facet.name)
                assert not facet.more
            totals.append(counted.total)
    assert max(totals) == STUDIES - 1
    assert min(total for total in totals if total) > 0
    archive.rollback()


def test_only_what_is_asked_is_counted(archive: Any) -> None:
    wanted = Wanted(today=TODAY, modalities=("CT",))
    whole = facets.count_facets(archive, wanted, actor=ACTOR, access=EVERYTHING)
    for names in ((), ("modality",), ("state", "calling_aet")):
        some = facets.count_facets(archive, wanted, actor=ACTOR, access=EVERYTHING, names=names)
        assert (some.total, some.more) == (whole.total, whole.more)
        assert some.facets == [next(facet for facet in whole.facets if facet.name == name) for name in names]
    archive.rollback()
