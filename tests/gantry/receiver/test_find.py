"""C-FIND as provider: a receiver on a real index, asked by DCMTK, by pynetdicom and by our own engine."""

from __future__ import annotations

import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from uuid import uuid4

import psycopg
import pydicom
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pynetdicom import AE, build_context
from tests.gantry.catalogue.conftest import ROOT, make_row
from tests.gantry.receiver.served import Served, serving

from dimse.acceptance import AssociationInfo, PeerAddress
from dimse.blocking import ClientAssociation, connect
from dimse.dictionary import tag_of
from dimse.identifier import Identifier, IdentifierError
from dimse.items import ExtendedNegotiation, UserInformation
from dimse.negotiation import ContextProposal
from dimse.operations import Final, FindRequest, Match
from dimse.pdu import AssociateRequest
from dimse.uids import EXPLICIT_VR_LITTLE_ENDIAN, IMPLICIT_VR_LITTLE_ENDIAN
from gantry.catalogue import index_versions
from gantry.catalogue import query as catalogue_query
from gantry.catalogue.errors import BadQuery
from gantry.dataset.charset import character_set
from gantry.dataset.encode import encode_text
from gantry.receiver.find import decode, find, read_question
from gantry.receiver.index import Index

PATIENT_ROOT, STUDY_ROOT = "1.2.840.10008.5.1.4.1.2.1.1", "1.2.840.10008.5.1.4.1.2.2.1"
NAMES = {"1": "Müller^Jörg", "2": "Yamada^Tarou=山田^太郎=やまだ^たろう", "3": "Doe^John"}


@pytest.fixture
def people(connection: psycopg.Connection) -> None:
    rows = [
        make_row(str(instance), study=study, header={"PatientID": f"P{study}", "PatientName": name, "BitsAllocated": "sixteen"})
        for study, name in NAMES.items()
        for instance in (1, 2)
    ]
    with connection.transaction():
        index_versions(connection, rows, batch_id=uuid4(), now=datetime.now(UTC))


@pytest.fixture
def receiver(people: None, tmp_path: Path) -> Iterator[Served]:
    with serving(tmp_path) as served:
        yield served


def asking(receiver: Served, *classes: str) -> ClientAssociation:
    proposals = [ContextProposal(uid, (EXPLICIT_VR_LITTLE_ENDIAN,)) for uid in classes or (STUDY_ROOT, PATIENT_ROOT)]
    return connect("127.0.0.1", receiver.port, called_aet="GANTRY", calling_aet="TESTS", contexts=proposals, response_timeout=30)


def ask(association: ClientAssociation, sop_class: str = STUDY_ROOT, **keys: Any) -> tuple[list[Identifier], set[int], Final]:
    """The answers, their statuses, and the final one."""
    asked = Identifier(keys).encode(EXPLICIT_VR_LITTLE_ENDIAN, encode=encode_text)
    operation = association.find(asked, sop_class_uid=sop_class)
    heard = list(operation)
    found = [Identifier.parse(one.identifier, EXPLICIT_VR_LITTLE_ENDIAN, decode=decode) for one in heard]
    return found, {one.status for one in heard}, operation.final


