"""The search of people: what is found, in which order, by whom; facets and saved searches."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date, timedelta
from typing import Any

import psycopg
import pytest
from django.db import connection as orm
from tests.gantry.catalogue.conftest import NOW, ROOT, make_row

from gantry.accounts.allowed import Actor
from gantry.accounts.visible import Visible
from gantry.catalogue import BadCursor, IndexedBatch, Wanted, search_callers, search_conditions, search_studies
from gantry.catalogue.access import EVERYTHING, Access
from gantry.catalogue.facets import count_facets
from gantry.catalogue.search import Sort

Index = Callable[..., IndexedBatch]
TODAY = date(2026, 3, 2)


@pytest.fixture
def archive(index: Index, connection: psycopg.Connection) -> None:
    """Six studies, one minute apart."""
    people = [
        ("P-1", "Müller^Anna Maria", "A-1", "20240101", "CT", "Schädel nativ", "CT1"),
        ("P-2", "MULLER^Bert", "A-2", "20240201", "MR", "Knie links", "MR1"),
        ("p_3", "O'Hara^50%", "B-1", "20240301", "CT", "CT Thorax", "CT1"),
        ("P-4", "Yamada^Tarou=山田^太郎", "", None, "US", "Abdomen", "US1"),
        ("", "", "B\\2", "20260301", "CT", "Thorax 7", "CT2"),
        ("4711", "Anna^Muster", "20240503", "20260302", "SR", "", "CT1"),
    ]
    for number, (patient, name, accession, day, modality, description, source) in enumerate(people, 1):
        header = {"PatientID": patient, "PatientName": name, "AccessionNumber": accession, "StudyDate": day, "Modality": modality,
                  "StudyDescription": description}  # fmt: skip
        index(make_row(study=str(number), header=header, received_at=NOW + timedelta(minutes=number), calling_aet=source))
    for (batch,) in connection.execute("SELECT DISTINCT batch_id FROM catalogue_version").fetchall():
        search_callers.remember(connection, batch)
    connection.commit()


def found(connection: psycopg.Connection, text: str = "", access: Access = EVERYTHING, **wanted: Any) -> str:
    page = search_studies(connection, Wanted(text=text, today=TODAY, **wanted), access=access)
    assert page.next is None
    return "".join(item.study_instance_uid.removeprefix(f"{ROOT}.") for item in page.items)


CASES = [
    ("", "654321"), ("anna muller", "1"), ("MÜLLER", "21"), ("mueller", "21"), ("mul be", "2"), ("anna", "61"), ("o'hara", "3"),
    ("山田", "4"), ("yamada tarou", "4"), ("schadel", "1"), ("SCHÄDEL", "1"), ("thorax", "53"), ("thorax ct", "53"),
    ("muller knie", "2"), ("p-1", "1"), ("4711", "6"), ("id:4711", "6"), ("acc:4711", ""), ("acc:20240503", "6"),
    ("20240503", ""), ("a-", "6421"), ("acc:a-", "21"), ("2024", "321"), ("01.01.2024", "1"), ("today", "6"), ("gestern", "5"), ("2024..", "65321"),
    ("ct 2024", "31"), ("mod:SR", "6"), (f"{ROOT}.2", "2"), (f"{ROOT}.3.1", "3"), (f"{ROOT}.4.1.1", "4"), ("name:thorax", ""),
    ("desc:thorax", "53"), ("' OR 1=1 --", ""), ("%", ""), ("a\0nna", ""), ("anna & muster", ""), ("\\", ""), ('"anna muster"', "6"),
]  # fmt: skip


@pytest.mark.usefixtures("archive")
def test_one_box_finds_it(connection: psycopg.Connection) -> None:
    assert [(text, found(connection, text)) for text, _ in CASES] == CASES


FILTERS: list[tuple[dict[str, Any], str]] = [
    ({"modalities": ("MR", "US")}, "42"), ({"modalities": ("CT",)}, "531"), ({"calling_aet": "CT1"}, "631"),
    ({"called_aet": "GANTRY", "modalities": ["SR"]}, "6"), ({"dated": "week"}, "65"), ({"received": "day"}, ""),
    ({"states": ("new",)}, "654321"), ({"states": ("new", "conflict")}, ""), ({"conflicts": True}, ""),
    ({"conflicts": False, "modalities": ("MR",)}, "2"), ({"patient_name": "m?ller^b*"}, "2"), ({"patient_name": "müller*"}, "1"),
    ({"patient_name": "m?ller^*"}, "21"), ({"patient_name": "*50%"}, "3"), ({"patient_name": "%"}, ""), ({"patient_name": "*山田*"}, "4"),
    ({"patient_name": "a\0b"}, ""), ({"modalities": ("CT",), "patient_name": "*hara*"}, "3"), ({"patient_id": "P-1"}, "1"),
    ({"patient_id": "p-*"}, "421"), ({"patient_id": "P_*"}, "3"), ({"accession_number": "b*"}, "53"),
    ({"accession_number": "B\\2"}, "5"), ({"study_date": (date(2024, 2, 1), date(2024, 3, 1))}, "32"),
    ({"study_date": (None, date(2024, 1, 1))}, "1"), ({"study_date": (date(2024, 3, 1), None)}, "653"),
    ({"study_instance_uid": f"{ROOT}.2"}, "2"), ({"study_instance_uid": "\0"}, ""),
]  # fmt: skip


@pytest.mark.usefixtures("archive")
def test_filters(connection: psycopg.Connection) -> None:
    assert [(wanted, found(connection, **wanted)) for wanted, _ in FILTERS] == FILTERS


CURSORS = ["x", "!!", "W10", "bnVsbA", "WyJhIiwgMV0", "WyJ4IiwgdHJ1ZV0", "WzEsMiwzXQ", "W1tbW1tbW1tbW1tb", "ä", "A" * 5000,
           "WyIyMDI0LTAxLTAxIiwgMV0", "WyJyZWNlaXZlZCIsIHRydWUsICJ4IiwgMV0", "WyJyZWNlaXZlZCIsIHRydWUsICIyMDI2LTAxLTAxIiwgdHJ1ZV0",
           "WyIyMDI0LTAxLTAxVDAwOjAwOjAwKzAwOjAwIiwgOTk5OTk5OTk5OTk5OTk5OTk5OTldIA"]  # fmt: skip


def test_a_made_up_cursor_is_refused(connection: psycopg.Connection) -> None:
    for cursor in CURSORS:
        with pytest.raises(BadCursor):
            search_studies(connection, Wanted(), cursor=cursor)


@pytest.mark.usefixtures("archive")
def test_limits_are_kept_and_the_connection_of_django_will_do(connection: psycopg.Connection) -> None:
    assert len(search_studies(connection, Wanted(), limit=0).items) == 1
    assert len(search_studies(connection, Wanted(), limit=10**9).items) == 6
    orm.ensure_connection()
    page = search_studies(orm.connection, Wanted(modalities=("CT",), study_date=(date(2024, 1, 1), None)), limit=2)
    assert [item.patient_id for item in page.items] == ["", "p_3"]
    following = search_studies(orm.connection, Wanted(modalities=("CT",)), limit=2, cursor=page.next)
    assert [item.patient_id for item in following.items] == ["P-1"]


@pytest.mark.usefixtures("archive")
def test_a_new_name_is_found_by_the_new_name(connection: psycopg.Connection) -> None:
    connection.execute("UPDATE catalogue_patient SET name_alphabetic = 'neumann^eva' WHERE patient_id = 'P-2'")
    connection.execute("UPDATE catalogue_study SET study_description = 'Hüfte' WHERE accession_number = 'A-2'")
    assert (found(connection, "neumann"), found(connection, "bert"), found(connection, "hufte")) == ("2", "", "2")
    connection.rollback()


ORDERS: list[tuple[Sort, bool, str]] = [
    ("received", True, "654321"), ("received", False, "123456"), ("date", True, "653214"), ("date", False, "412356"),
    ("name", False, "561234"), ("accession", True, "532164"),
]  # fmt: skip


@pytest.mark.usefixtures("archive")
@pytest.mark.parametrize(("sort", "descending", "order"), ORDERS)
def test_pages_in_every_order_while_something_new_comes(
    connection: psycopg.Connection, index: Index, sort: Sort, descending: bool, order: str
) -> None:
    seen, cursor = "", None
    for number in range(4):
        page = search_studies(connection, Wanted(today=TODAY), sort=sort, descending=descending, limit=2, cursor=cursor)
        seen += "".join(item.study_instance_uid.removeprefix(f"{ROOT}.") for item in page.items)
        if page.next is None:
            break
        cursor = page.next
        if number == 0:
            connection.rollback()
            header = {"PatientID": "new", "PatientName": "", "AccessionNumber": "", "StudyDate": "20990101"}
            index(make_row(study="9", header=header, received_at=NOW + timedelta(days=1)))
    assert sorted(set(seen)) == sorted(seen)
    assert seen.replace("9", "") == order
    with pytest.raises(BadCursor):
        search_studies(connection, Wanted(), sort="date" if sort != "date" else "name", cursor=page.next or "bm9uZQ")


@pytest.mark.usefixtures("archive")
def test_what_is_hidden_is_not_searched(connection: psycopg.Connection) -> None:
    nothing, everything = Visible("none", nothing=True), Visible("all", everything=True)
    viewer = Access(seen=everything, identified=nothing, initials=everything)
    researcher = Access(seen=everything, identified=nothing, initials=nothing)
    assert [found(connection, text, viewer) for text in ("anna", "4711", "a-1", "thorax")] == ["", "", "1", "53"]
    assert [found(connection, text, researcher) for text in ("anna", "a-1", "thorax", "name:thorax")] == ["", "", "53", ""]
    connection.execute("CREATE TEMP TABLE accounts_belonging (institute_id bigint, study_id bigint)")
    connection.execute(f"INSERT INTO accounts_belonging SELECT 7, id FROM catalogue_study WHERE study_instance_uid = '{ROOT}.1'")
    some = Visible("some", params={"some_institutes": [7], "some_groups": [], "some_user": 1})
    mixed = Access(seen=everything, identified=some, initials=nothing)
    assert [found(connection, text, mixed) for text in ("anna", "muller", "thorax", "anna schadel")] == ["1", "1", "53", "1"]
    own = Access(seen=some, identified=some, initials=nothing)
    assert [found(connection, text, own) for text in ("", "anna", "thorax")] == ["1", "1", ""]
    page = search_studies(connection, Wanted(), sort="name", descending=True, access=mixed)
    assert page.items[0].study_instance_uid == f"{ROOT}.1"
    connection.rollback()


@pytest.mark.usefixtures("archive")
def test_every_way_to_find_words_finds_the_same(connection: psycopg.Connection, monkeypatch: pytest.MonkeyPatch) -> None:
    connection.execute("CREATE TEMP TABLE accounts_belonging (institute_id bigint, study_id bigint)")
    connection.execute(
        "INSERT INTO accounts_belonging SELECT 7, id FROM catalogue_study WHERE study_instance_uid = ANY(%s)",
        [[f"{ROOT}.{number}" for number in (1, 2, 5)]],
    )
    some = Visible("some", params={"some_institutes": [7], "some_groups": [], "some_user": 1})
    everything, nothing = Visible("all", everything=True), Visible("none", nothing=True)
    own, mixed = Access(seen=some, identified=some, initials=nothing), Access(seen=everything, identified=some, initials=nothing)
    texts = ("anna", "muller", "thorax", "anna schadel", "4711", "knie", "nobody")
    asked: list[str] = []
    for common, few in ((0, 4000), (20, 4000), (20, 1), (1, 4000)):
        monkeypatch.setattr(search_conditions, "COMMON", common)
        monkeypatch.setattr(search_conditions, "FEW", few)
        assert [found(connection, text, own) for text in texts] == ["1", "21", "5", "1", "", "2", ""]
        assert [found(connection, text, mixed) for text in texts] == ["1", "21", "53", "1", "", "2", ""]
        assert [found(connection, text) for text in texts] == ["61", "21", "53", "1", "6", "2", ""]
        for text in texts:
            ids = search_conditions.few_of(connection, Wanted(text=text, today=TODAY), own)
            asked.append("walk" if ids is None else "few")
    assert {"walk", "few"} == set(asked)
    connection.rollback()


@pytest.mark.usefixtures("archive")
def test_facets(connection: psycopg.Connection, monkeypatch: pytest.MonkeyPatch) -> None:
    actor = Actor(1, "a", "operator", "session")
    counted = count_facets(connection, Wanted(today=TODAY, modalities=("MR",)), actor=actor, access=Access())
    facets = {facet.name: {one.value: one.count for one in facet.values} for facet in counted.facets}
    assert (counted.total, counted.more) == (1, False)
    assert facets["modality"] == {"CT": 3, "MR": 1, "SR": 1, "US": 1}
    assert facets["calling_aet"] == {"MR1": 1}
    assert facets["state"]["new"] == 1
    monkeypatch.setattr("gantry.catalogue.facets.LIMIT", 4)
    counted = count_facets(connection, Wanted(today=TODAY), actor=actor, access=Access())
    assert (counted.total, counted.more) == (4, True)
    assert all(facet.more for facet in counted.facets)
    connection.rollback()


@pytest.mark.usefixtures("archive")
def test_removed_studies_leave_nothing_behind(connection: psycopg.Connection) -> None:
    connection.execute("DELETE FROM catalogue_openassociation")
    connection.execute("CREATE TEMP TABLE gone AS SELECT id FROM catalogue_study WHERE study_instance_uid LIKE '%.1'")
    for table, where in (("version", "instance_id IN (SELECT i.id FROM catalogue_instance i JOIN catalogue_series e ON e.id = "
                          "i.series_id WHERE e.study_id IN (SELECT id FROM gone))"),
                         ("instance", "series_id IN (SELECT id FROM catalogue_series WHERE study_id IN (SELECT id FROM gone))"),
                         ("series", "study_id IN (SELECT id FROM gone)"), ("study", "id IN (SELECT id FROM gone)")):  # fmt: skip
        connection.execute(f"DELETE FROM catalogue_{table} WHERE {where}")
    row = connection.execute("SELECT count(*) FROM catalogue_studysearch WHERE study_id IN (SELECT id FROM gone)").fetchone()
    assert row == (0,)
    connection.rollback()
