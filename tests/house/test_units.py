"""The units of systemd start commands that there are, and systemd understands them."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import typer.main

from gantry.main.cli import app

UNITS = sorted((Path(__file__).resolve().parents[2] / "packaging" / "systemd").glob("*.service"))
_PROGRAM = "/opt/gantry/bin/gantry"


def settings(unit: Path) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for line in unit.read_text(encoding="utf-8").splitlines():
        if "=" in line and not line.startswith("#"):
            name, _, value = line.partition("=")
            found.setdefault(name, []).append(value)
    return found


@pytest.mark.parametrize("unit", UNITS, ids=lambda unit: unit.stem)
def test_a_unit_starts_a_command_in_a_home_it_may_write(unit: Path) -> None:
    found = settings(unit)
    program, *words = found["ExecStart"][0].split()
    assert program == _PROGRAM
    command: Any = typer.main.get_command(app)
    for word in words:
        command = command.commands[word]
    assert "Environment" in found
    (home,) = [value.removeprefix("GANTRY_HOME=") for value in found["Environment"]]
    assert home == f"/var/lib/{found['StateDirectory'][0]}", "what it may write to, and what systemd makes"
    assert found["User"] == found["Group"] == ["gantry"]


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="systemd-analyze is not installed")
def test_systemd_understands_them(tmp_path: Path) -> None:
    for unit in UNITS:
        text = unit.read_text(encoding="utf-8").replace(_PROGRAM, "/bin/true")
        (tmp_path / unit.name).write_text(text, encoding="utf-8")
    paths = [str(tmp_path / unit.name) for unit in UNITS]
    done = subprocess.run(
        ["systemd-analyze", "verify", "--man=no", *paths], capture_output=True, text=True, check=False, timeout=60,
        env={**os.environ, "SYSTEMD_LOG_LEVEL": "warning"},
    )  # fmt: skip
    assert [line for line in done.stderr.splitlines() if "gantry" in line] == []