def test_findscu(receiver: Served, dcmtk: Callable[[str], str], tmp_path: Path) -> None:
    """All levels of both roots, in the character set of the asker, read by pydicom from what findscu wrote."""

    def asked(root: str, *keys: str) -> list[pydicom.Dataset]:
        folder = tmp_path / str(uuid4())
        folder.mkdir()
        arguments = [part for key in keys for part in ("-k", key)]
        command = [
            dcmtk("findscu"),
            "-v",
            root,
            "-X",
            "-od",
            str(folder),
            *arguments,
            "-aec",
            "GANTRY",
            "127.0.0.1",
            str(receiver.port),
        ]
        done = subprocess.run(command, check=False, capture_output=True, timeout=60)
        assert done.returncode == 0, done.stderr
        assert b"Final Find Response (Success)" in done.stdout + done.stderr
        return [pydicom.dcmread(path, force=True) for path in sorted(folder.iterdir())]

    (study,) = asked("-S", "QueryRetrieveLevel=STUDY", "PatientName=mul*", "StudyInstanceUID", "ModalitiesInStudy",
                     "NumberOfStudyRelatedInstances", "StudyDate=20240101-", "SpecificCharacterSet=ISO_IR 100")  # fmt: skip
    assert (study.SpecificCharacterSet, study.PatientName, study.StudyInstanceUID) == ("ISO_IR 100", "Müller^Jörg", f"{ROOT}.1")
    assert (study.ModalitiesInStudy, study.NumberOfStudyRelatedInstances, study.RetrieveAETitle) == ("CT", 2, "GANTRY")
    patients = asked("-P", "QueryRetrieveLevel=PATIENT", "PatientID=P?", "PatientName", "NumberOfPatientRelatedStudies")
    assert sorted(patient.PatientID for patient in patients) == ["P1", "P2", "P3"]
    assert {str(patient.PatientName) for patient in patients} == set(NAMES.values()), "UTF-8 where it is needed"
    (series,) = asked("-S", "QueryRetrieveLevel=SERIES", f"StudyInstanceUID={ROOT}.3", "SeriesInstanceUID", "Modality")
    assert (series.SeriesInstanceUID, series.Modality) == (f"{ROOT}.3.1", "CT")
    images = asked("-P", "QueryRetrieveLevel=IMAGE", "PatientID=P3", f"StudyInstanceUID={ROOT}.3",
                   f"SeriesInstanceUID={ROOT}.3.1", "SOPInstanceUID", "InstanceNumber", "Rows", "BitsAllocated")  # fmt: skip
    assert [(image.InstanceNumber, image.Rows) for image in images] == [(7, 512), (7, 512)]
    assert asked("-S", "QueryRetrieveLevel=STUDY", "PatientName=nobody") == []


def test_pynetdicom(receiver: Served) -> None:
    ae = AE("ASKER")
    association = ae.associate("127.0.0.1", receiver.port, [build_context(STUDY_ROOT), build_context(PATIENT_ROOT)])
    assert association.is_established
    try:
        keys = pydicom.Dataset()
        keys.QueryRetrieveLevel, keys.PatientName, keys.StudyInstanceUID = "STUDY", "山田*", ""
        keys.SpecificCharacterSet = ["", "ISO 2022 IR 87"]
        (pending, found), (final, _) = list(association.send_c_find(keys, STUDY_ROOT))
        assert (pending.Status, final.Status) == (0xFF00, 0)
        assert found.SpecificCharacterSet == ["", "ISO 2022 IR 87"]
        assert found.PatientName == NAMES["2"]
        keys.ProcedureCodeSequence = []
        assert [status.Status for status, _ in association.send_c_find(keys, STUDY_ROOT)] == [0xFF01, 0]
        assert [status.Status for status, _ in association.send_c_find(keys, PATIENT_ROOT)] == [0xA900]
    finally:
        association.release()


