"""Searches: filters, pages, and what strangers type into them."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date, timedelta
from typing import Any

import psycopg
import pytest
from django.db import connection as orm
from tests.gantry.catalogue.conftest import NOW, ROOT, make_row

from gantry.catalogue import BadCursor, IndexedBatch, StudyQuery, find_instances, find_series, find_studies

Index = Callable[..., IndexedBatch]


@pytest.fixture
def archive(index: Index) -> None:
    """Five studies, one minute apart."""
    people = [
        ("P-1", "Müller^Anna", "A-1", "20240101", "CT"),
        ("P-2", "MULLER^Bert", "A-2", "20240201", "MR"),
        ("p_3", "O'Hara^50%", "B-1", "20240301", "CT"),
        ("P-4", "Yamada^Tarou=山田^太郎", "", None, "US"),
        ("", "", "B\\2", "20250101", "CT"),
    ]
    for number, (patient, name, accession, day, modality) in enumerate(people, 1):
        header = {"PatientID": patient, "PatientName": name, "AccessionNumber": accession, "StudyDate": day, "Modality": modality,
                  "StudyDescription": f"Study {number}"}  # fmt: skip
        for instance in range(3):
            index(make_row(str(instance), study=str(number), header=header, received_at=NOW + timedelta(minutes=number)))


def found(connection: psycopg.Connection, **query: Any) -> list[str]:
    page = find_studies(connection, StudyQuery(**query))
    assert page.next is None
    return [item.study_instance_uid.removeprefix(f"{ROOT}.") for item in page.items]


CASES: list[tuple[dict[str, Any], str]] = [
    ({}, "54321"),
    ({"patient_id": "P-1"}, "1"),
    ({"patient_id": "p-*"}, "421"),
    ({"patient_id": "P_*"}, "3"),
    ({"patient_name": "müller*"}, "1"),
    ({"patient_name": "m?ller^*"}, "21"),
    ({"patient_name": "*50%"}, "3"),
    ({"patient_name": "%"}, ""),
    ({"patient_name": "*山田*"}, "4"),
    ({"accession_number": "b*"}, "53"),
    ({"accession_number": "B\\2"}, "5"),
    ({"study_date": (date(2024, 2, 1), date(2024, 3, 1))}, "32"),
    ({"study_date": (None, date(2024, 1, 1))}, "1"),
    ({"study_date": (date(2024, 3, 1), None)}, "53"),
    ({"modality": "CT"}, "531"),
    ({"study_instance_uid": f"{ROOT}.2"}, "2"),
    ({"q": "muller"}, "2"),
    ({"q": "study 4"}, "4"),
    ({"q": f"{ROOT}.5"}, "5"),
    ({"q": "' OR 1=1 --"}, ""),
    ({"q": "a\0b"}, ""),
    ({"q": "   "}, "54321"),
    ({"modality": "CT", "patient_name": "*hara*"}, "3"),
    ({"conflicts": True}, ""),
    ({"conflicts": False, "modality": "MR"}, "2"),
]


@pytest.mark.usefixtures("archive")
def test_filters(connection: psycopg.Connection) -> None:
    assert [(query, "".join(found(connection, **query))) for query, _ in CASES] == CASES


@pytest.mark.usefixtures("archive")
def test_pages_follow_each_other_without_gap_or_repeat(connection: psycopg.Connection, index: Index) -> None:
    seen: list[str] = []
    cursor = None
    for number in range(5):
        page = find_studies(connection, StudyQuery(), limit=1, cursor=cursor)
        seen += [item.study_instance_uid for item in page.items]
        cursor = page.next
        # What comes in meanwhile is newer: it disturbs nothing.
        index(make_row("1", study=f"9{number}", received_at=NOW + timedelta(hours=1, minutes=number)))
        connection.rollback()
    assert seen == [f"{ROOT}.{number}" for number in (5, 4, 3, 2, 1)]
    assert cursor is None
    for find in (find_series, find_instances):
        ids, cursor = [], None
        while True:
            part = find(connection, limit=4, cursor=cursor)
            ids += [item.id for item in part.items]
            cursor = part.next
            if cursor is None:
                break
        assert ids == sorted(set(ids), reverse=True)
        assert len(ids) == {find_series: 10, find_instances: 20}[find]


@pytest.mark.usefixtures("archive")
def test_series_and_instances_of_a_study(connection: psycopg.Connection) -> None:
    (series,) = find_series(connection, study_instance_uid=f"{ROOT}.2").items
    assert (series.modality, series.instance_count, series.series_number) == ("MR", 3, 3)
    instances = find_instances(connection, series_instance_uid=series.series_instance_uid).items
    assert [item.sop_instance_uid for item in instances] == [f"{ROOT}.2.1.{n}" for n in (2, 1, 0)]
    assert instances[0].sha256 == make_row("2", study="2").sha256
    assert find_instances(connection, sop_instance_uid="9.9").items == []


CURSORS = ["x", "!!", "W10", "bnVsbA", "WyJhIiwgMV0", "WyJ4IiwgdHJ1ZV0", "WzEsMiwzXQ", "W1tbW1tbW1tbW1tb", "ä", "A" * 5000,
           "WyIyMDI0LTAxLTAxIiwgMV0", "WyIyMDI0LTAxLTAxVDAwOjAwOjAwKzAwOjAwIiwgOTk5OTk5OTk5OTk5OTk5OTk5OTldIA"]  # fmt: skip


def test_a_made_up_cursor_is_refused(connection: psycopg.Connection) -> None:
    for cursor in CURSORS:
        with pytest.raises(BadCursor):
            find_studies(connection, StudyQuery(), cursor=cursor)


@pytest.mark.usefixtures("archive")
def test_limits_are_kept(connection: psycopg.Connection) -> None:
    assert len(find_studies(connection, StudyQuery(), limit=0).items) == 1
    assert len(find_studies(connection, StudyQuery(), limit=10**9).items) == 5


@pytest.mark.usefixtures("archive")
def test_the_connection_of_django_will_do(connection: psycopg.Connection) -> None:
    """The web process has no other."""
    orm.ensure_connection()
    page = find_studies(orm.connection, StudyQuery(modality="CT", study_date=(date(2024, 1, 1), None)), limit=2)
    assert [item.patient_id for item in page.items] == ["", "p_3"]
    assert find_studies(orm.connection, StudyQuery(modality="CT"), limit=2, cursor=page.next).items[0].patient_id == "P-1"
