"""Lists of series and instances: pages, and made-up cursors. Studies are in test_search."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta

import psycopg
import pytest
from tests.gantry.catalogue.conftest import NOW, ROOT, make_row

from gantry.catalogue import BadCursor, IndexedBatch, find_instances, find_series

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


@pytest.mark.usefixtures("archive")
def test_pages_follow_each_other_without_gap_or_repeat(connection: psycopg.Connection) -> None:
    for find in (find_series, find_instances):
        ids, cursor = [], None
        while True:
            part = find(connection, limit=4, cursor=cursor)
            ids += [item.id for item in part.items]
            cursor = part.next
            if cursor is None:
                break
        assert ids == sorted(set(ids), reverse=True)
        assert len(ids) == {find_series: 5, find_instances: 15}[find]


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
            find_series(connection, cursor=cursor)
        with pytest.raises(BadCursor):
            find_instances(connection, cursor=cursor)
