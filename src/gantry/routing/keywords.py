"""What a condition can ask for: each keyword with its meaning, its operators, and values that were seen lately."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import psycopg

from gantry import database
from gantry.accounts.visible import Visible
from gantry.dataset.tags import INDEXED_KEYWORDS
from gantry.routing.conditions import ENVELOPE_KEYWORDS, MOMENT_KEYWORDS, STUDY_KEYWORDS, WEEKDAYS, operators_of

#: The newest studies whose values serve as examples, and the values shown of a keyword.
STUDIES, VALUES = 300, 30
_LONGEST = 64
#: Values of these name a patient, a person or a study; they are nobody's example.
_PERSONAL = frozenset({
    "PatientName", "PatientID", "IssuerOfPatientID", "PatientBirthDate", "ReferringPhysicianName", "AccessionNumber",
    "StudyID", "StudyInstanceUID", "SeriesInstanceUID", "SOPInstanceUID",
})  # fmt: skip
_MEANINGS: Mapping[str, str] = {
    "CallingAET": "AE title of the sender",
    "CalledAET": "AE title under which we were called",
    "RemoteAddress": "Network address of the sender",
    "Origin": "How it came in, as dimse or import",
    "NumberOfStudyRelatedInstances": "Instances of the study, once it is there",
    "NumberOfStudyRelatedSeries": "Series of the study, once it is there",
    "ModalitiesInStudy": "All modalities of the study, once it is there",
    "time": "Hour of arrival, by the clock of the site",
    "weekday": "Day of arrival, by the calendar of the site",
    "TransferSyntaxUID": "How the pixel data is written: compressed or not",
    "SpecificCharacterSet": "Character set of the text",
    "ImageType": "Original or derived, primary or secondary, and more",
    "InstanceCreationDate": "When the instance was made",
    "SOPClassUID": "What kind of object it is",
    "SOPInstanceUID": "The UID of the instance",
    "StudyDate": "Date of the study",
    "SeriesDate": "Date of the series",
    "AcquisitionDate": "Date of the acquisition",
    "ContentDate": "Date of the content",
    "StudyTime": "Time of the study",
    "SeriesTime": "Time of the series",
    "AccessionNumber": "Number of the order at the information system",
    "Modality": "Kind of device, as CT or MR",
    "Manufacturer": "Who made the device",
    "InstitutionName": "Where it was taken",
    "ReferringPhysicianName": "Who referred the patient",
    "StationName": "Name of the device",
    "StudyDescription": "Description of the study",
    "SeriesDescription": "Description of the series",
    "ManufacturerModelName": "Model of the device",
    "PatientName": "Name of the patient",
    "PatientID": "Number of the patient",
    "IssuerOfPatientID": "Who gave the patient's number",
    "PatientBirthDate": "Birth date of the patient",
    "PatientSex": "Sex of the patient: M, F, O",
    "PatientAge": "Age of the patient, as 045Y",
    "BodyPartExamined": "Part of the body",
    "ProtocolName": "Name of the protocol",
    "StudyInstanceUID": "The UID of the study",
    "SeriesInstanceUID": "The UID of the series",
    "StudyID": "Number of the study at the device",
    "SeriesNumber": "Number of the series",
    "AcquisitionNumber": "Number of the acquisition",
    "InstanceNumber": "Number of the instance",
    "PhotometricInterpretation": "How pixels become colours",
    "NumberOfFrames": "Frames of the instance",
    "Rows": "Height in pixels",
    "Columns": "Width in pixels",
    "BitsAllocated": "Bits of a pixel value",
}


@dataclass(frozen=True, slots=True)
class Keyword:
    """`of`: patient, study, series, instance; sender, moment; or whole (the study, complete: not with `arrived`)."""

    keyword: str
    vr: str
    of: str
    meaning: str
    operators: tuple[str, ...]
    values: tuple[str, ...] = ()


def keywords(connection: psycopg.Connection, seen: Visible | None) -> list[Keyword]:
    """All of them; with values of the newest studies that are `seen` (None: without), the most frequent first."""
    values = _values(connection, seen) if seen is not None and not seen.nothing else {}
    values["weekday"] = list(WEEKDAYS)
    # Modalities of the study are those of its series.
    values["ModalitiesInStudy"] = values.get("Modality", [])
    named = [(name, vr, "sender") for name, vr in ENVELOPE_KEYWORDS.items()]
    named += [(name, one.vr, str(one.level)) for name, one in INDEXED_KEYWORDS.items()]
    named += [(name, vr, "whole") for name, vr in STUDY_KEYWORDS.items()]
    named += [(name, "", "moment") for name in MOMENT_KEYWORDS]
    return [
        Keyword(name, vr, of, _MEANINGS.get(name, name), operators_of(name), tuple(values.get(name, ())))
        for name, vr, of in named
    ]


def _values(connection: psycopg.Connection, seen: Visible) -> dict[str, list[str]]:
    asked = [name for name in INDEXED_KEYWORDS if name not in _PERSONAL]
    sql = database.statements("gantry.routing", "keywords.sql")["examples"].replace("/* seen */ TRUE", seen.condition("s.id"))
    given = {"studies": STUDIES, "values": VALUES, "longest": _LONGEST, "asked": asked, **seen.params}
    found: dict[str, list[str]] = {}
    for keyword, value in psycopg.Cursor(connection).execute(sql, given).fetchall():
        found.setdefault(keyword, []).append(value)
    return found
