"""What became of the cells, and which versions were on the machine; docs/reference/interoperability.md is made from it."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from datetime import UTC, datetime
from pathlib import Path

from tests.peers.matrix.cells import Cell, every_cell
from tests.peers.matrix.world import find_program

HERE = Path(__file__).resolve().parent
FILE = HERE / "results.json"
_found: dict[str, str] = {}


def note(cell: Cell, outcome: str) -> None:
    """Keep one outcome: passed, failed or skipped."""
    _found[cell.name] = outcome


def write(path: Path) -> None:
    """Write cells with outcomes, and versions. Cells that were not run keep what the file says of them."""
    before = {row["name"]: row["outcome"] for row in json.loads(path.read_text())["cells"]} if path.exists() else {}
    rows = [
        {
            "name": cell.name,
            "peer": cell.peer,
            "tool": cell.tool,
            "service": cell.service,
            "gantry": cell.gantry,
            "channel": cell.channel,
            "outcome": _found.get(cell.name) or before.get(cell.name, "not run"),
        }
        for cell in every_cell()
    ]
    document = {"date": datetime.now(UTC).date().isoformat(), "versions": versions(), "cells": rows}
    path.write_text(json.dumps(document, indent=1) + "\n")


def versions() -> dict[str, str]:
    """The versions of the peers that are installed here."""
    import pynetdicom

    from tests.support.peers import find_dcmtk

    found = {"pynetdicom": pynetdicom.__version__}
    if echoscu := find_dcmtk("echoscu"):
        found["DCMTK"] = _first(r"v(\S+)", echoscu, "--version")
    if orthanc := shutil.which("Orthanc"):
        found["Orthanc"] = _first(r"Orthanc (\S+)", orthanc, "--version")
    package = HERE / "js" / "node_modules" / "dcmjs-dimse" / "package.json"
    if package.exists():
        found["dcmjs-dimse"] = json.loads(package.read_text())["version"]
    if shutil.which("dpkg-query") and shutil.which("dicom_echo"):
        found["CTN"] = _first(r"(\S+)", "dpkg-query", "-W", "-f", "${Version}", "ctn")
    if dicom_rs := find_program("dicom-echoscu"):
        found["dicom-rs"] = _first(r"(\d\S+)", dicom_rs, "--version")
    return found


def _first(pattern: str, *command: str) -> str:
    output = subprocess.run(command, capture_output=True, text=True, timeout=20, check=False).stdout
    match = re.search(pattern, output)
    return match[1] if match else "unknown"
