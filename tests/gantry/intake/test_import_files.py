"""Folders in: every byte kept, every file answered, beside a running indexer and without one."""

from __future__ import annotations

import os
import socket
import threading
from collections.abc import Iterable
from pathlib import Path

import psycopg
import pytest
from tests.gantry.intake.conftest import stored_files
from tests.support import part10_files as files

from gantry.catalogue.models import Conflict, Instance, Study, Version
from gantry.intake.import_files import ImportOutcome, import_paths
from gantry.intake.models import QuarantinedObject
from gantry.intake.serve import run_indexer


def outcomes(found: Iterable[ImportOutcome]) -> dict[str, str]:
    return {os.path.basename(one.path): one.outcome for one in found}


@pytest.fixture
def running(home: Path, connection: psycopg.Connection, request: pytest.FixtureRequest) -> Iterable[bool]:
    """With and without another process's indexer."""
    stop = threading.Event()
    thread = threading.Thread(target=run_indexer, args=(home, stop))
    if request.param:
        thread.start()
    yield request.param
    stop.set()
    if request.param:
        thread.join(10)


@pytest.mark.parametrize("running", [False, True], indirect=True, ids=["alone", "beside"])
def test_every_file_is_answered_and_kept_whole(running: bool, home: Path, tmp_path: Path) -> None:
    folder = tmp_path / "in"
    paths = files.write_series(folder, 3)
    copy = folder / "00002-copy.dcm"
    copy.write_bytes(paths[1].read_bytes())
    (folder / "00003-other.dcm").write_bytes(
        files.part10(files.ct_dataset(number=3, fill=5), sop_class=files.CT_IMAGE_STORAGE, instance=f"{files.ROOT}.1.1.3")
    )
    odd = files.part10(files.ct_dataset(number=4), sop_class=files.CT_IMAGE_STORAGE, instance=f"{files.ROOT}.1.1.4")
    (folder / "00004-preamble.dcm").write_bytes(b"MZ" + b"\x90" * 126 + odd[128:] + b"\0" * 7)
    (folder / "00005-bare.dcm").write_bytes(files.ct_dataset(number=5))
    (folder / "00006-no-study.dcm").write_bytes(
        files.part10(files.ct_dataset(number=6, study=""), sop_class=files.CT_IMAGE_STORAGE, instance=f"{files.ROOT}.1.1.6")
    )
    (folder / "notes.txt").write_text("nothing to see\n")
    (folder / "empty.dcm").write_bytes(b"")
    expected = {
        "00001.dcm": "stored", "00002.dcm": "stored", "00002-copy.dcm": "duplicate", "00003.dcm": "stored",
        "00003-other.dcm": "new version", "00004-preamble.dcm": "stored", "00005-bare.dcm": "stored",
        "00006-no-study.dcm": "quarantined", "notes.txt": "skipped", "empty.dcm": "skipped",
    }  # fmt: skip
    # 00002-copy.dcm comes before 00002.dcm: whichever is first is stored.
    expected["00002.dcm"], expected["00002-copy.dcm"] = expected["00002-copy.dcm"], expected["00002.dcm"]
    expected["00003.dcm"], expected["00003-other.dcm"] = expected["00003-other.dcm"], expected["00003.dcm"]
    assert outcomes(import_paths([folder], home=home)) == expected
    kept = {(home / version.file_path).read_bytes() for version in Version.objects.all()}
    wanted = {path.read_bytes() for path in folder.iterdir() if expected[path.name] in {"stored", "new version"}}
    assert kept == wanted, "preamble, group 0002 and what follows the data set included"
    assert {version.origin for version in Version.objects.all()} == {"import"}
    held = QuarantinedObject.objects.get()
    assert (home / held.file_path).read_bytes() == (folder / "00006-no-study.dcm").read_bytes()
    again = outcomes(import_paths([folder], home=home))
    assert {name: outcome for name, outcome in again.items() if name.endswith(".dcm") and name != "empty.dcm"} == {
        name: "quarantined" if "no-study" in name else "duplicate"
        for name in expected
        if name.endswith(".dcm") and name != "empty.dcm"
    }
    assert len(stored_files(home)) == 7


