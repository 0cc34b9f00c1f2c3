"""Gantry as user of other nodes: find, fetch, probe and commit against DCMTK's dcmqrscp, Orthanc and pynetdicom's qrscp."""

from __future__ import annotations

import asyncio
import json
import os
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pydicom
import pytest

from gantry.nodes.address import DimseAddress
from gantry.nodes.echo import echo
from gantry.nodes.errors import BadQuery, QueryFailed
from gantry.nodes.fetch import FetchResult, Patience, fetch
from gantry.nodes.find import Found, find
from gantry.nodes.into import IntoFolder
from gantry.nodes.items import SendTarget
from gantry.nodes.probe import probe
from tests.path.index import indexed, query
from tests.support import peers
from tests.support.gantry_process import GantryProcess
from tests.support.part10_files import ROOT, write_series

_IN_CI = os.environ.get("GANTRY_CI", "") == "1"
STUDY, OTHER = f"{ROOT}.1", f"{ROOT}.2"


@dataclass(frozen=True)
class Peer:
    """A source with two studies: STUDY of two series (4 and 3 instances) of Müller, OTHER with one MR of Ömer."""

    kind: str
    target: SendTarget
    files: dict[str, Path]


def _port() -> int:
    with socket.socket() as probing:
        probing.bind(("127.0.0.1", 0))
        return int(probing.getsockname()[1])


def _files(folder: Path) -> dict[str, Path]:
    made = [
        *write_series(folder / "a", 4, patient_name="Müller^Jörg"),
        *write_series(folder / "b", 3, series=f"{STUDY}.2", patient_name="Müller^Jörg"),
        *write_series(
            folder / "c", 1, study=OTHER, series=f"{OTHER}.1", modality="MR", sop_class="1.2.840.10008.5.1.4.1.1.4",
            patient_id="TEST-2", patient_name="Ömer^Ada",
        ),
    ]  # fmt: skip
    uids = [f"{STUDY}.1.{n}" for n in range(1, 5)] + [f"{STUDY}.2.{n}" for n in range(1, 4)] + [f"{OTHER}.1.1"]
    return dict(zip(uids, made, strict=True))


@contextmanager
def _running(command: list[str], target: SendTarget, folder: Path) -> Iterator[None]:
    with open(folder / "output", "wb") as output:
        process = subprocess.Popen(command, stdout=output, stderr=output, cwd=folder)
    try:
        deadline = time.monotonic() + 60
        while not echo(target).ok:
            assert process.poll() is None, (folder / "output").read_text()
            assert time.monotonic() < deadline, (folder / "output").read_text()
            time.sleep(0.05)
        yield
    finally:
        process.terminate()
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait(10)


def _dcmqrscp(folder: Path, move_port: int) -> tuple[list[str], SendTarget]:
    program = peers.find_dcmtk("dcmqrscp") or peers.missing("DCMTK's dcmqrscp", in_ci=_IN_CI)
    port = _port()
    (folder / "db").mkdir()
    (folder / "dcmqrscp.cfg").write_text(
        f"NetworkTCPPort = {port}\nMaxPDUSize = 131072\nMaxAssociations = 16\n"
        f"HostTable BEGIN\ngantry = (GANTRY, 127.0.0.1, {move_port})\nHostTable END\n"
        "VendorTable BEGIN\nVendorTable END\n"
        f"AETable BEGIN\nSOURCE {folder}/db RW (100, 1024mb) ANY\nAETable END\n"
    )
    return [program, "-c", str(folder / "dcmqrscp.cfg")], SendTarget(DimseAddress("SOURCE", "127.0.0.1", port), "GANTRY")


def _orthanc(folder: Path, move_port: int) -> tuple[list[str], SendTarget]:
    import shutil

    program = shutil.which("Orthanc") or peers.missing("Orthanc", in_ci=_IN_CI)
    port = _port()
    config = {
        "Name": "peer", "StorageDirectory": str(folder / "db"), "IndexDirectory": str(folder / "db"), "DicomPort": port,
        "HttpServerEnabled": False, "DicomAet": "SOURCE", "Plugins": [], "DicomCheckCalledAet": False,
        "DicomAlwaysAllowEcho": True, "DicomAlwaysAllowStore": True, "DicomAlwaysAllowFind": True, "DicomAlwaysAllowGet": True,
        "DicomAlwaysAllowMove": True, "DefaultEncoding": "Utf8", "OverwriteInstances": False,
        "DicomModalities": {"gantry": ["GANTRY", "127.0.0.1", move_port]},
    }  # fmt: skip
    (folder / "orthanc.json").write_text(json.dumps(config))
    return [program, str(folder / "orthanc.json")], SendTarget(DimseAddress("SOURCE", "127.0.0.1", port), "GANTRY")


