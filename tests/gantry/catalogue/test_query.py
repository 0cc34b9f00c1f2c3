"""The query of DICOM: matching of PS3.4 C.2.2.2 at every level, on a real index."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Any

import psycopg
import pytest
from django.core.management import call_command
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.gantry.catalogue.conftest import ROOT, make_row

from gantry import database
from gantry.catalogue import IndexedBatch
from gantry.catalogue.attributes import attributes
from gantry.catalogue.conditions import time_range
from gantry.catalogue.errors import BadQuery, LimitReached, QueryStopped
from gantry.catalogue.names import fold, search_groups, search_text
from gantry.catalogue.query import PAGE, Query, matching_instances, pages, run, supported_keys
from gantry.catalogue.stream import KEPT

PEOPLE = {
    "1": {"PatientID": "P-1", "PatientName": "Müller^Jörg^von", "StudyDate": "20240101", "StudyTime": "080000"},
    "2": {"PatientID": "P-2", "PatientName": "MULLER^Anna", "StudyDate": "20240115", "StudyTime": "10:15:30"},
    "3": {
        "PatientID": "P%3",
        "PatientName": "Yamada^Tarou=山田^太郎=やまだ^たろう",
        "StudyDate": "20240131",
        "StudyTime": "235959.5",
    },
    "4": {"PatientID": "p-1", "PatientName": "Łukasz^Ødegård", "StudyDate": "20230601", "StudyTime": "10", "Modality": "MR"},
    "5": {"PatientID": "P_5", "PatientName": "O'Hara", "StudyDate": "", "StudyTime": "", "Modality": "SR"},
}


@pytest.fixture
def people(index: Callable[..., IndexedBatch]) -> None:
    rows = [
        make_row("1", study=study, header={"PatientBirthDate": f"19700{study}01", "AccessionNumber": f"A{study}00", **header})
        for study, header in PEOPLE.items()
    ]
    second = {**PEOPLE["1"], "PatientBirthDate": "19700101", "Modality": "SR", "SeriesNumber": "4"}
    rows += [
        make_row("2", study="1", header={**second, "Modality": "CT", "InstanceNumber": "8", "ImageType": ["DERIVED", "PRIMARY"],
                                         "ContentDate": "2024.01.02", "AcquisitionNumber": "12"}),
        make_row("1", study="1", series="2", sop_class_uid="1.2.840.10008.5.1.4.1.1.88.11", header=second),
    ]  # fmt: skip
    index(*rows)


def studies(connection: psycopg.Connection, **keys: Any) -> str:
    """The numbers of the studies that match, in order."""
    query = Query("STUDY", "STUDY", keys)
    return "".join(sorted(row["StudyInstanceUID"].rsplit(".", 1)[1] for row in run(connection, query)))


MATCHES: list[tuple[dict[str, Any], str]] = [
    ({}, "12345"),
    ({"StudyInstanceUID": ""}, "12345"),
    ({"PatientName": "*"}, "12345"),
    ({"StudyInstanceUID": f"{ROOT}.2"}, "2"),
    ({"StudyInstanceUID": [f"{ROOT}.2", f"{ROOT}.4", "9.9"]}, "24"),
    ({"StudyInstanceUID": f"{ROOT}.*"}, ""),
    ({"StudyInstanceUID": [f"{ROOT}.{number}" for number in range(4, 5000)]}, "45"),
    ({"PatientID": ["P-1"] * 500}, "1"),
    # text: exact, with its case; wildcards; what LIKE would take for one is none
    ({"PatientID": "P-1"}, "1"),
    ({"PatientID": "?-1"}, "14"),
    ({"PatientID": "P*"}, "1235"),
    ({"PatientID": "P%3"}, "3"),
    ({"PatientID": "P_?"}, "5"),
    ({"PatientID": ["P-1", "P-2", "x*"]}, "12"),
    ({"AccessionNumber": "A?00"}, "12345"),
    ({"AccessionNumber": "a100"}, ""),
    ({"PatientID": "\0"}, ""),
    # names
    ({"PatientName": "muller"}, "12"),
    ({"PatientName": "MÜLLER^jorg"}, "1"),
    ({"PatientName": "Mu*"}, "12"),
    ({"PatientName": "m?ller^*"}, "12"),
    ({"PatientName": "^anna"}, "2"),
    ({"PatientName": "mül*^j*"}, "1"),
    ({"PatientName": "Müller^^von"}, "1"),
    ({"PatientName": "mull"}, ""),
    ({"PatientName": "lukasz^odegard"}, "4"),
    ({"PatientName": "o'hara"}, "5"),
    ({"PatientName": "山田*"}, "3"),
    ({"PatientName": "山田^太郎"}, "3"),
    ({"PatientName": "=山?"}, "3"),
    ({"PatientName": "==やまだ"}, "3"),
    ({"PatientName": "yamada*=山田*"}, "3"),
    ({"PatientName": "yamada*=田*"}, ""),
    ({"PatientName": "Yamada^Tarou=山田^太郎=やまだ^たろう"}, "3"),
    ({"PatientName": "\uff39\uff41mada"}, "3"),
    ({"PatientName": "mul%"}, ""),
    # dates, times, ranges
    ({"StudyDate": "20240115"}, "2"),
    ({"StudyDate": "20240101-20240115"}, "12"),
    ({"StudyDate": "-20240101"}, "14"),
    ({"StudyDate": "20240102-"}, "23"),
    ({"StudyDate": "2024.01.15"}, "2"),
    ({"PatientBirthDate": "19700201-19700301"}, "23"),
    ({"StudyTime": "1015"}, "2"),
    ({"StudyTime": "101530"}, "2"),
    ({"StudyTime": "10"}, "24"),
    ({"StudyTime": "1000-1015"}, "24"),
    ({"StudyTime": "-0800"}, "1"),
    ({"StudyTime": "235959-"}, "3"),
    ({"StudyTime": "235959.50-235959.60"}, "3"),
    ({"StudyTime": "235959.6-"}, ""),
    ({"StudyDate": "20240101-20240131", "StudyTime": "0900-1100"}, "2"),
    # modalities and classes of a study
    ({"ModalitiesInStudy": "SR"}, "15"),
    ({"ModalitiesInStudy": ["MR", "SR"]}, "145"),
    ({"ModalitiesInStudy": "?R"}, "145"),
    ({"ModalitiesInStudy": "*"}, "12345"),
    ({"SOPClassesInStudy": "1.2.840.10008.5.1.4.1.1.88.11"}, "1"),
    # keys that are given back only, or that a study does not have, restrict nothing
    ({"NumberOfStudyRelatedSeries": "9"}, "12345"),
    ({"SeriesDescription": "nothing"}, "12345"),
    # all keys must hold
    ({"PatientName": "mul*", "StudyDate": "20240115-"}, "2"),
]


def test_matching(people: None, connection: psycopg.Connection) -> None:
    assert [(keys, studies(connection, **keys)) for keys, _ in MATCHES] == MATCHES


def test_combined_date_and_time(people: None, connection: psycopg.Connection) -> None:
    def moments(dates: str, times: str) -> str:
        query = Query("STUDY", "STUDY", {"StudyDate": dates, "StudyTime": times}, combined=True)
        return "".join(sorted(row["StudyInstanceUID"][-1] for row in run(connection, query)))

    assert moments("20240101-20240131", "0900-1100") == "2", "1 was before the first moment, 3 after the last"
    assert moments("20240101-20240131", "0800-") == "123"
    assert moments("20240115-", "1015-") == "23"
    assert moments("-20240115", "-1014") == "14"


def test_what_a_study_is_answered_with(people: None, connection: psycopg.Connection) -> None:
    wanted = sorted(supported_keys("STUDY"))
    (row,) = run(connection, Query("STUDY", "STUDY", {"StudyInstanceUID": f"{ROOT}.1"}, wanted))
    assert set(row) == set(wanted)
    assert row == {
        **row,
        "PatientName": "Müller^Jörg^von", "PatientBirthDate": "19700101", "StudyDate": "20240101", "StudyTime": "080000",
        "ModalitiesInStudy": ["CT", "SR"], "NumberOfStudyRelatedSeries": "2", "NumberOfStudyRelatedInstances": "3",
        "NumberOfPatientRelatedStudies": "1", "NumberOfPatientRelatedSeries": "2", "NumberOfPatientRelatedInstances": "3",
        "SOPClassesInStudy": ["1.2.840.10008.5.1.4.1.1.2", "1.2.840.10008.5.1.4.1.1.88.11"], "ReferringPhysicianName": "",
    }  # fmt: skip
    (empty,) = run(connection, Query("STUDY", "STUDY", {"StudyInstanceUID": f"{ROOT}.5"}, ["StudyDate"]))
    assert empty == {"StudyInstanceUID": f"{ROOT}.5", "StudyDate": ""}


def test_levels(people: None, connection: psycopg.Connection) -> None:
    patients = list(run(connection, Query("PATIENT", "PATIENT", {"PatientName": "m*"}, ["NumberOfPatientRelatedStudies"])))
    assert sorted(row["PatientID"] for row in patients) == ["P-1", "P-2"]
    study = {"StudyInstanceUID": f"{ROOT}.1"}
    series = list(run(connection, Query("SERIES", "STUDY", {**study, "Modality": "CT"}, ["NumberOfSeriesRelatedInstances"])))
    assert [(row["SeriesInstanceUID"], row["NumberOfSeriesRelatedInstances"]) for row in series] == [(f"{ROOT}.1.1", "2")]
    assert len(list(run(connection, Query("SERIES", "STUDY", {**study, "SeriesNumber": ["04", "x"]})))) == 1
    image = {**study, "SeriesInstanceUID": f"{ROOT}.1.1"}

    def images(**keys: Any) -> list[str]:
        return sorted(row["SOPInstanceUID"][-1] for row in run(connection, Query("IMAGE", "STUDY", {**image, **keys})))

    assert images() == ["1", "2"]
    assert images(InstanceNumber="8") == images(ImageType="PRIM*") == images(ContentDate="20240101-20240103") == ["2"]
    assert images(AcquisitionNumber="12", SOPClassUID="1.2.840.10008.5.1.4.1.1.2") == ["2"]
    assert images(InstanceNumber="99999999999999999999") == images(ContentDate="20250101") == images(Rows="511") == []
    wanted = ["ImageType", "ContentDate", "Rows", "AvailableTransferSyntaxUID", "PatientName", "PatientAge"]
    (row,) = run(connection, Query("IMAGE", "STUDY", {**image, "SOPInstanceUID": f"{ROOT}.1.1.2"}, wanted))
    assert row == {
        "SOPInstanceUID": f"{ROOT}.1.1.2", "StudyInstanceUID": f"{ROOT}.1", "SeriesInstanceUID": f"{ROOT}.1.1",
        "ImageType": ["DERIVED", "PRIMARY"], "ContentDate": "2024.01.02", "Rows": "512",
        "AvailableTransferSyntaxUID": "1.2.840.10008.1.2.1", "PatientName": "Müller^Jörg^von", "PatientAge": "",
    }  # fmt: skip


def test_every_supported_attribute_can_be_asked_for(people: None, connection: psycopg.Connection) -> None:
    """Each statement that can be built is one that PostgreSQL understands."""
    values = {"date": "20240101-", "time": "10-", "number": "1", "header date": "20240101"}
    for root, level in (("PATIENT", "PATIENT"), ("STUDY", "STUDY"), ("STUDY", "SERIES"), ("PATIENT", "IMAGE")):
        for keyword in supported_keys(level):
            for value in [values[kind]] if (kind := attributes()[keyword].kind) in values else ["a", "a?b*", ["a", "b*"]]:
                list(run(connection, Query(level, root, {keyword: value}, [keyword], relational=True)))


REFUSED = [
    (Query("PATIENT", "STUDY", {}), "QueryRetrieveLevel"),
    (Query("STUDY", "PATIENT", {}), "PatientID"),
    (Query("STUDY", "PATIENT", {"PatientID": "P*"}), "PatientID"),
    (Query("SERIES", "STUDY", {}), "StudyInstanceUID"),
    (Query("SERIES", "STUDY", {"StudyInstanceUID": ["1", "2"]}), "StudyInstanceUID"),
    (Query("IMAGE", "STUDY", {"StudyInstanceUID": "1"}), "SeriesInstanceUID"),
    (Query("IMAGE", "PATIENT", {"StudyInstanceUID": "1", "SeriesInstanceUID": "2"}), "PatientID"),
    (Query("STUDY", "STUDY", {"StudyDate": "yesterday"}), "StudyDate"),
    (Query("STUDY", "STUDY", {"StudyDate": "-"}), "StudyDate"),
    (Query("STUDY", "STUDY", {"PatientName": ["a"] * 101}), "PatientName"),
    (Query("STUDY", "STUDY", {"PatientID": ["a*"] * 101}), "PatientID"),
    (Query("STUDY", "STUDY", {"StudyTime": "2500"}), "StudyTime"),
    (Query("STUDY", "STUDY", {"PatientBirthDate": "20240230"}), "PatientBirthDate"),
]


def test_what_is_refused(connection: psycopg.Connection) -> None:
    for query, keyword in REFUSED:
        with pytest.raises(BadQuery) as caught:
            list(run(connection, query))
        assert caught.value.keyword == keyword
        assert "yesterday" not in str(caught.value)


def test_relational(people: None, connection: psycopg.Connection) -> None:
    query = Query("IMAGE", "PATIENT", {"PatientName": "mul*", "Modality": "CT"}, relational=True)
    assert sorted(row["SOPInstanceUID"] for row in run(connection, query)) == [f"{ROOT}.1.1.1", f"{ROOT}.1.1.2", f"{ROOT}.2.1.1"]


def test_retrieve(people: None, connection: psycopg.Connection) -> None:
    query = Query("STUDY", "STUDY", {"StudyInstanceUID": [f"{ROOT}.1", f"{ROOT}.2"]})
    found = matching_instances(connection, query)
    assert [location.sop_instance_uid for location in found] == [
        f"{ROOT}.1.1.1",
        f"{ROOT}.1.1.2",
        f"{ROOT}.1.2.1",
        f"{ROOT}.2.1.1",
    ]
    with pytest.raises(BadQuery):
        matching_instances(connection, Query("SERIES", "STUDY", {"SeriesInstanceUID": "1"}))


@pytest.fixture
def many(connection: psycopg.Connection) -> int:
    """More studies than two pages."""
    count = 2 * PAGE + 50
    connection.execute(
        "INSERT INTO catalogue_patient (patient_id, issuer_of_patient_id, anchor, patient_name, patient_sex, study_count, created_at)"
        " VALUES ('M', '', '', '', '', %s, now())", [count],
    )  # fmt: skip
    connection.execute(
        "INSERT INTO catalogue_study (patient_id, study_instance_uid, study_time, accession_number, study_id, study_description,"
        " referring_physician_name, institution_name, modalities, series_count, instance_count, size_bytes, conflict_count,"
        " first_received_at, last_received_at) SELECT p.id, '1.2.' || n, '', '', '', '', '', '', '{CT}', 1, 1, 1, 0, now(), now()"
        " FROM catalogue_patient p, generate_series(1, %s) AS n WHERE p.patient_id = 'M'", [count],
    )  # fmt: skip
    connection.commit()
    return count


def test_pages_limit_and_a_reader_that_stops(many: int, connection: psycopg.Connection) -> None:
    everything = Query("STUDY", "STUDY", {})
    assert [len(page.rows) for page in pages(connection, everything)] == [PAGE, PAGE, 50]
    assert len({row["StudyInstanceUID"] for row in run(connection, everything)}) == many
    for limit in (1, PAGE - 1, PAGE, PAGE + 1, 2 * PAGE):
        given: list[Any] = []
        with pytest.raises(LimitReached):
            given.extend(run(connection, Query("STUDY", "STUDY", {}, limit=limit)))
        assert len(given) == limit
        assert sum(len(page.rows) for page in pages(connection, Query("STUDY", "STUDY", {}, limit=limit))) == limit
    assert len(list(run(connection, Query("STUDY", "STUDY", {}, limit=many)))) == many
    reader = run(connection, everything)
    next(reader)
    reader.close()  # type: ignore[attr-defined]
    assert len(list(run(connection, everything))) == many, "the cursor of the reader that stopped is gone"
    connection.rollback()


def test_a_reader_that_stops_inside_a_transaction_leaves_it_whole(many: int, connection: psycopg.Connection) -> None:
    connection.execute("CREATE TEMPORARY TABLE kept (n int) ON COMMIT DROP")
    reader = pages(connection, Query("STUDY", "STUDY", {}))
    assert len(next(reader).raw) == PAGE
    reader.close()  # type: ignore[attr-defined]
    assert connection.execute("SELECT count(*) FROM kept").fetchone() == (0,), "the transaction goes on"
    connection.rollback()


def test_plans_are_kept_and_bounded(many: int, connection: psycopg.Connection) -> None:
    with database.connect(autocommit=True) as mine:
        asked = [key for key in sorted(supported_keys("STUDY")) if key != "StudyInstanceUID"]
        for turn in range(2 * KEPT):
            keys = {"StudyInstanceUID": f"1.2.{turn + 1}", **{key: "" for place, key in enumerate(asked) if turn >> place & 1}}
            for _ in range(3):
                assert [row["StudyInstanceUID"] for row in run(mine, Query("STUDY", "STUDY", keys))] == [f"1.2.{turn + 1}"]
        (kept,) = mine.execute("SELECT count(*) FROM pg_prepared_statements WHERE name LIKE 'gantry_find_%'").fetchone() or (0,)
        assert kept == KEPT
        # A name has no plan that suits all: it is planned anew.
        for _ in range(3):
            list(run(mine, Query("STUDY", "STUDY", {"PatientName": "A*"})))
        names = mine.execute("SELECT statement FROM pg_prepared_statements WHERE name LIKE 'gantry_find_%'").fetchall()
        assert not any("LIKE" in text for (text,) in names)


def test_lists_of_awkward_texts(people: None, connection: psycopg.Connection) -> None:
    awkward = ['a"b', "c\\d", "{e,f}", "NULL", "", " ", "g'h", "%(p0)s", "$1", "ü"]
    assert studies(connection, PatientID=awkward) == ""
    assert studies(connection, PatientID=[*awkward, "P-1"]) == "1"


def test_works_on_a_connection_in_autocommit(people: None) -> None:
    with database.connect(autocommit=True) as connection:
        assert studies(connection, PatientID="P-1") == "1"
        assert connection.info.transaction_status == psycopg.pq.TransactionStatus.IDLE


def test_statement_ends_when_nobody_waits(people: None, connection: psycopg.Connection, monkeypatch: pytest.MonkeyPatch) -> None:
    from gantry.catalogue import query as module

    original = module._select

    def slow(*arguments: Any) -> Any:
        return original(*arguments).extended("AND pg_sleep(30) IS NOT NULL")

    monkeypatch.setattr(module, "_select", slow)
    for _ in range(2):
        cancelled = threading.Event()
        moments: list[float] = []
        threading.Timer(0.15, lambda at=moments, event=cancelled: (at.append(time.monotonic()), event.set())).start()
        with pytest.raises(QueryStopped):
            list(run(connection, Query("STUDY", "STUDY", {}), stop=cancelled.is_set))
        assert time.monotonic() - moments[0] < 20, "the statement goes on for 30 s"
    monkeypatch.undo()
    assert studies(connection, PatientID="P-1") == "1", "the connection is as good as before"


def test_database_that_dies_meanwhile(people: None, connection: psycopg.Connection) -> None:
    with database.connect(autocommit=True) as victim:
        reader = pages(victim, Query("STUDY", "STUDY", {}))
        connection.execute("SELECT pg_terminate_backend(%s)", [victim.info.backend_pid])
        with pytest.raises(psycopg.OperationalError):
            list(reader)
    connection.rollback()


@given(
    st.dictionaries(
        st.sampled_from(sorted(supported_keys("IMAGE"))),
        st.one_of(st.text(max_size=12), st.text("*?%_\\^=-.0129", max_size=12), st.lists(st.text(max_size=4), max_size=3)),
        max_size=3,
    )
)
@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_hostile_values_find_something_or_nothing(connection: psycopg.Connection, keys: dict[str, Any]) -> None:
    try:
        list(run(connection, Query("IMAGE", "STUDY", keys, relational=True)))
    except BadQuery:
        return


def test_fold() -> None:
    assert fold("ÅngströmÆØŁß İı") == "angstromaeolss ii"
    assert (fold("が"), fold("ﾔﾏﾀﾞ"), fold("홍"), fold("Йод")) == ("が", "ヤマダ", "홍", "иод")
    assert search_groups(" Doe ^ John^^ = 山 ^= ") == ("doe^john", "山", "")
    assert (search_text("Doe^J"), search_text("")) == ("doe^j==", "")
    assert all(len(group.encode()) <= 1000 for group in search_groups("ﷺ" * 900 + "=" + "x" * 5000))


@given(st.text(max_size=30))
@settings(max_examples=200, deadline=None)
def test_fold_twice_is_fold(text: str) -> None:
    assert fold(fold(text)) == fold(text)


def test_time_ranges() -> None:
    assert time_range("StudyTime", "10") == ("100000", "105959.999999")
    assert time_range("StudyTime", "10:15-") == ("101500", "235960.999999")
    assert time_range("StudyTime", "-101530.5") == ("000000", "101530.599999")


@pytest.mark.django_db(transaction=True)
def test_rows_of_the_former_release_are_filled() -> None:
    call_command("migrate", "catalogue", "0001", verbosity=0)
    try:
        with database.connect() as connection:
            connection.execute(
                "INSERT INTO catalogue_patient (patient_id, issuer_of_patient_id, anchor, patient_name, patient_sex, study_count,"
                " created_at) VALUES ('OLD', '', '', 'Müller^Jörg=山田', '', 1, now())"
            )
            connection.execute(
                "INSERT INTO catalogue_study (patient_id, study_instance_uid, study_time, accession_number, study_id,"
                " study_description, referring_physician_name, institution_name, modalities, series_count, instance_count,"
                " size_bytes, conflict_count, first_received_at, last_received_at) SELECT id, '1.2.3', '', '', '', '', 'Ärztin', '',"
                " '{CT}', 1, 1, 1, 0, now(), now() FROM catalogue_patient"
            )
        call_command("migrate", "catalogue", verbosity=0)
        with database.connect() as connection:
            found = connection.execute(
                "SELECT name_alphabetic, name_ideographic, name_phonetic FROM catalogue_patient"
            ).fetchall()
            assert found == [("muller^jorg", "山田", "")]
            assert studies(connection, ReferringPhysicianName="arztin") == "3"
    finally:
        call_command("migrate", verbosity=0)
