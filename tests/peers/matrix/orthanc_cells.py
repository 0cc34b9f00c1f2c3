"""Orthanc, as source, destination and asker."""

from __future__ import annotations

import json
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

from gantry.nodes import DimseAddress, SendTarget
from gantry.transfers.send_paths import send_paths
from tests.conftest import unused_port
from tests.peers.matrix.asking import check_echo, check_find, check_get, check_move, study_of
from tests.peers.matrix.cells import PLAIN, cell
from tests.peers.matrix.world import CALLER, STUDY, STUDY_PATIENT, Peer, World, background, digests, file_uid, program, wait_for

NAME = "Orthanc"


def call(peer: Peer, path: str, body: object = None, *, raw: bool = False) -> Any:
    """Its REST interface."""
    data = body if isinstance(body, bytes) else None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(f"http://127.0.0.1:{peer.http_port}{path}", data=data)
    with urllib.request.urlopen(request, timeout=20) as response:
        content = response.read()
        return content if raw else json.loads(content)


def orthanc(world: World, tls: bool) -> Peer:
    """Orthanc with a plain or a TLS port; both know Gantry as `gantry` and `gantry-tls`."""
    title = "ORTHANC_TLS" if tls else "ORTHANC"
    own = world.certificates.peer

    def start(folder: Path, port: int) -> Peer:
        http = unused_port()
        config = {
            "Name": "matrix", "StorageDirectory": str(folder / "db"), "IndexDirectory": str(folder / "db"), "Plugins": [],
            "DicomPort": port, "HttpPort": http, "DicomAet": title, "RemoteAccessAllowed": False, "DicomCheckCalledAet": False,
            "DicomAlwaysAllowStore": True, "DicomAlwaysAllowFind": True, "DicomAlwaysAllowGet": True, "DicomAlwaysAllowMove": True,
            "DicomTlsEnabled": tls, "DicomTlsCertificate": str(own.certificate), "DicomTlsPrivateKey": str(own.key),
            "DicomTlsTrustedCertificates": str(world.certificates.authority), "ConcurrentJobs": 2, "JobsHistorySize": 10,
            "DicomScuTimeout": 20, "StorageCommitmentReportsSize": 10,
            "DicomModalities": {
                "gantry": {"AET": "GANTRY", "Host": "127.0.0.1", "Port": world.gantry.dicom_port, "UseDicomTls": False},
                "gantry-tls": {"AET": "GANTRY", "Host": "127.0.0.1", "Port": world.tls_port, "UseDicomTls": True},
            },
        }  # fmt: skip
        path = folder / "orthanc.json"
        path.write_text(json.dumps(config))
        process = background(program("Orthanc"), path, log=folder / "log")
        return Peer(title, port, folder, process, tls, http)

    def ready() -> bool:
        try:
            return bool(call(peer, "/system"))
        except (urllib.error.URLError, ConnectionError, TimeoutError):
            return False

    peer = world.peer(title, start)
    wait_for(ready, "Orthanc answers")
    return peer


def _us(tls: bool) -> str:
    return "/modalities/gantry-tls" if tls else "/modalities/gantry"


def _upload(world: World, peer: Peer) -> tuple[list[Path], list[str]]:
    files = world.series()
    return files, [call(peer, "/instances", path.read_bytes())["ID"] for path in files]


@cell(NAME, "modalities", "C-ECHO", "answers")
def echo(world: World, tls: bool) -> None:
    call(orthanc(world, False), f"{_us(tls)}/echo", {})


@cell(NAME, "modalities", "C-STORE", "answers")
def store(world: World, tls: bool) -> None:
    peer = orthanc(world, False)
    files, names = _upload(world, peer)
    done = call(peer, f"{_us(tls)}/store", names)
    assert (done["InstancesCount"], done["FailedInstancesCount"]) == (2, 0)
    world.indexed(files)


