"""Which attributes of DICOM the index can be asked for, at which level, and where they lie (PS3.4 C.6)."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from functools import cache
from typing import Final, Literal, LiteralString, TypeAlias

from gantry import database

Level: TypeAlias = Literal["PATIENT", "STUDY", "SERIES", "IMAGE"]
LEVELS: Final[tuple[Level, ...]] = ("PATIENT", "STUDY", "SERIES", "IMAGE")
UNIQUE: Final[dict[Level, str]] = {
    "PATIENT": "PatientID", "STUDY": "StudyInstanceUID", "SERIES": "SeriesInstanceUID", "IMAGE": "SOPInstanceUID",
}  # fmt: skip


class Kind(StrEnum):
    """How values are compared and given back."""

    UID = "uid"
    TEXT = "text"
    NAME = "name"
    DATE = "date"
    TIME = "time"
    NUMBER = "number"
    LIST = "list"  # an array of texts
    HEADER = "header"  # in the header of the version: text, or a list of texts
    HEADER_DATE = "header date"
    CONSTANT = "constant"  # given back, never compared


@dataclass(frozen=True, slots=True)
class Attribute:
    """`column` is SQL. A name has its search columns in `search`: alphabetic, ideographic, phonetic group."""

    keyword: str
    level: Level
    kind: Kind
    column: LiteralString
    search: tuple[LiteralString, ...] = ()


def _header(keyword: LiteralString, kind: Kind = Kind.HEADER) -> Attribute:
    return Attribute(keyword, "IMAGE", kind, "v.header->'" + keyword + "'")


@cache
def attributes() -> dict[str, Attribute]:
    """All of them, by keyword."""
    parts = database.statements("gantry.catalogue", "query.sql")
    physician: tuple[LiteralString, ...] = (
        "split_part(s.referring_physician_search, '=', 1)", "split_part(s.referring_physician_search, '=', 2)",
        "split_part(s.referring_physician_search, '=', 3)",
    )  # fmt: skip
    rows = [
        Attribute("PatientID", "PATIENT", Kind.TEXT, "p.patient_id"),
        Attribute("IssuerOfPatientID", "PATIENT", Kind.TEXT, "p.issuer_of_patient_id"),
        Attribute(
            "PatientName", "PATIENT", Kind.NAME, "p.patient_name", ("p.name_alphabetic", "p.name_ideographic", "p.name_phonetic")
        ),
        Attribute("PatientBirthDate", "PATIENT", Kind.DATE, "p.patient_birth_date"),
        Attribute("PatientSex", "PATIENT", Kind.TEXT, "p.patient_sex"),
        Attribute("NumberOfPatientRelatedStudies", "PATIENT", Kind.CONSTANT, "p.study_count"),
        Attribute("NumberOfPatientRelatedSeries", "PATIENT", Kind.CONSTANT, parts["series_of_patient"]),
        Attribute("NumberOfPatientRelatedInstances", "PATIENT", Kind.CONSTANT, parts["instances_of_patient"]),
        Attribute("StudyInstanceUID", "STUDY", Kind.UID, "s.study_instance_uid"),
        Attribute("StudyDate", "STUDY", Kind.DATE, "s.study_date"),
        Attribute("StudyTime", "STUDY", Kind.TIME, "s.study_time"),
        Attribute("AccessionNumber", "STUDY", Kind.TEXT, "s.accession_number"),
        Attribute("StudyID", "STUDY", Kind.TEXT, "s.study_id"),
        Attribute("StudyDescription", "STUDY", Kind.TEXT, "s.study_description"),
        Attribute("ReferringPhysicianName", "STUDY", Kind.NAME, "s.referring_physician_name", physician),
        Attribute("InstitutionName", "STUDY", Kind.TEXT, "s.institution_name"),
        Attribute("ModalitiesInStudy", "STUDY", Kind.LIST, "s.modalities"),
        Attribute("SOPClassesInStudy", "STUDY", Kind.LIST, parts["classes_of_study"]),
        Attribute("NumberOfStudyRelatedSeries", "STUDY", Kind.CONSTANT, "s.series_count"),
        Attribute("NumberOfStudyRelatedInstances", "STUDY", Kind.CONSTANT, "s.instance_count"),
        Attribute("SeriesInstanceUID", "SERIES", Kind.UID, "se.series_instance_uid"),
        Attribute("Modality", "SERIES", Kind.TEXT, "se.modality"),
        Attribute("SeriesNumber", "SERIES", Kind.NUMBER, "se.series_number"),
        Attribute("SeriesDescription", "SERIES", Kind.TEXT, "se.series_description"),
        Attribute("BodyPartExamined", "SERIES", Kind.TEXT, "se.body_part_examined"),
        Attribute("ProtocolName", "SERIES", Kind.TEXT, "se.protocol_name"),
        Attribute("Manufacturer", "SERIES", Kind.TEXT, "se.manufacturer"),
        Attribute("ManufacturerModelName", "SERIES", Kind.TEXT, "se.manufacturer_model_name"),
        Attribute("StationName", "SERIES", Kind.TEXT, "se.station_name"),
        Attribute("SeriesDate", "SERIES", Kind.DATE, "se.series_date"),
        Attribute("SeriesTime", "SERIES", Kind.TIME, "se.series_time"),
        Attribute("NumberOfSeriesRelatedInstances", "SERIES", Kind.CONSTANT, "se.instance_count"),
        Attribute("SOPInstanceUID", "IMAGE", Kind.UID, "i.sop_instance_uid"),
        Attribute("SOPClassUID", "IMAGE", Kind.UID, "i.sop_class_uid"),
        Attribute("InstanceNumber", "IMAGE", Kind.NUMBER, "i.instance_number"),
        Attribute("NumberOfFrames", "IMAGE", Kind.NUMBER, "i.number_of_frames"),
        Attribute("Rows", "IMAGE", Kind.NUMBER, "i.rows"),
        Attribute("Columns", "IMAGE", Kind.NUMBER, "i.columns"),
        Attribute("AvailableTransferSyntaxUID", "IMAGE", Kind.UID, "v.transfer_syntax_uid"),
        _header("ImageType"),
        _header("InstanceCreationDate", Kind.HEADER_DATE),
        _header("AcquisitionDate", Kind.HEADER_DATE),
        _header("ContentDate", Kind.HEADER_DATE),
        _header("AcquisitionNumber"),
        _header("PhotometricInterpretation"),
        _header("BitsAllocated"),
        _header("PatientAge"),
    ]
    return {row.keyword: row for row in rows}


@cache
def supported_keys(level: Level) -> frozenset[str]:
    """What may be asked for at a level: its own attributes and those of the levels above."""
    allowed = LEVELS[: LEVELS.index(level) + 1]
    return frozenset(keyword for keyword, row in attributes().items() if row.level in allowed)
