"""The worked examples, as programs, against programs of others."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from dimse import AcceptedContext, Refused, StoreRequest
from dimse.aio.files import Folder
from dimse.uids import EXPLICIT_VR_LITTLE_ENDIAN
from tests.dimse.archive import MR, dcmqrscp, part10
from tests.dimse.test_peers import dataset_of, program

ROOT = Path(__file__).parents[2]
ENVIRONMENT = {**os.environ, "PYTHONPATH": str(ROOT / "src")}


def test_the_storage_provider_takes_what_storescu_sends(tmp_path: Path) -> None:
    wanted = part10(tmp_path / "in", 5)
    out = tmp_path / "out"
    provider = subprocess.Popen(
        [sys.executable, ROOT / "examples/storage_provider.py", "0", out], env=ENVIRONMENT, stdout=subprocess.PIPE, text=True
    )
    assert provider.stdout is not None
    try:
        port = provider.stdout.readline().split()[-1]
        sent = subprocess.run([program("storescu"), "-xe", "localhost", port, *sorted((tmp_path / "in").iterdir())],
                              capture_output=True, text=True, timeout=20, check=False)  # fmt: skip
        assert sent.returncode == 0, sent.stderr
        assert provider.stdout.readline() == "STORESCU released, 5 instances so far\n"
    finally:
        provider.kill()
        provider.wait()
        provider.stdout.close()
    assert {path.stem: dataset_of(path) for path in out.iterdir()} == wanted
    pydicom = pytest.importorskip("pydicom")
    read = pydicom.dcmread(out / "1.2.1.dcm")
    assert (read.file_meta.MediaStorageSOPClassUID, read.file_meta.TransferSyntaxUID) == (MR, EXPLICIT_VR_LITTLE_ENDIAN)
    assert read.PatientID == "W1"


def test_find_and_fetch_brings_a_study_from_dcmqrscp(tmp_path: Path) -> None:
    wanted = part10(tmp_path / "in", 5)
    with dcmqrscp(tmp_path, tmp_path / "in") as port:
        said = subprocess.run(
            [sys.executable, ROOT / "examples/find_and_fetch.py", "localhost", str(port), "QR", "W1", tmp_path / "out"],
            env=ENVIRONMENT, capture_output=True, text=True, timeout=20, check=False)  # fmt: skip
    assert said.returncode == 0, said.stderr
    assert said.stdout.splitlines()[-1].startswith("5 instances, status 0000")
    assert {path.stem: dataset_of(path) for path in (tmp_path / "out").iterdir()} == wanted


def test_a_folder_writes_whole_files_under_safe_names_only(tmp_path: Path) -> None:
    folder = Folder(tmp_path / "a" / "b")
    context = AcceptedContext(1, MR, EXPLICIT_VR_LITTLE_ENDIAN)
    for name in ("../1.2", "", "/etc/passwd", "1.2/3", "1" * 65):
        with pytest.raises(Refused):
            folder(StoreRequest(1, MR, name), context)
    half = folder(StoreRequest(1, MR, "1.2.3"), context)
    half.write(memoryview(b"1234"))
    assert not (folder.path / "1.2.3.dcm").exists()
    half.abort()
    assert list(folder.path.iterdir()) == []
    for data in (b"one", b"two"):
        sink = folder(StoreRequest(1, MR, "1.2.3"), context)
        sink.write(memoryview(data))
        sink.finish()
    assert [path.read_bytes()[-3:] for path in folder.path.iterdir()] == [b"two"]
    assert folder.count == 2