@cell(NAME, "modalities", "C-FIND study root", "answers")
def find(world: World, tls: bool) -> None:
    peer = orthanc(world, False)
    query = call(peer, f"{_us(tls)}/query", {"Level": "Study", "Query": {"PatientID": STUDY_PATIENT, "StudyInstanceUID": ""}})
    answers = call(peer, f"{query['Path']}/answers?expand&simplify")
    assert [answer["StudyInstanceUID"] for answer in answers] == [STUDY]


@cell(NAME, "modalities", "C-MOVE study root", "answers", channels=(PLAIN,))
def move(world: World, tls: bool) -> None:
    peer = orthanc(world, False)
    world.node(peer)
    call(peer, f"{_us(tls)}/move", {"Level": "Study", "Resources": [{"StudyInstanceUID": STUDY}], "TargetAet": peer.aet})
    _has(peer, STUDY, world.held)


def _has(peer: Peer, study: str, files: list[Path]) -> None:
    def there() -> bool:
        found = call(peer, "/tools/find", {"Level": "Instance", "Query": {"StudyInstanceUID": study}})
        return len(found) == len(files)

    wait_for(there, "Orthanc has the instances")
    found = call(peer, "/tools/find", {"Level": "Instance", "Query": {"StudyInstanceUID": study}})
    folder = peer.folder / f"copy-{study}"
    folder.mkdir(exist_ok=True)
    copies = []
    for name in found:
        copies.append(folder / f"{name}.dcm")
        copies[-1].write_bytes(call(peer, f"/instances/{name}/file", raw=True))
    assert digests(copies) == digests(files)


@cell(NAME, "DICOM server", "C-ECHO", "asks")
def ask_echo(world: World, tls: bool) -> None:
    check_echo(world, orthanc(world, tls))


@cell(NAME, "DICOM server", "C-STORE", "asks")
def ask_store(world: World, tls: bool) -> None:
    peer, files = orthanc(world, tls), world.series()
    world.send(peer, files)
    uid = file_uid(files[0]).rsplit(".", 2)[0]
    _has(peer, uid, files)


@cell(NAME, "DICOM server", "C-FIND", "asks")
def ask_find(world: World, tls: bool) -> None:
    check_find(world, orthanc(world, tls))


@cell(NAME, "DICOM server", "C-GET", "asks")
def ask_get(world: World, tls: bool) -> None:
    check_get(world, orthanc(world, tls))


@cell(NAME, "DICOM server", "C-MOVE into Gantry", "asks")
def ask_move(world: World, tls: bool) -> None:
    check_move(world, orthanc(world, tls))


@cell(NAME, "modalities", "storage commitment", "answers")
def commit(world: World, tls: bool) -> None:
    """Orthanc asks Gantry to commit to what it has sent; the report comes on an association of its own."""
    peer = orthanc(world, False)
    world.node(peer)
    files, names = _upload(world, peer)
    call(peer, f"{_us(tls)}/store", names)
    world.indexed(files)
    asked = call(peer, f"{_us(tls)}/storage-commitment", {"Resources": names})
    wait_for(lambda: call(peer, asked["Path"])["Status"] != "Pending", "Gantry has reported")
    report = call(peer, asked["Path"])
    assert report["Status"] == "Success", report
    assert {item["SOPInstanceUID"] for item in report["Success"]} == {file_uid(path) for path in files}


@cell(NAME, "DICOM server", "storage commitment", "asks")
def ask_commit(world: World, tls: bool) -> None:
    peer, files = orthanc(world, tls), world.series()
    itself = SendTarget(DimseAddress("GANTRY", "127.0.0.1", world.gantry.dicom_port), CALLER)
    assert send_paths(files, itself, lambda _: None).ok
    world.indexed(files)
    world.send(peer, files)
    done = world.gantry.cli("commit", world.node(peer), study_of(files[0]), "--wait-seconds", "15")
    assert "2 of 2 instances are committed" in done.stderr