def _qrscp(folder: Path, move_port: int) -> tuple[list[str], SendTarget]:
    pytest.importorskip("sqlalchemy")
    port = _port()
    (folder / "qrscp.ini").write_text(
        "[DEFAULT]\nae_title: SOURCE\n"
        f"port: {port}\nmax_pdu: 16382\nacse_timeout: 30\ndimse_timeout: 30\nnetwork_timeout: 30\nbind_address: 127.0.0.1\n"
        f"instance_location: {folder}/db\ndatabase_location: {folder}/instances.sqlite\n"
        f"[GANTRY]\naddress: 127.0.0.1\nport: {move_port}\n"
    )
    command = [sys.executable, "-m", "pynetdicom", "qrscp", "-c", str(folder / "qrscp.ini")]
    return command, SendTarget(DimseAddress("SOURCE", "127.0.0.1", port), "GANTRY")


_KINDS: dict[str, Callable[[Path, int], tuple[list[str], SendTarget]]] = {
    "dcmqrscp": _dcmqrscp, "orthanc": _orthanc, "qrscp": _qrscp,
}  # fmt: skip


@pytest.fixture(scope="module", params=list(_KINDS))
def peer(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, shared_gantry: GantryProcess
) -> Iterator[Peer]:
    from gantry.transfers.send_paths import send_paths

    folder = tmp_path_factory.mktemp(request.param)
    command, target = _KINDS[request.param](folder, shared_gantry.dicom_port)
    files = _files(folder / "files")
    with _running(command, target, folder):
        outcomes: list[object] = []
        send_paths(list(files.values()), target, outcomes.append, associations=1)  # dcmqrscp loses rows of its index otherwise
        assert [getattr(outcome, "outcome", "") for outcome in outcomes] == ["confirmed"] * len(files), outcomes
        yield Peer(request.param, target, files)


def ask(peer: Peer, level: str, seen: Found | None = None, **keys: str) -> list[dict[str, str | list[str]]]:
    async def run() -> list[dict[str, str | list[str]]]:
        return [answer async for answer in find(peer.target, level, keys, seen=seen, deadline=20)]

    return asyncio.run(run())


def test_find_studies(peer: Peer) -> None:
    assert {answer["StudyInstanceUID"] for answer in ask(peer, "study")} == {STUDY, OTHER}
    [one] = ask(peer, "study", PatientID="TEST-1")
    assert one["StudyInstanceUID"] == STUDY
    assert one["PatientName"] == "Müller^Jörg"
    assert [answer["StudyInstanceUID"] for answer in ask(peer, "study", PatientName="Mü*")] == [STUDY]
    assert len(ask(peer, "study", StudyDate="20240201-20240301")) == 2
    assert ask(peer, "study", StudyDate="20240301-") == []
    assert [answer["StudyInstanceUID"] for answer in ask(peer, "study", ModalitiesInStudy="MR")] == [OTHER]
    assert [answer["PatientID"] for answer in ask(peer, "patient", PatientID="TEST-2")] == ["TEST-2"]


def test_find_below_a_study(peer: Peer) -> None:
    assert {answer["SeriesInstanceUID"] for answer in ask(peer, "series", StudyInstanceUID=STUDY)} == {f"{STUDY}.1", f"{STUDY}.2"}
    assert len(ask(peer, "image", StudyInstanceUID=STUDY)) == 7
    # Keys of the patient lead down to the instances.
    found = ask(peer, "image", PatientID="TEST-2")
    assert [(answer["SOPInstanceUID"], answer["StudyInstanceUID"]) for answer in found] == [(f"{OTHER}.1.1", OTHER)]
    with pytest.raises(BadQuery):
        ask(peer, "image")


def test_find_stops_when_it_has_enough(peer: Peer) -> None:
    async def run() -> int:
        return len([answer async for answer in find(peer.target, "study", {}, limit=1)])

    assert asyncio.run(run()) == 1