def test_statuses_and_character_sets(receiver: Served) -> None:
    with asking(receiver) as association:
        found, statuses, final = ask(
            association, QueryRetrieveLevel="STUDY", PatientID="P3", InstanceAvailability="", StudyDate=""
        )
        assert (final.status, statuses) == (0, {0xFF00})
        assert dict(found[0]) == {
            "QueryRetrieveLevel": "STUDY", "RetrieveAETitle": "GANTRY", "InstanceAvailability": "ONLINE", "PatientID": "P3",
            "StudyDate": "20240229", "StudyInstanceUID": f"{ROOT}.3",
        }, "no character set without need"  # fmt: skip
        for charset, study, expected in (
            ("ISO_IR 100", "1", "ISO_IR 100"), ("ISO_IR 203", "1", "ISO_IR 203"), ("ISO_IR 100", "2", "ISO_IR 192"),
            ("\\ISO 2022 IR 87", "2", "\\ISO 2022 IR 87"), ("GB18030", "2", "GB18030"),
            ("NONSENSE", "1", "ISO_IR 192"), (None, "1", "ISO_IR 192"), ("ISO_IR 100", "3", ""),
        ):  # fmt: skip
            keys = {"SpecificCharacterSet": charset} if charset else {}
            (one,), _, _ = ask(
                association, QueryRetrieveLevel="STUDY", StudyInstanceUID=f"{ROOT}.{study}", PatientName="", **keys
            )
            value = one.get("SpecificCharacterSet", "")
            assert (value if isinstance(value, str) else "\\".join(map(str, value)), one["PatientName"]) == (
                expected,
                NAMES[study],
            )
        _, statuses, final = ask(association, QueryRetrieveLevel="STUDY", PatientID="P3", PatientWeight="")
        assert (final.status, statuses) == (0, {0xFF01}), "an attribute that the index does not have"
        image = {"StudyInstanceUID": f"{ROOT}.3", "SeriesInstanceUID": f"{ROOT}.3.1"}
        found, _, _ = ask(association, QueryRetrieveLevel="IMAGE", **image, InstanceNumber="", BitsAllocated="")
        assert [one["InstanceNumber"] for one in found] == ["7", "7"]
        assert "BitsAllocated" not in found[0], "what is no number cannot be said"
        for sop_class, keys, tag in (
            (STUDY_ROOT, {"QueryRetrieveLevel": "PATIENT"}, "QueryRetrieveLevel"),
            (STUDY_ROOT, {"PatientID": "P3"}, "QueryRetrieveLevel"),
            (STUDY_ROOT, {"QueryRetrieveLevel": "SERIES"}, "StudyInstanceUID"),
            (PATIENT_ROOT, {"QueryRetrieveLevel": "STUDY", "PatientID": ["P1", "P2"]}, "PatientID"),
            (STUDY_ROOT, {"QueryRetrieveLevel": "STUDY", "StudyDate": "P3-P4"}, "StudyDate"),
        ):
            found, _, final = ask(association, sop_class, **keys)
            assert (found, final.status, final.offending) == ([], 0xA900, (tag_of(tag),))
            assert "P3" not in final.comment
        damaged = association.find(b"\x10\0\x20\0LO\xff\xffP3", sop_class_uid=STUDY_ROOT)
        assert list(damaged) == []
        assert damaged.final.status == 0xC000


