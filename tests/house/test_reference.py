"""The reference is what the code says."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


def test_the_generated_reference_is_current() -> None:
    done = subprocess.run(
        [sys.executable, "tools/generate_reference.py", "--check"], cwd=ROOT, capture_output=True, text=True, check=False,
        env={name: value for name, value in os.environ.items() if not name.startswith(("GANTRY_", "DJANGO_"))} | {"PYTHONPATH": "src"},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
