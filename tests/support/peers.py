"""Programs of other implementations."""

from __future__ import annotations

import functools
import os
import subprocess
from pathlib import Path
from typing import NoReturn

import pytest


@functools.cache
def find_dcmtk(name: str) -> str | None:
    """DCMTK's program of this name; pynetdicom installs some under the same names, which are not meant."""
    for folder in os.environ.get("PATH", "").split(os.pathsep):
        path = Path(folder or ".") / name
        if not os.access(path, os.X_OK) or path.read_bytes()[:2] == b"#!":
            continue
        output = subprocess.run([path, "--version"], check=False, capture_output=True, text=True, timeout=30).stdout
        if "$dcmtk:" in output:
            return str(path)
    return None


def missing(what: str, *, in_ci: bool) -> NoReturn:
    """Skip; in CI a missing peer is a failure."""
    if in_ci:
        pytest.fail(f"{what} is missing, and this is CI")
    pytest.skip(f"{what} is not installed here")
