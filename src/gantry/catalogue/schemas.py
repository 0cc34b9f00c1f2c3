"""What the routes of the catalogue give: names are the keywords of PS3.6 in snake case."""

from __future__ import annotations

from datetime import date, datetime
from typing import Any
from uuid import UUID

from ninja import Schema
from pydantic import Field

from gantry.accounts.page import Digest, Page

_UID = "1.2.840.113619.2.55.3.604688119.971.1"


class StudyOut(Schema):
    """A study and its patient. Counts are of current instances."""

    study_instance_uid: str = Field(examples=[_UID])
    patient_level: str = Field(
        description="How much of the patient is shown to you: full; initials (and year of birth); none", examples=["full"]
    )
    patient_id: str = Field(description="Empty unless the level is full", examples=["4711"])
    issuer_of_patient_id: str
    patient_name: str = Field(
        description="All component groups, as sent, decoded; initials only, or empty, by the level", examples=["Doe^Jane"]
    )
    patient_birth_date: date | None = Field(description="Null unless the level is full")
    patient_birth_year: int | None = Field(default=None, description="With the level initials", examples=[1957])
    patient_sex: str
    study_date: date | None = Field(examples=["2024-03-01"])
    study_time: str
    accession_number: str
    study_id: str
    study_description: str
    referring_physician_name: str
    institution_name: str
    modalities: list[str] = Field(examples=[["CT", "SR"]])
    series_count: int
    instance_count: int
    size_bytes: int
    conflict_count: int = Field(description="Open disagreements between senders; see /conflicts")
    first_received_at: datetime
    last_received_at: datetime
    settled_at: datetime | None = Field(description="Null while more may come")
    protected: bool = Field(default=False, description="Neither recycled nor deleted while this is set")
    legal_hold: bool = Field(default=False, description="A legal hold keeps it")
    held: bool = Field(default=False, description="Something of it is held back from a destination")
    calling: list[str] = Field(default=[], description="AE titles that sent something of it", examples=[["CT1"]])


class SeriesOut(Schema):
    """A series."""

    study_instance_uid: str = Field(examples=[_UID])
    series_instance_uid: str = Field(examples=[_UID + ".2"])
    modality: str = Field(examples=["CT"])
    series_number: int | None
    series_description: str
    body_part_examined: str
    protocol_name: str
    manufacturer: str
    manufacturer_model_name: str
    station_name: str
    series_date: date | None
    series_time: str
    instance_count: int
    size_bytes: int
    first_received_at: datetime
    last_received_at: datetime


class InstanceOut(Schema):
    """A SOP instance and its current bytes."""

    study_instance_uid: str = Field(examples=[_UID])
    series_instance_uid: str = Field(examples=[_UID + ".2"])
    sop_instance_uid: str = Field(examples=[_UID + ".2.17"])
    sop_class_uid: str = Field(examples=["1.2.840.10008.5.1.4.1.1.2"])
    instance_number: int | None
    number_of_frames: int | None
    rows: int | None
    columns: int | None
    version_count: int = Field(description="How many different data sets came under this UID")
    sha256: Digest = Field(description="Of the data set as received, without preamble and group 0002; hexadecimal")
    transfer_syntax_uid: str = Field(examples=["1.2.840.10008.1.2.1"])
    dataset_bytes: int
    file_bytes: int = Field(description="With preamble and group 0002")
    received_at: datetime


class VersionOut(Schema):
    """The bytes of an instance as they once arrived."""

    id: int
    current: bool
    sha256: Digest = Field(description="Of the data set, hexadecimal")
    transfer_syntax_uid: str
    dataset_offset: int = Field(description="Where the data set begins in the file")
    dataset_bytes: int
    file_bytes: int
    origin: str = Field(description="dimse or import")
    calling_aet: str
    called_aet: str
    remote_address: str
    association_id: UUID | None
    received_at: datetime
    indexed_at: datetime
    warnings: list[str]


class ConflictOut(Schema):
    """Two senders who disagree."""

    id: int
    kind: str = Field(description="identity, demographics, bytes or hierarchy", examples=["bytes"])
    study_instance_uid: str | None
    sop_instance_uid: str | None
    details: dict[str, Any]
    seen_count: int
    first_seen_at: datetime
    last_seen_at: datetime
    resolved_at: datetime | None

    @staticmethod
    def resolve_study_instance_uid(conflict: Any) -> str | None:
        """Of its study."""
        return conflict.study.study_instance_uid if conflict.study_id else None

    @staticmethod
    def resolve_sop_instance_uid(conflict: Any) -> str | None:
        """Of its instance."""
        return conflict.instance.sop_instance_uid if conflict.instance_id else None


class StudyDetail(StudyOut):
    """A study with its series and conflicts."""

    series: list[SeriesOut]
    conflicts: list[ConflictOut]
    hold_labels: list[str] = Field(description="Of the legal holds that keep it", examples=[["case 2026-17"]])


class InstanceDetail(InstanceOut):
    """An instance with all its versions and conflicts."""

    patient_level: str = Field(default="full", description="How much of the patient is shown to you", examples=["full"])
    header: dict[str, Any] = Field(description="The scanned attributes of the current version: keyword to value")
    versions: list[VersionOut] = Field(description="Newest first")
    conflicts: list[ConflictOut]


class TermOut(Schema):
    """A word of the search box as it was understood."""

    kind: str = Field(
        description="text (name, Patient ID, accession number or description), number (the same, name last), name, patient_id, "
        "accession, description, date, modality or uid", examples=["date"],
    )  # fmt: skip
    text: str = Field(description="The word", examples=["2024"])
    start: int = Field(description="Where it begins in `q`")
    end: int = Field(description="Where it ends in `q`")
    first: date | None = Field(description="Of a date: the first day; null is open", examples=["2024-01-01"])
    last: date | None = Field(description="Of a date: the last day; null is open", examples=["2024-12-31"])
    alternatives: list[str] = Field(description="Kinds that it may be, too: put `KIND:` before the word", examples=[["number"]])
    searched: bool = Field(description="False: you may not search by this")


class StudyPage(Page[StudyOut]):
    """A page of studies."""


class FacetValue(Schema):
    """A value of a facet."""

    value: str = Field(examples=["CT"])
    count: int = Field(examples=[412])


class FacetOut(Schema):
    """How a search divides by one thing."""

    name: str = Field(description="modality, state, dated, received, calling_aet, called_aet or institute", examples=["modality"])
    values: list[FacetValue]
    more: bool = Field(description="Not all studies were counted: each number means at least")


class FacetsOut(Schema):
    """How many studies a search finds, and how they divide. A facet that narrows the search is counted as if it did not."""

    total: int = Field(examples=[10000])
    more: bool = Field(description="There are more than `total`")
    facets: list[FacetOut]
    understood: list[TermOut] = Field(description="The words of `q` as they were understood")


class SavedSearchOut(Schema):
    """A search that somebody keeps."""

    id: int
    name: str = Field(examples=["CT of today"])
    search: dict[str, str] = Field(description="Parameters of the page", examples=[{"q": "today", "modality": "CT"}])
    institute: str | None = Field(description="Shown to all of this institute; null: to you alone")
    own: bool = Field(description="You saved it: you may change it")
    saved_by: str = Field(examples=["alice"])
    created_at: datetime


class SavedSearchPage(Page[SavedSearchOut]):
    """Saved searches."""


class SeriesPage(Page[SeriesOut]):
    """A page of series."""


class InstancePage(Page[InstanceOut]):
    """A page of instances."""


class ConflictPage(Page[ConflictOut]):
    """A page of conflicts."""
