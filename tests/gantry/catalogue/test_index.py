"""The rules of indexing, each on real PostgreSQL."""

from __future__ import annotations

import threading
from collections.abc import Callable
from datetime import date, timedelta
from typing import Any
from uuid import uuid4

import psycopg
import pytest
from psycopg import errors
from tests.gantry.catalogue.conftest import NOW, ROOT, make_row, wrong_counts

from gantry import database
from gantry.catalogue import IndexedBatch, index_versions
from gantry.catalogue.models import Conflict, Instance, Patient, Series, Study, Version

Index = Callable[..., IndexedBatch]


def test_one_batch_fills_every_level(index: Index, connection: psycopg.Connection) -> None:
    batch = index(*(make_row(str(n)) for n in range(1, 6)), make_row("1", series="2", header={"Modality": "SR"}))
    assert batch.outcomes == ["new"] * 6
    assert batch.study_ids == {f"{ROOT}.1": Study.objects.get().id}
    patient, study = Patient.objects.get(), Study.objects.get()
    assert (patient.patient_id, patient.patient_name, patient.patient_birth_date) == ("P-1", "Muster^Anna", date(1970, 1, 31))
    assert (study.study_date, study.accession_number, study.modalities) == (date(2024, 2, 29), "A-1", ["CT", "SR"])
    assert (study.series_count, study.instance_count, study.size_bytes) == (2, 6, 3600)
    assert (study.settled_at, study.conflict_count, study.last_received_at) == (None, 0, NOW)
    first = Series.objects.get(series_instance_uid=f"{ROOT}.1.1")
    assert (first.modality, first.series_number, first.series_description, first.instance_count) == ("CT", 3, "axial", 5)
    instance = Instance.objects.get(sop_instance_uid=f"{ROOT}.1.1.5")
    assert (instance.instance_number, instance.rows, instance.columns) == (7, 512, 512)
    version = instance.versions.get()
    assert version.current
    assert version.header["StudyDescription"] == "Thorax"
    assert bytes(version.sha256) == make_row("5").sha256
    assert wrong_counts(connection) == []


def test_the_same_bytes_again_write_nothing(index: Index, connection: psycopg.Connection) -> None:
    index(make_row("1"))
    before = connection.execute("SELECT xmin, * FROM catalogue_study").fetchall()
    batch = index(make_row("1"), make_row("1"))
    assert batch.outcomes == ["duplicate", "duplicate"]
    assert (batch.written, batch.study_ids) == (0, {})
    assert connection.execute("SELECT xmin, * FROM catalogue_study").fetchall() == before
    assert index(make_row("2"), make_row("2")).outcomes == ["new", "duplicate"]


def test_other_bytes_are_a_new_current_version_and_a_conflict(index: Index, connection: psycopg.Connection) -> None:
    index(make_row("1"))
    batch = index(make_row("1", content="b", header={"InstanceNumber": "8"}, dataset_bytes=1500))
    assert (batch.outcomes, batch.conflicts) == (["version"], 1)
    instance, study = Instance.objects.get(), Study.objects.get()
    assert (instance.version_count, instance.instance_number) == (2, 8)
    assert [bytes(v.sha256) for v in instance.versions.filter(current=True)] == [make_row("1", content="b").sha256]
    assert (study.instance_count, study.size_bytes, study.conflict_count) == (1, 1500, 1)
    conflict = Conflict.objects.get()
    assert (conflict.kind, conflict.instance, conflict.study) == ("bytes", instance, study)
    index(make_row("1", content="c"))
    assert index(make_row("1")).outcomes == ["duplicate"], "an older version that comes again is known"
    assert Conflict.objects.get().seen_count == 2
    assert wrong_counts(connection) == []


def test_several_versions_in_one_batch_follow_each_other(index: Index, connection: psycopg.Connection) -> None:
    rows = [make_row("1", content=c) for c in "abacb"]
    assert index(*rows, make_row("2")).outcomes == ["new", "version", "duplicate", "version", "duplicate", "new"]
    current = Version.objects.get(current=True, instance__sop_instance_uid=f"{ROOT}.1.1.1")
    assert bytes(current.sha256) == rows[3].sha256
    assert wrong_counts(connection) == []