def run_fetch(peer: Peer, folder: Path, *uids: str, **options: object) -> FetchResult:
    into = IntoFolder(folder)
    return asyncio.run(fetch(peer.target, uids, into, patience=Patience(10, 30), **options))  # type: ignore[arg-type]


def data_of(path: Path) -> bytes:
    from gantry.dataset import read_part10

    raw = path.read_bytes()
    return raw[read_part10(memoryview(raw), total=len(raw)).dataset_offset :]


def test_fetch_into_a_folder(peer: Peer, tmp_path: Path) -> None:
    result = run_fetch(peer, tmp_path / "out", STUDY)
    assert result.ok, result
    assert (result.announced, result.received, result.present, result.how) == (7, 7, 0, ["get"])
    for uid, path in peer.files.items():
        if uid.startswith(STUDY):
            there = tmp_path / "out" / STUDY / uid.rpartition(".")[0] / f"{uid}.dcm"
            if peer.kind == "qrscp":  # it decodes and encodes what it sends
                assert pydicom.dcmread(there) == pydicom.dcmread(path)
            else:
                assert data_of(there) == data_of(path)
    assert not list((tmp_path / "out").glob(".*"))


def test_what_is_here_is_not_fetched_again(peer: Peer, tmp_path: Path) -> None:
    assert run_fetch(peer, tmp_path / "out", f"{STUDY}/{STUDY}.2").received == 3
    there = tmp_path / "out" / STUDY / f"{STUDY}.2" / f"{STUDY}.2.2.dcm"
    there.unlink()
    again = run_fetch(peer, tmp_path / "out", STUDY)
    assert again.ok, again
    assert (again.announced, again.received, again.present) == (7, 5, 2)
    assert there.exists()
    whole = run_fetch(peer, tmp_path / "out", STUDY)
    assert (whole.received, whole.present, whole.how, whole.ok) == (0, 7, [], True)


def test_other_bytes_are_not_overwritten(peer: Peer, tmp_path: Path) -> None:
    place = tmp_path / "out" / OTHER / f"{OTHER}.1"
    place.mkdir(parents=True)
    (place / f"{OTHER}.1.1.dcm").mkdir()  # in the way, and no file
    result = run_fetch(peer, tmp_path / "out", OTHER)
    assert not result.ok
    assert result.missing == [f"{OTHER}.1.1"]
    assert result.refused


def test_what_the_node_does_not_have(peer: Peer, tmp_path: Path) -> None:
    result = run_fetch(peer, tmp_path / "out", f"{ROOT}.404")
    assert not result.ok
    assert "nothing of" in result.error


def test_a_move_to_nobody(peer: Peer, tmp_path: Path) -> None:
    began = time.monotonic()
    result = run_fetch(peer, tmp_path / "out", OTHER, how="move", destination="NOBODY")
    assert not result.ok
    assert result.missing == [f"{OTHER}.1.1"]
    assert "refused the C-MOVE" in result.error
    assert time.monotonic() - began < 10, "it did not wait for what will not come"


def test_probe(peer: Peer) -> None:
    found = probe(peer.target)
    assert not found.error, found
    assert {"echo", "find (study root)", "get (study root)", "move (study root)"} <= set(found.services)
    assert "1.2.840.10008.5.1.4.1.1.2" in found.storage
    assert "1.2.840.10008.1.2.1" in found.syntaxes["1.2.840.10008.5.1.4.1.1.2"]
    assert "PatientID" in found.keys_honoured
    assert "unique-key-ignored" not in found.quirks


def test_fetch_by_move_into_the_home(peer: Peer, shared_gantry: GantryProcess) -> None:
    shared_gantry.cli("node", "add", peer.kind, str(peer.target.address))
    series = f"{STUDY}.{1 + list(_KINDS).index(peer.kind) % 2}"
    known = set(indexed(shared_gantry))
    wanted = {uid for uid in peer.files if uid.startswith(f"{series}.")}
    result = shared_gantry.json("fetch", peer.kind, f"{STUDY}/{series}", "--how", "move")
    assert (result["ok"], result["announced"], result["present"]) == (True, len(wanted), len(wanted & known)), result
    assert result["received"] == len(wanted - known)
    assert wanted <= set(indexed(shared_gantry))
    # They name who asked for the move, and in which message (PS3.7 9.3.1.1).
    rows = query(
        shared_gantry,
        "SELECT DISTINCT v.move_originator_aet, v.move_originator_id IS NOT NULL FROM catalogue_version v"
        " JOIN catalogue_instance i ON i.id = v.instance_id WHERE i.sop_instance_uid = ANY(%s)",
        sorted(wanted - known),
    )
    assert rows == ([("GANTRY", True)] if wanted - known else [])
    assert query(shared_gantry, "SELECT count(*) FROM catalogue_awaitedmove") == [(0,)], "nothing is awaited any more"


