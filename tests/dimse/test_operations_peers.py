"""DCMTK and pynetdicom ask us, and we ask DCMTK: C-FIND, C-GET, C-MOVE, storage commitment."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from dimse import ContextProposal, Final, MoveRequest, SubOperations
from dimse.identifier import Identifier
from dimse.negotiation import STORAGE_COMMITMENT, STORAGE_COMMITMENT_INSTANCE, STUDY_ROOT_FIND, STUDY_ROOT_GET, STUDY_ROOT_MOVE
from dimse.retrieval import failed_list
from dimse.uids import CT_IMAGE_STORAGE, EXPLICIT_VR_LITTLE_ENDIAN, IMPLICIT_VR_LITTLE_ENDIAN
from tests.dimse.archive import MR, Archive, Folder, commitment, dcmqrscp, endless, join, numbered, outgoing, part10, serving
from tests.dimse.test_peers import dataset_of, program


def test_findscu_asks_us(tmp_path: Path) -> None:
    archive = Archive(matches=numbered(4))
    with serving(archive) as port:
        command = [program("findscu"), "-S", "-k", "QueryRetrieveLevel=STUDY", "-k", "StudyInstanceUID", "127.0.0.1", str(port)]
        done = subprocess.run([*command, "-X", "-od", str(tmp_path)], check=False, capture_output=True, text=True, timeout=20)
        assert done.returncode == 0, done.stderr
        assert len(list(tmp_path.glob("rsp*.dcm"))) == 4
        cancelled = subprocess.run([*command, "-v", "--cancel", "2"], check=False, capture_output=True, text=True, timeout=20)
        assert cancelled.returncode == 0, cancelled.stderr
    assert archive.ended == ["released", "released"]


def test_getscu_fetches_from_us(tmp_path: Path) -> None:
    wanted = part10(tmp_path / "in", 5)
    archive = Archive(instances=[outgoing(uid, data, sop_class=MR) for uid, data in wanted.items()])
    out = tmp_path / "out"
    out.mkdir()
    with serving(archive) as port:
        command = [program("getscu"), "-S", "-k", "QueryRetrieveLevel=STUDY", "-k", "StudyInstanceUID=1.2.3", "-od", str(out)]
        done = subprocess.run([*command, "127.0.0.1", str(port)], check=False, capture_output=True, text=True, timeout=20)
        assert done.returncode == 0, done.stderr
    assert sorted(dataset_of(path) for path in out.iterdir()) == sorted(wanted.values())
    assert archive.ended == ["released"]


def test_movescu_hears_our_counts() -> None:
    def moving(request: MoveRequest, cancelled: Callable[[], bool]) -> Iterator[SubOperations | Final]:
        yield SubOperations(1, 1)
        data = failed_list(["1.2.77"], request.transfer_syntax_uid)
        yield Final(0xB000, "one failed", data=data, counts=SubOperations(0, 1, 1, 0))

    archive = Archive(moves=moving)
    with serving(archive) as port:
        command = [program("movescu"), "-d", "-S", "-k", "QueryRetrieveLevel=STUDY", "-k", "StudyInstanceUID=1.2.3"]
        done = subprocess.run(
            [*command, "-aem", "THERE", "127.0.0.1", str(port)], check=False, capture_output=True, text=True, timeout=20
        )
    said = done.stdout + done.stderr
    assert "0xb000" in said.lower(), said
    assert "1.2.77" in said
    assert archive.asked[0].destination == "THERE"  # type: ignore[attr-defined]


def test_we_ask_and_fetch_from_dcmqrscp(tmp_path: Path) -> None:
    wanted = part10(tmp_path / "in", 6)
    contexts = (
        ContextProposal(STUDY_ROOT_FIND),
        ContextProposal(STUDY_ROOT_GET),
        ContextProposal(STUDY_ROOT_MOVE),
        ContextProposal(MR, (EXPLICIT_VR_LITTLE_ENDIAN,), scu=True, scp=True),
    )
    folder = Folder()
    with dcmqrscp(tmp_path, tmp_path / "in") as port, join(port, called_aet="QR", contexts=contexts) as association:
        ask = Identifier.of(QueryRetrieveLevel="STUDY", StudyInstanceUID="", PatientID="W1")
        operation = association.find(ask.encode(IMPLICIT_VR_LITTLE_ENDIAN), sop_class_uid=STUDY_ROOT_FIND)
        found = [Identifier.parse(said.identifier, IMPLICIT_VR_LITTLE_ENDIAN)["StudyInstanceUID"] for said in operation]
        assert (found, operation.final.status) == (["1.2.3"], 0)
        one = Identifier.of(QueryRetrieveLevel="STUDY", StudyInstanceUID="1.2.3").encode(IMPLICIT_VR_LITTLE_ENDIAN)
        getting = association.get(one, sop_class_uid=STUDY_ROOT_GET, store=folder)
        final = getting.finish()
        assert final.status == 0
        assert final.counts is not None
        assert final.counts.completed == 6
        assert folder.data == wanted
        moved = association.move(one, sop_class_uid=STUDY_ROOT_MOVE, destination="NOWHERE").finish()
        assert moved.status == 0xA801


def test_pynetdicom_asks_fetches_and_has_us_commit() -> None:
    """Every service on one association, the report of the commitment too; then a cancel."""
    pynetdicom = pytest.importorskip("pynetdicom")
    pydicom = pytest.importorskip("pydicom")
    reported: list[int] = []
    stored: list[str] = []

    def on_report(event: Any) -> tuple[int, None]:
        reported.append(event.event_type)
        return 0x0000, None

    def on_store(event: Any) -> int:
        stored.append(str(event.request.AffectedSOPInstanceUID))
        return 0x0000

    outcome: list[object] = []
    data = Identifier.of(SOPInstanceUID="1.2.1", PatientName="A").encode(EXPLICIT_VR_LITTLE_ENDIAN)
    archive = Archive(
        matches=numbered(3),
        instances=[outgoing("1.2.1", data), outgoing("1.2.2", data, sop_class=MR)],
        moves=lambda request, cancelled: iter([SubOperations(1, 0), Final(0, counts=SubOperations(0, 1))]),
        answer=commitment(outcome, data=Identifier.of(TransactionUID="1.2.9").encode(IMPLICIT_VR_LITTLE_ENDIAN)),
    )
    entity = pynetdicom.AE("PYNETDICOM")
    for uid in (STUDY_ROOT_FIND, STUDY_ROOT_GET, STUDY_ROOT_MOVE, STORAGE_COMMITMENT):
        entity.add_requested_context(uid, IMPLICIT_VR_LITTLE_ENDIAN)
    entity.add_requested_context(CT_IMAGE_STORAGE, EXPLICIT_VR_LITTLE_ENDIAN)
    role = pynetdicom.build_role(CT_IMAGE_STORAGE, scp_role=True)
    listening = [(pynetdicom.evt.EVT_N_EVENT_REPORT, on_report), (pynetdicom.evt.EVT_C_STORE, on_store)]
    query = pydicom.Dataset()
    query.QueryRetrieveLevel, query.StudyInstanceUID = "STUDY", "1.2.3"
    with serving(archive) as port:
        association = entity.associate("127.0.0.1", port, ext_neg=[role], evt_handlers=listening)
        assert association.is_established
        found = [(status.Status, answer) for status, answer in association.send_c_find(query, STUDY_ROOT_FIND)]
        assert [status for status, _ in found] == [0xFF00, 0xFF01, 0xFF00, 0]
        assert [answer.StudyInstanceUID for _, answer in found[:3]] == ["1.2.0", "1.2.1", "1.2.2"]
        *_, (got, failed) = association.send_c_get(query, STUDY_ROOT_GET)
        assert (got.Status, got.NumberOfCompletedSuboperations, got.NumberOfFailedSuboperations) == (0xB000, 1, 1)
        assert failed.FailedSOPInstanceUIDList == "1.2.2"
        assert stored == ["1.2.1"]
        *_, (moved, _) = association.send_c_move(query, "THERE", STUDY_ROOT_MOVE)
        assert (moved.Status, moved.NumberOfCompletedSuboperations) == (0, 1)
        action = pydicom.Dataset()
        action.TransactionUID = "1.2.9"
        acted, _ = association.send_n_action(action, 1, STORAGE_COMMITMENT, STORAGE_COMMITMENT_INSTANCE)
        assert acted.Status == 0
        deadline = time.monotonic() + 5
        while len(outcome) < 2 and time.monotonic() < deadline:
            time.sleep(0.01)
        assert (reported, outcome) == ([1, 2], [0, 0])
        archive.matches = endless
        answers = association.send_c_find(query, STUDY_ROOT_FIND, msg_id=77)
        next(answers)
        association.send_c_cancel(77, query_model=STUDY_ROOT_FIND)
        *_, (last, _) = answers
        assert last.Status == 0xFE00
        association.release()
    assert archive.ended == ["released"]