@pytest.mark.parametrize("together", [True, False])
def test_a_study_keeps_its_patient(index: Index, connection: psycopg.Connection, together: bool) -> None:
    rows = [
        make_row("1"),
        make_row("2", header={"PatientID": "P-2", "PatientName": "Other^One"}),
        make_row("3", header={"PatientID": "P-2"}),
    ]
    batches = [index(*rows)] if together else [index(row) for row in rows]
    assert sum(batch.conflicts for batch in batches) == 1
    assert Patient.objects.get().patient_name == "Muster^Anna", "no patient without a study"
    conflict, study = Conflict.objects.get(), Study.objects.get()
    assert (conflict.kind, conflict.study_id, study.conflict_count, study.instance_count) == ("identity", study.id, 1, 3)
    assert conflict.details["kept"]["patient_id"] == "P-1"
    assert conflict.details["arrived"]["patient_id"] == "P-2"
    assert wrong_counts(connection) == []


def test_an_issuer_that_only_one_gives_is_no_conflict(index: Index) -> None:
    index(make_row("1"))
    assert index(make_row("2", header={"IssuerOfPatientID": "HOSPITAL"})).conflicts == 0
    index(make_row("1", study="2", header={"IssuerOfPatientID": "A"}))
    assert index(make_row("2", study="2", header={"IssuerOfPatientID": "B"})).conflicts == 1


def test_people_without_an_id_are_not_one_person(index: Index, connection: psycopg.Connection) -> None:
    index(make_row("1", header={"PatientID": None}), make_row("1", study="2", header={"PatientID": "  "}))
    assert Patient.objects.count() == 2
    assert {p.anchor for p in Patient.objects.all()} == {f"{ROOT}.1", f"{ROOT}.2"}
    assert wrong_counts(connection) == []


@pytest.mark.parametrize("together", [True, False])
def test_empty_fields_are_filled_later_and_full_ones_kept(index: Index, together: bool) -> None:
    nothing = dict.fromkeys(["PatientName", "PatientBirthDate", "AccessionNumber", "StudyDate", "SeriesDescription", "Modality"])
    rows = [
        make_row("1", header=nothing),
        make_row("2"),
        make_row("3", header={"AccessionNumber": "A-2", "StudyDescription": "Abdomen"}),
    ]
    if together:
        index(*rows)
    else:
        for row in rows:
            index(row)
    patient, study, series = Patient.objects.get(), Study.objects.get(), Series.objects.get()
    assert (patient.patient_name, patient.patient_birth_date) == ("Muster^Anna", date(1970, 1, 31))
    assert (study.accession_number, study.study_description, study.modalities) == ("A-1", "Thorax", ["CT"])
    assert (series.series_description, series.modality) == ("axial", "CT")


def test_a_patient_with_another_name_or_birth_date_is_a_conflict(index: Index) -> None:
    index(make_row("1"))
    assert index(make_row("2", header={"PatientName": "MUSTER^ANNA^^"})).conflicts == 0
    assert index(make_row("3", header={"PatientName": "Muster^Berta"})).conflicts == 1
    assert index(make_row("1", study="2", header={"PatientBirthDate": "19710131"})).conflicts == 1
    assert {c.kind for c in Conflict.objects.all()} == {"demographics"}
    assert Patient.objects.get().patient_name == "Muster^Anna"
    assert [s.conflict_count for s in Study.objects.order_by("id")] == [1, 1]


def test_an_instance_follows_its_newest_version(index: Index, connection: psycopg.Connection) -> None:
    index(make_row("1"), make_row("2"))
    moved = make_row("1", content="b", study_instance_uid=f"{ROOT}.9", series_instance_uid=f"{ROOT}.9.1")
    index(moved)
    assert Instance.objects.get(sop_instance_uid=moved.sop_instance_uid).series.study.study_instance_uid == f"{ROOT}.9"
    assert {s.study_instance_uid: s.instance_count for s in Study.objects.all()} == {f"{ROOT}.1": 1, f"{ROOT}.9": 1}
    assert sorted(Conflict.objects.values_list("kind", flat=True)) == ["bytes", "hierarchy", "hierarchy"]
    assert all(study.conflict_count for study in Study.objects.all()), "both studies show it"
    assert wrong_counts(connection) == []
    index(make_row("2", content="b", series_instance_uid=f"{ROOT}.1.7"))
    assert {s.series_instance_uid: s.instance_count for s in Series.objects.filter(study__study_instance_uid=f"{ROOT}.1")} == {
        f"{ROOT}.1.1": 0,
        f"{ROOT}.1.7": 1,
    }
    assert wrong_counts(connection) == []


def test_a_series_with_two_modalities_is_kept(index: Index) -> None:
    index(make_row("1"))
    index(make_row("2", header={"Modality": "PT"}))
    assert (Series.objects.get().modality, Study.objects.get().modalities) == ("CT", ["CT", "PT"])