def test_the_commands(shared_gantry: GantryProcess, tmp_path: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    """find, fetch by C-GET into the home, again, what is not there: as a person types them; and over REST."""
    folder = tmp_path_factory.mktemp("source")
    command, target = _dcmqrscp(folder, shared_gantry.dicom_port)
    files = write_series(folder / "files", 3, study=f"{ROOT}.5", series=f"{ROOT}.5.1", patient_id="TEST-5")
    with _running(command, target, folder):
        from gantry.transfers.send_paths import send_paths

        send_paths(files, target, lambda outcome: None, associations=1)
        shared_gantry.cli("node", "add", "source", str(target.address))
        found = shared_gantry.json("find", "source", "PatientID=TEST-5", "--limit", "5")
        assert [one["StudyInstanceUID"] for one in found] == [f"{ROOT}.5"]
        assert "TEST-5" in shared_gantry.cli("find", "source", "--level", "patient", "PatientID=TEST-5").stdout
        got = shared_gantry.json("fetch", "source", f"{ROOT}.5/{ROOT}.5.1/{ROOT}.5.1.1")
        assert (got["ok"], got["announced"], got["received"], got["how"]) == (True, 1, 1, ["get"])
        missing = shared_gantry.cli("fetch", "source", f"{ROOT}.404", "--to", str(tmp_path), check=False)
        assert missing.returncode == 1
        assert "nothing of" in missing.stderr
        over_rest(shared_gantry, "source", f"{ROOT}.5")
    assert {f"{ROOT}.5.1.{number}" for number in (1, 2, 3)} <= set(indexed(shared_gantry))


def over_rest(gantry: GantryProcess, name: str, study: str) -> None:
    token = gantry.json("token", "create")["token"]

    def call(path: str, body: object = None) -> Any:
        data = None if body is None else json.dumps(body).encode()
        headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}
        request = urllib.request.Request(f"{gantry.base_url}/api/v1/nodes/{name}{path}", data=data, headers=headers)
        with urllib.request.urlopen(request, timeout=30) as response:
            return json.loads(response.read())

    found = call("/find", {"level": "image", "keys": {"StudyInstanceUID": study}, "limit": 2, "skip": 1})
    assert (len(found["items"]), found["more"], found["dropped"]) == (2, True, 0)
    probed = call("/probe", {})
    assert "echo" in probed["profile"]["services"]
    ordered = call("/fetch", {"uids": [study]})
    assert ordered["state"] == "waiting"
    states = {ordered["state"]}
    gantry.until(lambda: states.add(call(f"/fetch/{ordered['id']}")["state"]) or states & {"done", "failed"})
    ended = call(f"/fetch/{ordered['id']}")
    assert (ended["state"], ended["announced"], ended["received"], ended["present"]) == ("done", 3, 2, 1), ended
    with pytest.raises(urllib.error.HTTPError) as refused:
        call("/find", {"keys": {"NoSuchKey": "1"}})
    assert refused.value.code == 422


@pytest.mark.parametrize("peer", ["orthanc"], indirect=True)
def test_orthanc_commits_itself(peer: Peer, shared_gantry: GantryProcess) -> None:
    """The report comes on an association of Orthanc's own, to our receiver."""
    shared_gantry.cli("node", "add", "committer", str(peer.target.address))
    shared_gantry.cli("fetch", "committer", OTHER)
    result = shared_gantry.json("commit", "committer", OTHER, "--wait-seconds", "10")
    assert (result["ok"], result["committed"], result["failed"]) == (True, [f"{OTHER}.1.1"], {}), result


def test_a_query_that_nobody_answers() -> None:
    nobody = SendTarget(DimseAddress("NOBODY", "127.0.0.1", _port()), "GANTRY", connect_seconds=1)

    async def run() -> None:
        async for _ in find(nobody, "study", {}):
            pass

    with pytest.raises(QueryFailed, match="nothing listens"):
        asyncio.run(run())
