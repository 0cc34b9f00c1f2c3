"""Writes src/gantry/dataset/tags.py: the attributes Gantry indexes, with tag and VR of PS3.6.

    python tools/generate_tags.py            write the file
    python tools/generate_tags.py --check    say whether the file is up to date (exit status 1 if not)

Tags and VRs come from the data dictionary of pydicom (a development dependency); what is indexed,
and at which level, is decided here.
"""

from __future__ import annotations

import sys
from pathlib import Path

from pydicom.datadict import dictionary_VR, tag_for_keyword

TARGET = Path(__file__).resolve().parent.parent / "src" / "gantry" / "dataset" / "tags.py"

LEVELS: dict[str, tuple[str, ...]] = {
    "patient": ("PatientName", "PatientID", "IssuerOfPatientID", "PatientBirthDate", "PatientSex"),
    "study": (
        "StudyDate",
        "StudyTime",
        "AccessionNumber",
        "InstitutionName",
        "ReferringPhysicianName",
        "StudyDescription",
        "PatientAge",
        "StudyInstanceUID",
        "StudyID",
    ),
    "series": (
        "SeriesDate",
        "SeriesTime",
        "Modality",
        "Manufacturer",
        "StationName",
        "SeriesDescription",
        "ManufacturerModelName",
        "BodyPartExamined",
        "ProtocolName",
        "SeriesInstanceUID",
        "SeriesNumber",
    ),
    "instance": (
        "TransferSyntaxUID",
        "SpecificCharacterSet",
        "ImageType",
        "InstanceCreationDate",
        "SOPClassUID",
        "SOPInstanceUID",
        "AcquisitionDate",
        "ContentDate",
        "AcquisitionNumber",
        "InstanceNumber",
        "NumberOfFrames",
        "Rows",
        "Columns",
        "BitsAllocated",
        "PhotometricInterpretation",
    ),
}

HEAD = '''"""The attributes Gantry indexes: tag, VR, level (PS3.6). Made by tools/generate_tags.py."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Literal


@dataclass(frozen=True, slots=True)
class IndexedKeyword:
    """One indexed attribute; `tag` is group << 16 | element."""

    tag: int
    vr: str
    level: Literal["patient", "study", "series", "instance"]


INDEXED_KEYWORDS: Mapping[str, IndexedKeyword] = MappingProxyType(
    {
'''


def rendered() -> str:
    """The text of tags.py."""
    rows: list[tuple[int, str, str, str]] = []
    for level, keywords in LEVELS.items():
        for keyword in keywords:
            tag = tag_for_keyword(keyword)
            if tag is None:
                raise SystemExit(f"{keyword} is not in the data dictionary")
            rows.append((int(tag), keyword, dictionary_VR(tag), level))
    lines = [
        f'        "{keyword}": IndexedKeyword(0x{tag:08X}, "{vr}", "{level}"),\n' for tag, keyword, vr, level in sorted(rows)
    ]
    return HEAD + "".join(lines) + "    }\n)\n"


def main(arguments: list[str]) -> int:
    """Writes or checks; gives the exit status."""
    text = rendered()
    if "--check" in arguments:
        return 0 if TARGET.exists() and TARGET.read_text() == text else 1
    TARGET.write_text(text)
    return 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
