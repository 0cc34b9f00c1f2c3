"""Rules through the whole instance: edited on the way, kept back, in order, drafted, replayed, explained."""

from __future__ import annotations

import subprocess
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path

import pydicom
import pytest

from tests.support.gantry_process import GantryProcess
from tests.support.part10_files import ROOT


@pytest.fixture
def storescp(
    dcmtk: Callable[[str], str], free_port: Callable[[], int], tmp_path: Path
) -> Iterator[Callable[[str], tuple[int, Path]]]:
    """storescp("A") listens; gives its port and where it puts what comes."""
    started: list[subprocess.Popen[bytes]] = []

    def listen(aet: str) -> tuple[int, Path]:
        port, folder = free_port(), tmp_path / aet
        folder.mkdir()
        started.append(subprocess.Popen([dcmtk("storescp"), "-aet", aet, "-od", str(folder), str(port)]))
        return port, folder

    yield listen
    for process in started:
        process.terminate()
        process.wait(60)


@pytest.mark.peer("storescp", "storescu")
@pytest.mark.timeout(180)
def test_rules_from_draft_to_delivery(
    gantry_process: Callable[..., GantryProcess],
    dcmtk: Callable[[str], str],
    make_ct: Callable[..., list[Path]],
    storescp: Callable[[str], tuple[int, Path]],
) -> None:
    gantry = gantry_process(settle_quiet_seconds=0.5, receivers=1, time_zone="Europe/Berlin")
    gantry.start()
    for name in ("A", "B"):
        port, _ = storescp(name)
        gantry.cli("node", "add", name, f"{name}@127.0.0.1:{port}")
    folder = {name: gantry.home.parent / name for name in ("A", "B")}

    def ct(count: int) -> list[Path]:
        uid = f"{ROOT}.{uuid.uuid4().int >> 64}"
        return make_ct(count, study=uid, series=f"{uid}.1")

    def send(files: list[Path], calling: str) -> str:
        done = subprocess.run(
            [dcmtk("storescu"), "-aet", calling, "-aec", "GANTRY", "127.0.0.1", str(gantry.dicom_port), *map(str, files)],
            capture_output=True, check=False, timeout=60,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        return str(pydicom.dcmread(files[0]).StudyInstanceUID)

    def arrived(name: str, count: int) -> bool:
        return len(list(folder[name].iterdir())) == count

    gantry.cli("rule", "add", "scanner", "--to", "A", "--when", "Modality=CT and (CallingAET=CT* or CallingAET=XA*)", "--edit", "-PatientBirthDate", "--edit", "InstitutionName=Käfig", "--edit", '{"op": "replace", "tag": "PatientID", "pattern": "^TEST", "with": "NEW"}')  # fmt: skip
    gantry.cli("rule", "add", "strangers", "--when", "not CallingAET=CT*", "--quarantine", "who is that?")
    first = ct(3)
    study = send(first, "CT1")
    gantry.until(lambda: arrived("A", 3) and {row["status"] for row in gantry.json("deliveries")} == {"confirmed"}, 60)
    for path in sorted(folder["A"].iterdir()):
        got = pydicom.dcmread(path)
        original = next(one for one in map(pydicom.dcmread, first) if one.SOPInstanceUID == got.SOPInstanceUID)
        assert "PatientBirthDate" not in got
        assert got.PatientID == str(original.PatientID).replace("TEST", "NEW")
        assert got.InstitutionName == "Käfig"
        assert got.PixelData == original.PixelData
    (why,) = gantry.json("deliveries", "why", study)
    assert (why["rule_name"], why["conditions"], why["deliveries"]) == ("scanner", ["Modality=CT", "CallingAET=CT*"], 3)
    # A draft decides nothing; the replay tells what it would do; then it decides.
    gantry.cli("rule", "draft", "--note", "B too")
    gantry.cli("rule", "add", "both", "--draft", "--to", "A", "--to", "B", "--mode", "order", "--on", "association", "--when", "NumberOfStudyRelatedInstances=2..")  # fmt: skip
    replayed = gantry.json("rule", "replay", "--days", "1")
    assert (replayed["studies"], replayed["changed"]) == (1, 1)
    assert {one["node"]: one["gained"] for one in replayed["nodes"]}["B"] == 1
    gantry.cli("rule", "activate", "--yes")
    strange = send(ct(2), "ZZ")
    second = send(ct(2), "CT1")
    gantry.until(lambda: arrived("B", 2), 60)
    assert {one["rule_name"] for one in gantry.json("deliveries", "why", second)} == {"scanner", "both"}
    assert arrived("A", 5)
    gantry.until(lambda: {row["status"] for row in gantry.json("deliveries")} == {"confirmed"}, 60)
    gantry.cli("rule", "release", "--study", strange, "--reason", "a new scanner", "--yes")
    gantry.until(lambda: arrived("B", 4), 60)
