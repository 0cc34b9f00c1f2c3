"""A machine whose clock stands in 1970 (a dead battery, no time server): the main job works all the same."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.support.gantry_process import GantryProcess


@pytest.mark.peer("faketime")
@pytest.mark.timeout(120)
def test_the_demonstration_in_1970(gantry_process: Callable[..., GantryProcess], tmp_path: Path) -> None:
    """All processes of ours read the same wrong clock; the embedded PostgreSQL inherits no environment and keeps the right one."""
    done = subprocess.run(
        ["faketime", "-f", "@1970-01-02 00:00:00", sys.executable, "-m", "gantry.main.cli", "demo", "--once"],
        cwd=tmp_path, env=gantry_process().environment, capture_output=True, text=True, timeout=100, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    assert "54 of 54 instances delivered, byte-identical, SHA-256" in done.stdout
