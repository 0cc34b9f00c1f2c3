"""docs/reference/interoperability.md from tests/peers/matrix/results.json.

`MATRIX_RESULTS=tests/peers/matrix/results.json pytest tests/peers/matrix` writes that file; a test holds it against the cells.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

RESULTS = Path(__file__).resolve().parents[1] / "tests" / "peers" / "matrix" / "results.json"
_SIDES = {"answers": "it asks, Gantry answers", "asks": "Gantry asks, it answers"}
_SIGNS = {"passed": "yes", "failed": "**no**", "skipped": "not here", "not run": "not run"}
_HEAD = """# Works with

Each cell is a test against the real program, run by CI in every change: `pytest tests/peers/matrix`. What is sent is
compared by the SHA-256 of its data set on the other side wherever the peer keeps bytes. *yes*: passed on {date} with
the versions below.
An empty cell is a thing the peer cannot do (of DCMTK only echoscu, storescu, findscu, storescp and dcmrecv speak TLS here, of
pynetdicom only the library) or that is not tested.

| peer | version |
|---|---|
{versions}
"""
_TAIL = """
## Not in the table

- **dcm4che**: its tools are not on Maven Central (`org.dcm4che.tool` has no artifact there), and CI reaches no other place.
- **dicom-rs** is built without its TLS (`--no-default-features`), which keeps the build short.
- **CTN** has no tool for a modern store that runs without its database; only `dicom_echo` is used.
"""


def interoperability_page() -> str:
    """The whole page."""
    document = json.loads(RESULTS.read_text())
    versions = "\n".join(f"| {peer} | {version} |" for peer, version in document["versions"].items())
    lines = [_HEAD.format(date=document["date"], versions=versions)]
    cells: list[dict[str, Any]] = document["cells"]
    for peer in dict.fromkeys(cell["peer"] for cell in cells):
        lines += [f"## {peer}\n", "| program | service | | plain | TLS |", "|---|---|---|---|---|"]
        rows: dict[tuple[str, str, str], dict[str, str]] = {}
        for cell in cells:
            if cell["peer"] == peer:
                key = (cell["tool"], cell["service"], cell["gantry"])
                rows.setdefault(key, {})[cell["channel"]] = _SIGNS[cell["outcome"]]
        for (tool, service, side), channels in rows.items():
            lines.append(f"| {tool} | {service} | {_SIDES[side]} | {channels.get('plain', '')} | {channels.get('TLS', '')} |")
        lines.append("")
    return "\n".join(lines) + _TAIL
