"""Writes src/gantry/dataset/edit_keywords.txt: tag, VR and keyword of every element of PS3.6 that an edit may name.

    python tools/generate_edit_keywords.py            write the file
    python tools/generate_edit_keywords.py --check    say whether the file is up to date (exit status 1 if not)

From the data dictionary of pydicom (a development dependency). Of an open VR (US or SS) the first one is taken.
"""

from __future__ import annotations

import sys
from pathlib import Path

from pydicom._dicom_dict import DicomDictionary

TARGET = Path(__file__).resolve().parent.parent / "src" / "gantry" / "dataset" / "edit_keywords.txt"
#: File meta information, directory records and delimiters are no part of what may be edited.
_LEFT_OUT = {0x0000, 0x0002, 0x0004, 0xFFFE}


def text() -> str:
    """The file."""
    rows = [
        f"{tag:08X} {vr[:2]} {keyword}\n"
        for tag, (vr, _vm, _name, _retired, keyword) in sorted(DicomDictionary.items())
        if keyword and tag >> 16 not in _LEFT_OUT
    ]
    return "".join(rows)


if __name__ == "__main__":
    if "--check" in sys.argv:
        sys.exit(TARGET.read_text(encoding="ascii") != text())
    TARGET.write_text(text(), encoding="ascii")
