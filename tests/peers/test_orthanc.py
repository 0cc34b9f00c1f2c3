"""Orthanc as a destination of a rule, and Orthanc as a sender."""

from __future__ import annotations

import json
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.path.index import assert_nothing_lost, indexed
from tests.support.gantry_process import GantryProcess
from tests.support.part10_files import ROOT

pytestmark = [pytest.mark.peer("Orthanc"), pytest.mark.timeout(180)]


@dataclass
class Orthanc:
    dicom_port: int
    http_port: int

    def call(self, path: str, body: object = None) -> Any:
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(f"http://127.0.0.1:{self.http_port}{path}", data=data)
        with urllib.request.urlopen(request, timeout=60) as response:
            return json.loads(response.read())

    def upload(self, path: Path) -> None:
        request = urllib.request.Request(f"http://127.0.0.1:{self.http_port}/instances", data=path.read_bytes())
        with urllib.request.urlopen(request, timeout=60) as response:
            assert response.status == 200


@pytest.fixture
def orthanc(tmp_path: Path, free_port: Callable[[], int]) -> Iterator[Callable[[int], Orthanc]]:
    started: list[subprocess.Popen[bytes]] = []

    def start(gantry_port: int) -> Orthanc:
        own = Orthanc(free_port(), free_port())
        config = {
            "Name": "peer", "StorageDirectory": str(tmp_path / "orthanc"), "IndexDirectory": str(tmp_path / "orthanc"),
            "DicomPort": own.dicom_port, "HttpPort": own.http_port, "DicomAet": "ORTHANC", "Plugins": [],
            "DicomCheckCalledAet": False, "DicomAlwaysAllowStore": True, "RemoteAccessAllowed": False,
            "DicomModalities": {"gantry": ["GANTRY", "127.0.0.1", gantry_port]},
        }  # fmt: skip
        path = tmp_path / "orthanc.json"
        path.write_text(json.dumps(config))
        process = subprocess.Popen(["Orthanc", str(path)], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        started.append(process)
        deadline = time.monotonic() + 60
        while True:
            try:
                own.call("/system")
                return own
            except (urllib.error.URLError, ConnectionError):
                assert time.monotonic() < deadline
                assert process.poll() is None, "Orthanc ended"
                time.sleep(0.1)

    yield start
    for process in started:
        process.kill()
        process.wait(20)


def test_orthanc_as_destination(
    running_gantry: GantryProcess, orthanc: Callable[[int], Orthanc], make_ct: Callable[..., list[Path]]
) -> None:
    peer = orthanc(running_gantry.dicom_port)
    running_gantry.cli("node", "add", "ORTHANC", f"ORTHANC@127.0.0.1:{peer.dicom_port}")
    running_gantry.cli("node", "echo", "ORTHANC")
    running_gantry.cli("rule", "add", "ct", "--when", "Modality=CT", "--to", "ORTHANC", "--on", "settled")
    files = make_ct(12)
    running_gantry.cli("send", str(files[0].parent), "--to", f"GANTRY@127.0.0.1:{running_gantry.dicom_port}")
    running_gantry.until(lambda: running_gantry.cli("receipt", f"{ROOT}.1", check=False).returncode == 0, 40)
    found = [peer.call(f"/instances/{number}")["MainDicomTags"]["SOPInstanceUID"] for number in peer.call("/instances")]
    assert sorted(found) == sorted(indexed(running_gantry))
    assert len(found) == 12


def test_orthanc_as_sender(
    running_gantry: GantryProcess, orthanc: Callable[[int], Orthanc], make_ct: Callable[..., list[Path]]
) -> None:
    peer = orthanc(running_gantry.dicom_port)
    for path in make_ct(12):
        peer.upload(path)
    done = peer.call("/modalities/gantry/store", peer.call("/instances"))
    assert done["InstancesCount"] == 12
    assert done["FailedInstancesCount"] == 0
    running_gantry.until(lambda: len(indexed(running_gantry)) == 12)
    assert_nothing_lost(running_gantry, indexed(running_gantry))
    assert {row["calling_aet"] for row in _versions(running_gantry)} == {"ORTHANC"}


def _versions(gantry: GantryProcess) -> list[dict[str, str]]:
    from tests.path.index import query

    return [{"calling_aet": row[0]} for row in query(gantry, "select calling_aet from catalogue_version")]
