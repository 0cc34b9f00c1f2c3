"""Why an object goes to quarantine: a code, words for a person, and the status its sender gets.

Statuses are those of C-STORE (PS3.4 B.2.3): A9xx data set does not match SOP class, Cxxx cannot understand;
the low byte is ours and tells the reasons apart.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Reason:
    """One reason. `text` fits the error comment of a response (PS3.7 C.4.2, 64 characters) and names no value."""

    code: str
    text: str
    dimse_status: int


CLASS_DIFFERS = Reason("sop_class_differs", "SOP Class UID differs between command and data set", 0xA900)
INSTANCE_DIFFERS = Reason("sop_instance_differs", "SOP Instance UID differs between command and data set", 0xA901)
CLASS_MISSING = Reason("sop_class_uid_missing", "SOP Class UID is missing", 0xC010)
CLASS_INVALID = Reason("sop_class_uid_invalid", "SOP Class UID is not a UID", 0xC011)
INSTANCE_MISSING = Reason("sop_instance_uid_missing", "SOP Instance UID is missing", 0xC012)
INSTANCE_INVALID = Reason("sop_instance_uid_invalid", "SOP Instance UID is not a UID", 0xC013)
STUDY_MISSING = Reason("study_uid_missing", "Study Instance UID is missing", 0xC014)
STUDY_INVALID = Reason("study_uid_invalid", "Study Instance UID is not a UID", 0xC015)
SERIES_MISSING = Reason("series_uid_missing", "Series Instance UID is missing", 0xC016)
SERIES_INVALID = Reason("series_uid_invalid", "Series Instance UID is not a UID", 0xC017)
UNREADABLE = Reason("unreadable", "The data set cannot be read", 0xC020)
NOT_DICOM = Reason("not_dicom", "This is not a DICOM file", 0xC021)
NOT_INDEXABLE = Reason("not_indexable", "The object cannot be indexed", 0xC022)
PLACE_TAKEN = Reason("place_taken", "Other bytes lie at its place", 0xC023)

ALL: tuple[Reason, ...] = (
    CLASS_DIFFERS, INSTANCE_DIFFERS, CLASS_MISSING, CLASS_INVALID, INSTANCE_MISSING, INSTANCE_INVALID, STUDY_MISSING,
    STUDY_INVALID, SERIES_MISSING, SERIES_INVALID, UNREADABLE, NOT_DICOM, NOT_INDEXABLE, PLACE_TAKEN,
)  # fmt: skip