def test_loops_devices_and_missing_paths(home: Path, tmp_path: Path, connection: psycopg.Connection) -> None:
    folder = tmp_path / "in"
    paths = files.write_series(folder / "b", 2)
    files.write_series(folder / "a" / "deep", 1, series="1.2.3")
    (folder / "a" / "loop").symlink_to(folder)
    (folder / "again").symlink_to(folder / "b")
    (folder / "dangling").symlink_to(folder / "nowhere")
    os.mkfifo(folder / "fifo.dcm")
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(os.path.relpath(folder / "socket.dcm"))
    results = list(import_paths([folder, tmp_path / "missing", home, paths[0]], home=home))
    found = {(os.path.basename(one.path), one.outcome) for one in results}
    assert {("fifo.dcm", "skipped"), ("socket.dcm", "skipped"), ("dangling", "failed"), ("missing", "failed")} <= found
    assert [one.outcome for one in results].count("stored") == 3
    assert [one.outcome for one in results].count("duplicate") == 1
    assert len(results) == 8


def test_the_conflict_set(home: Path, tmp_path: Path, connection: psycopg.Connection) -> None:
    """The five files of the shared data's conflict folder, made here."""
    root = files.ROOT

    def write(name: str, number: int, **changes: object) -> Path:
        path = tmp_path / name
        dataset = files.ct_dataset(number=number, **changes)  # type: ignore[arg-type]
        path.write_bytes(files.part10(dataset, sop_class=files.CT_IMAGE_STORAGE, instance=f"{root}.1.1.{number}"))
        return path

    paths = [
        write("a.dcm", 1),
        write("a-copy.dcm", 1),
        write("same-sop-uid-other-pixels.dcm", 1, fill=1),
        write("same-study-other-patientid.dcm", 2, patient_id="TEST-2"),
        write("same-series-other-modality.dcm", 3, modality="MR"),
    ]
    assert outcomes(import_paths(paths, home=home)) == {
        "a.dcm": "stored", "a-copy.dcm": "duplicate", "same-sop-uid-other-pixels.dcm": "new version",
        "same-study-other-patientid.dcm": "stored", "same-series-other-modality.dcm": "stored",
    }  # fmt: skip
    study = Study.objects.get()
    assert (study.patient.patient_id, study.modalities, study.conflict_count, study.instance_count) == (
        "TEST-1",
        ["CT", "MR"],
        2,
        3,
    )
    assert sorted(Conflict.objects.values_list("kind", flat=True)) == ["bytes", "identity"]
    assert Instance.objects.get(sop_instance_uid=f"{root}.1.1.1").version_count == 2


SHARED = Path(__file__).resolve().parents[4] / "shared" / "data" / "synthetic"


@pytest.mark.skipif(not SHARED.exists(), reason="the shared data set is not here")
def test_the_shared_synthetic_files(home: Path, connection: psycopg.Connection) -> None:
    """Each of some hundred strange files gets an answer; what was stored is byte-identical."""
    results = list(import_paths([SHARED], home=home))
    assert len(results) == sum(len(names) for _, _, names in os.walk(SHARED))
    assert {one.outcome for one in results} <= {"stored", "duplicate", "new version", "quarantined", "skipped"}
    stored = {(home / version.file_path).read_bytes() for version in Version.objects.all()}
    wanted = {Path(one.path).read_bytes() for one in results if one.outcome in {"stored", "new version"}}
    assert stored == wanted
    conflict = {os.path.basename(one.path): one.outcome for one in results if os.sep + "conflict" + os.sep in one.path}
    assert sorted(conflict.values()) == ["duplicate", "new version", "stored", "stored", "stored"]


def test_pydicom_s_own_files(home: Path, part10_files: list[Path], connection: psycopg.Connection) -> None:
    results = list(import_paths(part10_files, home=home))
    assert len(results) == len(part10_files)
    assert "failed" not in {one.outcome for one in results}
    stored = {(home / version.file_path).read_bytes() for version in Version.objects.all()}
    assert stored == {Path(one.path).read_bytes() for one in results if one.outcome in {"stored", "new version"}}
    assert len(stored) > 20
