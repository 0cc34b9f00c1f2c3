"""`gantry demo`: ends with a receipt, and only with a true one."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from tests.support.gantry_process import GantryProcess

from gantry.main.demo import sources
from gantry.main.demo_receipt import Proof, show_proof

DEMO = [sys.executable, "-m", "gantry.main.cli", "demo"]


def proof(**changes: object) -> Proof:
    values: dict[str, object] = {
        "study_instance_uid": "1.2", "modalities": ("CT",), "node": "ARCHIVE", "instances": 2, "confirmed": 2, "dataset_bytes": 10, "identical": 2,
        "digests": {"1.2.1": "a" * 64, "1.2.2": "b" * 64},
    }  # fmt: skip
    return Proof(**{**values, **changes})  # type: ignore[arg-type]


def test_the_packaged_study_is_there_with_its_licences() -> None:
    files = sources()
    assert len(files) == 54
    licences = (files[0].parents[1] / "LICENSES.md").read_text()
    assert "MIT" in licences
    assert all(f"`{folder}/`" in licences for folder in {path.parent.name for path in files})


@pytest.mark.parametrize(
    "changes", [{}, {"confirmed": 1}, {"identical": 1}, {"instances": 3}, {"instances": 0, "confirmed": 0, "identical": 0}]
)
def test_the_receipt_is_green_only_when_all_is_there(changes: dict[str, object], capsys: pytest.CaptureFixture[str]) -> None:
    assert show_proof([proof(**changes)], time.monotonic()) is (not changes)
    assert ("byte-identical, SHA-256 compared" in capsys.readouterr().out) is (not changes)


def test_no_receipt_is_no_success() -> None:
    assert show_proof([], time.monotonic()) is False


@pytest.mark.timeout(180)
def test_once(gantry_process: Callable[..., GantryProcess], tmp_path: Path) -> None:
    environment = gantry_process().environment
    for _ in range(2):  # a second one replaces the first
        done = subprocess.run(
            [*DEMO, "--once"], cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=120, check=False
        )
        assert done.returncode == 0, done.stdout + done.stderr
        assert "54 of 54 instances delivered, byte-identical, SHA-256" in done.stdout
    assert len(list((tmp_path / "var-demo" / "archive").glob("*.dcm"))) == 54
    assert not (tmp_path / "var-demo" / "gantry" / "postgres" / "postmaster.pid").exists()


@pytest.mark.timeout(120)
def test_it_stays_until_ctrl_c(gantry_process: Callable[..., GantryProcess], tmp_path: Path) -> None:
    home = tmp_path / "show"
    with open(tmp_path / "output", "wb") as output:
        process = subprocess.Popen(
            [*DEMO, "--home", str(home)],
            cwd=tmp_path,
            env=gantry_process().environment | {"PYTHONFAULTHANDLER": "1"},
            stdout=output,
            stderr=output,
        )
    try:
        deadline = time.monotonic() + 90
        while "Ctrl-C stops it" not in (shown := (tmp_path / "output").read_text()):
            assert process.poll() is None, shown
            assert time.monotonic() < deadline, shown
            time.sleep(0.1)
        assert "password " in shown
        assert "storescu -aec GANTRY" in shown
        children = [
            json.loads((home / "gantry" / "run" / "status.json").read_text())["processes"][name]["pid"]
            for name in ("web", "worker")
        ]
    finally:
        process.send_signal(signal.SIGINT)
        try:
            process.wait(60)
        except subprocess.TimeoutExpired:
            process.send_signal(signal.SIGABRT)  # faulthandler: where it hangs
            process.wait(10)
            pytest.fail((tmp_path / "output").read_text())
    assert process.returncode == 130
    for pid in children:
        with pytest.raises(ProcessLookupError):
            os.kill(pid, 0)


def test_other_folders_are_left_alone(gantry_process: Callable[..., GantryProcess], tmp_path: Path) -> None:
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.txt").write_text("precious")
    done = subprocess.run(
        [*DEMO, "--once", "--home", str(tmp_path / "mine")],
        env=gantry_process().environment,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 1
    assert [path.name for path in (tmp_path / "mine").iterdir()] == ["thesis.txt"]