def test_cancel_while_the_database_works(receiver: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    original = catalogue_query._select

    def slow(*arguments: Any) -> Any:
        return original(*arguments).extended("AND pg_sleep(20) IS NOT NULL")

    monkeypatch.setattr(catalogue_query, "_select", slow)
    with asking(receiver) as association:
        asked = Identifier.of(QueryRetrieveLevel="STUDY").encode(EXPLICIT_VR_LITTLE_ENDIAN)
        for _ in range(2):
            operation = association.find(asked, sop_class_uid=STUDY_ROOT)
            moments: list[float] = []
            threading.Timer(0.15, lambda at=moments, one=operation: (at.append(time.monotonic()), one.cancel())).start()
            assert list(operation) == []
            assert time.monotonic() - moments[0] < 15, "the statement goes on for 20 s"
            assert operation.final.status == 0xFE00
        monkeypatch.undo()
        found, _, final = ask(association, QueryRetrieveLevel="STUDY", PatientID="P3")
        assert (len(found), final.status) == (1, 0), "the association goes on"


def test_index_away(receiver: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    with asking(receiver) as association:
        monkeypatch.setenv("GANTRY_DATABASE_URL", "postgresql://nobody@127.0.0.1:1/none")
        found, _, final = ask(association, QueryRetrieveLevel="STUDY")
        assert (found, final.status, final.comment) == ([], 0xA700, "index is away")
        monkeypatch.undo()
        assert len(ask(association, QueryRetrieveLevel="STUDY")[0]) == 3


def _association() -> AssociationInfo:
    return AssociationInfo(uuid4(), PeerAddress("127.0.0.1", 1), AssociateRequest("GANTRY", "TESTS", (), UserInformation()), {})


@pytest.mark.parametrize("combined", [True, False])
def test_date_and_time_are_one_moment_where_that_was_negotiated(
    connection: psycopg.Connection, tmp_path: Path, combined: bool
) -> None:
    """From 22:00 on one day to 02:00 on the next: alone, no time is after the one and before the other (PS3.4 C.2.2.2.5.4)."""
    moments = {"4": ("20240131", "2300"), "5": ("20240201", "010000.5"), "6": ("20240131", "1200"), "7": ("20240201", "1200")}
    rows = [
        make_row("1", study=study, header={"PatientID": f"P{study}", "PatientName": "X", "StudyDate": day, "StudyTime": clock})
        for study, (day, clock) in moments.items()
    ]
    with connection.transaction():
        index_versions(connection, rows, batch_id=uuid4(), now=datetime.now(UTC))
    proposals = [ContextProposal(STUDY_ROOT, (EXPLICIT_VR_LITTLE_ENDIAN,))]
    extended = (ExtendedNegotiation(STUDY_ROOT, bytes((0, combined, 1))),)
    with serving(tmp_path) as served, connect(
        "127.0.0.1", served.port, called_aet="GANTRY", calling_aet="TESTS", contexts=proposals, response_timeout=30,
        extended=extended,
    ) as association:  # fmt: skip
        accepted = association.core.accept_pdu
        assert accepted is not None
        assert accepted.user.extended[0].information == bytes((0, combined, 0)), "fuzzy names are not offered"
        keys = {"QueryRetrieveLevel": "STUDY", "PatientID": "", "StudyDate": "20240131-20240201", "StudyTime": "2200-0200"}
        found, _, final = ask(association, **keys)
        assert {one.text("PatientID") for one in found} == ({"P4", "P5"} if combined else set())
        assert final.status == 0


def test_limit_and_foreign_classes(people: None) -> None:
    index = Index()

    def answers(limit: int, sop_class: str = STUDY_ROOT) -> list[Match | Final]:
        asked = Identifier.of(QueryRetrieveLevel="STUDY").encode(IMPLICIT_VR_LITTLE_ENDIAN)
        request = FindRequest(1, sop_class, IMPLICIT_VR_LITTLE_ENDIAN, asked)
        return list(find(index, _association(), request, lambda: False, limit=limit))

    *rows, final = answers(2)
    assert len(rows) == 2
    assert isinstance(final, Final)
    assert final.status == 0xA700
    assert all(isinstance(row, Match) for row in answers(3)), "as many as the limit are all of them"
    (refused,) = answers(0, "1.2.840.10008.5.1.4.31")
    assert isinstance(refused, Final)
    assert refused.status == 0x0122
    index.close()


@given(st.binary(max_size=200), st.sampled_from([IMPLICIT_VR_LITTLE_ENDIAN, EXPLICIT_VR_LITTLE_ENDIAN]))
@settings(max_examples=300, deadline=None)
def test_any_identifier_is_a_question_or_refused(data: bytes, syntax: str) -> None:
    level = Identifier.of(QueryRetrieveLevel="STUDY", StudyDate="20240101").encode(syntax)
    for identifier in (data, level + data):
        try:
            read_question(FindRequest(1, STUDY_ROOT, syntax, identifier))
        except (IdentifierError, BadQuery):
            continue


@pytest.mark.parametrize(
    ("charset", "text"),
    [
        (b"\\ISO 2022 IR 87", NAMES["2"]),
        (b"ISO 2022 IR 13\\ISO 2022 IR 87", "ﾔﾏﾀﾞ^ﾀﾛｳ=山田^太郎=やまだ^たろう"),
        (b"\\ISO 2022 IR 87\\ISO 2022 IR 159", "山田^丂"),
        (b"\\ISO 2022 IR 149", "Hong^Gildong=洪^吉洞=홍^길동"),
        (b"\\ISO 2022 IR 58", "Zhang^XiaoDong=张^小东"),
        (b"ISO 2022 IR 100\\ISO 2022 IR 144\\ISO 2022 IR 126", "Buc^Jérôme=Люк=Διον"),
        (b"ISO_IR 203", "Œuvre€"),
        (b"ISO_IR 192", "山田 Œ"),
    ],
)
def test_encoded_text_is_read_again(charset: bytes, text: str) -> None:
    warnings: list[str] = []
    assert character_set(charset).decode(encode_text(text, charset, True), warnings, person_name=True) == text
    assert warnings == []


@pytest.mark.parametrize(
    ("charset", "text"), [(b"ISO_IR 100", "山"), (b"", "é"), (b"WRONG", "é"), (b"ISO_IR 13", "山"), (b"\\ISO 2022 IR 58", "홍")]
)
def test_what_a_character_set_cannot_say(charset: bytes, text: str) -> None:
    with pytest.raises(UnicodeEncodeError):
        encode_text(text, charset, True)
