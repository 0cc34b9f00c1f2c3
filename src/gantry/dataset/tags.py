"""The attributes Gantry indexes: tag, VR, level (PS3.6). Made by tools/generate_tags.py."""

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
        "TransferSyntaxUID": IndexedKeyword(0x00020010, "UI", "instance"),
        "SpecificCharacterSet": IndexedKeyword(0x00080005, "CS", "instance"),
        "ImageType": IndexedKeyword(0x00080008, "CS", "instance"),
        "InstanceCreationDate": IndexedKeyword(0x00080012, "DA", "instance"),
        "SOPClassUID": IndexedKeyword(0x00080016, "UI", "instance"),
        "SOPInstanceUID": IndexedKeyword(0x00080018, "UI", "instance"),
        "StudyDate": IndexedKeyword(0x00080020, "DA", "study"),
        "SeriesDate": IndexedKeyword(0x00080021, "DA", "series"),
        "AcquisitionDate": IndexedKeyword(0x00080022, "DA", "instance"),
        "ContentDate": IndexedKeyword(0x00080023, "DA", "instance"),
        "StudyTime": IndexedKeyword(0x00080030, "TM", "study"),
        "SeriesTime": IndexedKeyword(0x00080031, "TM", "series"),
        "AccessionNumber": IndexedKeyword(0x00080050, "SH", "study"),
        "Modality": IndexedKeyword(0x00080060, "CS", "series"),
        "Manufacturer": IndexedKeyword(0x00080070, "LO", "series"),
        "InstitutionName": IndexedKeyword(0x00080080, "LO", "study"),
        "ReferringPhysicianName": IndexedKeyword(0x00080090, "PN", "study"),
        "StationName": IndexedKeyword(0x00081010, "SH", "series"),
        "StudyDescription": IndexedKeyword(0x00081030, "LO", "study"),
        "SeriesDescription": IndexedKeyword(0x0008103E, "LO", "series"),
        "ManufacturerModelName": IndexedKeyword(0x00081090, "LO", "series"),
        "PatientName": IndexedKeyword(0x00100010, "PN", "patient"),
        "PatientID": IndexedKeyword(0x00100020, "LO", "patient"),
        "IssuerOfPatientID": IndexedKeyword(0x00100021, "LO", "patient"),
        "PatientBirthDate": IndexedKeyword(0x00100030, "DA", "patient"),
        "PatientSex": IndexedKeyword(0x00100040, "CS", "patient"),
        "PatientAge": IndexedKeyword(0x00101010, "AS", "study"),
        "BodyPartExamined": IndexedKeyword(0x00180015, "CS", "series"),
        "ProtocolName": IndexedKeyword(0x00181030, "LO", "series"),
        "StudyInstanceUID": IndexedKeyword(0x0020000D, "UI", "study"),
        "SeriesInstanceUID": IndexedKeyword(0x0020000E, "UI", "series"),
        "StudyID": IndexedKeyword(0x00200010, "SH", "study"),
        "SeriesNumber": IndexedKeyword(0x00200011, "IS", "series"),
        "AcquisitionNumber": IndexedKeyword(0x00200012, "IS", "instance"),
        "InstanceNumber": IndexedKeyword(0x00200013, "IS", "instance"),
        "PhotometricInterpretation": IndexedKeyword(0x00280004, "CS", "instance"),
        "NumberOfFrames": IndexedKeyword(0x00280008, "IS", "instance"),
        "Rows": IndexedKeyword(0x00280010, "US", "instance"),
        "Columns": IndexedKeyword(0x00280011, "US", "instance"),
        "BitsAllocated": IndexedKeyword(0x00280100, "US", "instance"),
    }
)
