"""A workstation's day with a whole instance: turned away, allowed, it finds, fetches, gets and asks for commitment."""

from __future__ import annotations

import socket
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from dimse.blocking import connect
from dimse.commands import CommandField
from dimse.identifier import Identifier
from dimse.negotiation import STORAGE_COMMITMENT, STORAGE_COMMITMENT_INSTANCE, ContextProposal
from dimse.operations import NormalisedAnswer, NormalisedRequest
from tests.path.index import indexed
from tests.support.certificates import Authority
from tests.support.gantry_process import GantryProcess
from tests.support.part10_files import CT_IMAGE_STORAGE, EXPLICIT_LITTLE_ENDIAN, ROOT, dataset_of


def run(*words: object) -> subprocess.CompletedProcess[str]:
    return subprocess.run([str(word) for word in words], capture_output=True, text=True, check=False, timeout=60)


def listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


@pytest.mark.peer("echoscu", "storescu", "findscu", "movescu", "storescp")
@pytest.mark.timeout(120)
def test_a_workstation_finds_and_fetches(
    gantry_process: Callable[..., GantryProcess],
    dcmtk: Callable[[str], str],
    make_ct: Callable[..., list[Path]],
    free_port: Callable[[], int],
    tmp_path: Path,
) -> None:
    authority, secure = Authority(tmp_path / "ca"), free_port()
    ours = authority.issue("gantry")
    gantry = gantry_process(
        settle_quiet_seconds=0.5, receivers=1, unknown_callers="refuse", dicom_tls_address=f"127.0.0.1:{secure}",
        dicom_tls_certificate=ours.certificate, dicom_tls_key=ours.key, dicom_tls_authorities=authority.certificate,
    )  # fmt: skip
    gantry.start()
    files = make_ct(12)
    sent = {dataset_of(path) for path in files}
    address = ("127.0.0.1", gantry.dicom_port)
    # It is a stranger; one command lets it in.
    turned_away = run(dcmtk("echoscu"), "-aet", "WORKST", *address)
    assert "Calling AE Title Not Recognized" in turned_away.stdout + turned_away.stderr
    gantry.until(lambda: [one["aet"] for one in gantry.json("caller", "refused")] == ["WORKST"])
    gantry.cli("caller", "allow", "WORKST", "--host", "127.0.0.1", "--may", "echo,store,find,get,move,commit")
    gantry.until(lambda: run(dcmtk("echoscu"), "-aet", "WORKST", *address).returncode == 0)
    theirs = authority.issue("workstation")
    tls = ("+tls", theirs.key, theirs.certificate, "+cf", authority.certificate)
    assert run(dcmtk("echoscu"), *tls, "-aet", "WORKST", "127.0.0.1", secure).returncode == 0
    assert run(dcmtk("echoscu"), "-aet", "WORKST", "127.0.0.1", secure).returncode != 0
    got = tmp_path / "got"
    got.mkdir()
    port = free_port()
    gantry.cli("node", "add", "workstation", f"WORKST@127.0.0.1:{port}")
    assert run(dcmtk("storescu"), "-aet", "WORKST", "+sd", *address, files[0].parent).returncode == 0
    gantry.until(lambda: len(indexed(gantry)) == 12)
    study = f"{ROOT}.1"
    found = run(dcmtk("findscu"), "-aet", "WORKST", "-S", "-k", "QueryRetrieveLevel=STUDY", "-k", "StudyInstanceUID", "-k",
                "NumberOfStudyRelatedInstances", *address)  # fmt: skip
    assert study in found.stdout + found.stderr
    storescp = subprocess.Popen(
        [dcmtk("storescp"), "+B", "-od", str(got), "-aet", "WORKST", str(port)],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        gantry.until(lambda: listens(port))
        moved = run(dcmtk("movescu"), "-aet", "WORKST", "-aem", "WORKST", "-S", "-k", "QueryRetrieveLevel=STUDY", "-k",
                    f"StudyInstanceUID={study}", *address)  # fmt: skip
    finally:
        storescp.terminate()
        storescp.wait(30)
    assert moved.returncode == 0, moved.stderr
    assert {dataset_of(path) for path in got.iterdir()} == sent
    refused = run(dcmtk("movescu"), "-aet", "WORKST", "-aem", "NOBODY", "-S", "-k", "QueryRetrieveLevel=STUDY", "-k",
                  f"StudyInstanceUID={study}", *address)  # fmt: skip
    assert "Refused: MoveDestinationUnknown" in refused.stdout + refused.stderr
    _commit(gantry.dicom_port, sorted(indexed(gantry)))


def _commit(port: int, uids: list[str]) -> None:
    items = [Identifier.of(ReferencedSOPClassUID=CT_IMAGE_STORAGE, ReferencedSOPInstanceUID=uid) for uid in uids]
    data = Identifier.of(TransactionUID="1.2.3", ReferencedSOPSequence=items).encode(EXPLICIT_LITTLE_ENDIAN)
    asked = NormalisedRequest(
        CommandField.N_ACTION_RQ, 0, STORAGE_COMMITMENT, STORAGE_COMMITMENT_INSTANCE, EXPLICIT_LITTLE_ENDIAN, 1, data=data
    )
    with connect(
        "127.0.0.1", port, called_aet="GANTRY", calling_aet="WORKST", connect_timeout=30, response_timeout=60,
        contexts=[ContextProposal(STORAGE_COMMITMENT, (EXPLICIT_LITTLE_ENDIAN,))],
    ) as association:  # fmt: skip
        assert association.normalised(asked).status == 0
        report = association.await_report(60, lambda _: NormalisedAnswer())
    assert report is not None
    assert report.type_id == 1