def test_a_late_instance_opens_a_settled_study(index: Index) -> None:
    index(make_row("1"))
    Study.objects.update(settled_at=NOW)
    index(make_row("1"))
    assert Study.objects.get().settled_at is not None, "a duplicate is nothing new"
    index(make_row("2", received_at=NOW + timedelta(seconds=5)), now=NOW + timedelta(seconds=6))
    study = Study.objects.get()
    assert (study.settled_at, study.last_received_at - NOW, study.last_indexed_at - NOW) == (
        None,
        timedelta(seconds=5),
        timedelta(seconds=6),
    )


HOSTILE: list[Any] = [
    "a\0b", "\ud800x", "\U0001f600", "'; DROP TABLE catalogue_study; --", "<script>alert(1)</script>", "N" * 65536, "ä" * 9000,
    ["one", "two\0"], "\\", "{}", '"', "%s%(x)s", "\r\n\t\x1b", "NULL", "\\N", "\\.",
]  # fmt: skip


@pytest.mark.parametrize("text", HOSTILE, ids=range(len(HOSTILE)))
def test_hostile_strings_are_data(index: Index, connection: psycopg.Connection, text: Any) -> None:
    keys = ["PatientID", "IssuerOfPatientID", "PatientName", "PatientSex", "StudyDate", "StudyTime", "AccessionNumber", "StudyID",
            "StudyDescription", "Modality", "SeriesNumber", "SeriesDescription", "Rows", "Columns", "InstanceNumber", "NumberOfFrames",
            "SeriesDate", "ImageType"]  # fmt: skip
    aet = text if isinstance(text, str) else "X"
    row = make_row("1", header=dict.fromkeys(keys, text), calling_aet=aet, remote_address=aet, warnings=[aet])
    assert index(row).outcomes == ["new"]
    assert index(make_row("1", content="b", header=dict.fromkeys(keys, text), calling_aet=aet)).outcomes == ["version"]
    study = Study.objects.get()
    assert study.study_date is None
    assert len(study.study_description.encode()) <= 1000
    assert wrong_counts(connection) == []
    if text == "<script>alert(1)</script>":
        assert study.study_description == text


def test_impossible_numbers_and_dates_are_left_out(index: Index) -> None:
    index(make_row("1", header={"StudyDate": "20231345", "PatientBirthDate": "00000000", "Rows": str(2**40), "Columns": "-1",
                                "InstanceNumber": str(2**70), "SeriesNumber": "1.5e3"}))  # fmt: skip
    study, instance = Study.objects.get(), Instance.objects.get()
    assert (study.study_date, study.patient.patient_birth_date, instance.rows, instance.instance_number) == (
        None,
        None,
        None,
        None,
    )


def test_long_identifiers_that_differ_at_their_end_stay_apart(index: Index) -> None:
    long = "P" * 5000
    index(make_row("1", header={"PatientID": long + "1"}), make_row("1", study="2", header={"PatientID": long + "2"}))
    assert Patient.objects.count() == 2


def test_counts_are_exact_with_many_indexers_at_once(connection: psycopg.Connection) -> None:
    """Overlapping studies, duplicates, new versions and moves from four connections, each in another order."""
    failures: list[BaseException] = []

    def work(worker: int) -> None:
        try:
            with database.connect() as mine:
                for turn in range(12):
                    rows = [make_row(str(n), study=str((n + turn) % 4), content=str(n % 2 and worker)) for n in range(16)]
                    rows += [
                        make_row(f"{worker}{turn}{n}", study=str(n % 4), header={"PatientID": f"P-{n % 3}"}) for n in range(8)
                    ]
                    rows.append(make_row("55", content=f"{worker}{turn}", study_instance_uid=f"{ROOT}.{turn % 4}"))
                    write(mine, rows if worker % 2 else rows[::-1])
        except BaseException as error:
            failures.append(error)

    def write(mine: psycopg.Connection, rows: list[Any]) -> None:
        for _ in range(20):
            try:
                with mine.transaction():
                    index_versions(mine, rows, batch_id=uuid4(), now=NOW)
                return
            except (errors.DeadlockDetected, errors.SerializationFailure):
                continue
        raise AssertionError("no end of deadlocks")

    threads = [threading.Thread(target=work, args=(n,)) for n in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
    assert wrong_counts(connection) == []
    assert Instance.objects.count() > 300
