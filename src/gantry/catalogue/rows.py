"""What intake hands to the index for one object, and how its header becomes columns.

Header values come from strangers. Each becomes a text that PostgreSQL accepts and an index can hold; the
whole value stays in `header`, the bytes stay on disk.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import TypeAlias
from uuid import UUID

from gantry.dataset import parse_date, parse_int

Value: TypeAlias = "str | list[str]"

#: An index row of PostgreSQL holds 2 704 bytes; the widest of ours has two of these and a UID.
TEXT_BYTES = 1000
#: Of a header of a size that no device makes, the values are cut to TEXT_BYTES in the row.
HEADER_BYTES = 128 * 1024
INT32_MAX = 2**31 - 1


@dataclass(slots=True)
class VersionRow:
    """One received object as the index needs it. UIDs are judged, sizes are bytes, `file_path` is relative to the home."""

    sop_instance_uid: str
    sop_class_uid: str
    study_instance_uid: str
    series_instance_uid: str
    header: Mapping[str, Value]
    sha256: bytes
    dataset_offset: int
    dataset_bytes: int
    file_path: str
    file_bytes: int
    transfer_syntax_uid: str
    origin: str
    received_at: datetime
    calling_aet: str = ""
    called_aet: str = ""
    remote_address: str = ""
    association_id: UUID | None = None
    slot: str = ""
    warnings: Sequence[str] = ()
    volume_id: int | None = None  # None: in the home itself
    move_originator_aet: str = ""
    move_originator_id: int | None = None  # None: the sender named no C-MOVE


PATIENT_KEYS = ("PatientID", "IssuerOfPatientID", "PatientName", "PatientBirthDate", "PatientSex")
STUDY_KEYS = (
    "StudyDate", "StudyTime", "AccessionNumber", "StudyID", "StudyDescription",
    "ReferringPhysicianName", "InstitutionName",
)  # fmt: skip
SERIES_KEYS = (
    "Modality", "SeriesNumber", "SeriesDescription", "BodyPartExamined", "ProtocolName", "Manufacturer",
    "ManufacturerModelName", "StationName", "SeriesDate", "SeriesTime",
)  # fmt: skip
Raw: TypeAlias = "tuple[str, ...]"
_STORABLE = {0: "\N{REPLACEMENT CHARACTER}"}


def storable(text: str) -> str:
    """The text as PostgreSQL can keep it: without NUL and lone surrogates, which become U+FFFD and '?'."""
    if "\0" in text:
        text = text.translate(_STORABLE)
    return text if text.isascii() else text.encode("utf-8", "replace").decode("utf-8")


def column(value: Value | None) -> str:
    """One header value as a column: stripped, several values joined by backslash, at most TEXT_BYTES of UTF-8.

    A longer one is cut and gets the beginning of its digest, so that different values stay different.
    """
    if not value:
        return ""
    text = storable(value if isinstance(value, str) else "\\".join(value)).strip()
    if len(text) * 4 <= TEXT_BYTES:
        return text
    encoded = text.encode()
    if len(encoded) <= TEXT_BYTES:
        return text
    return encoded[: TEXT_BYTES - 20].decode("utf-8", "ignore") + "~" + hashlib.sha256(encoded).hexdigest()[:16]


def raw(header: Mapping[str, Value], keys: Sequence[str]) -> Raw:
    """The values under these keywords, hashable and not yet cleaned: the same for all rows of a usual series."""
    get = header.get
    return tuple([v if isinstance(v := get(key, ""), str) else "\\".join(v) for key in keys])


def small_int(text: Value | None) -> int | None:
    """An integer that fits the column, else none."""
    number = parse_int(text if isinstance(text, str) else text[0]) if text else None
    return number if number is not None and -INT32_MAX <= number <= INT32_MAX else None


def big_int(text: Value | None) -> int | None:
    """A 64-bit integer or none."""
    return parse_int(text if isinstance(text, str) else text[0]) if text else None


def header_json(header: Mapping[str, Value]) -> str:
    """The header as JSON that jsonb accepts."""
    text = json.dumps(header, separators=(",", ":"))
    # NUL and lone surrogates are the two things that JSON can say and jsonb refuses.
    if len(text) <= HEADER_BYTES and "\\u0000" not in text and "\\ud" not in text:
        return text
    return json.dumps({storable(key): _bounded(value) for key, value in header.items()}, separators=(",", ":"))


def _bounded(value: Value) -> Value:
    if isinstance(value, str):
        return column(value) if len(value) > TEXT_BYTES else storable(value)
    return [storable(v)[:TEXT_BYTES] for v in value[:64]]


@dataclass(frozen=True, slots=True)
class PatientColumns:
    """Who a sender says the patient is."""

    patient_id: str
    issuer_of_patient_id: str
    anchor: str
    patient_name: str
    patient_birth_date: date | None
    patient_sex: str

    @property
    def key(self) -> tuple[str, str, str]:
        """What makes two of them one patient."""
        return self.patient_id, self.issuer_of_patient_id, self.anchor


def patient_columns(values: Raw, study_instance_uid: str) -> PatientColumns:
    """From the raw values of PATIENT_KEYS; without a Patient ID the study is the anchor."""
    identifier = column(values[0])
    return PatientColumns(
        patient_id=identifier,
        issuer_of_patient_id=column(values[1]) if identifier else "",
        anchor="" if identifier else study_instance_uid,
        patient_name=column(values[2]),
        patient_birth_date=parse_date(values[3]) if values[3] else None,
        patient_sex=column(values[4]),
    )


def study_columns(values: Raw) -> tuple[date | str | None, ...]:
    """From the raw values of STUDY_KEYS, in their order."""
    return (parse_date(values[0]) if values[0] else None, *map(column, values[1:]))


def series_columns(values: Raw) -> tuple[date | int | str | None, ...]:
    """From the raw values of SERIES_KEYS, in their order."""
    return (
        column(values[0]), big_int(values[1]), *map(column, values[2:8]),
        parse_date(values[8]) if values[8] else None, column(values[9]),
    )  # fmt: skip
