"""What is kept, for how long, and what was thrown away. Fields that a newer server adds are left out."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime


@dataclass(frozen=True, slots=True)
class Trashed:
    """A study in the trash."""

    ended_at: datetime | None
    ended_by: str
    expires_at: datetime
    instance_count: int
    reason: str
    size_bytes: int
    state: str
    study_instance_uid: str
    trashed_at: datetime
    trashed_by: str


@dataclass(frozen=True, slots=True)
class Removed:
    """What was removed for good."""

    bytes: int
    instances: int
    study_instance_uid: str


@dataclass(frozen=True, slots=True)
class Restored:
    """What came back from the trash."""

    instances: int
    study_instance_uid: str


@dataclass(frozen=True, slots=True)
class Protection:
    """Whether recycling passes a study by."""

    protected: bool
    study_instance_uid: str


@dataclass(frozen=True, slots=True)
class LegalHold:
    """A legal hold: nothing removes the study while one is on it."""

    label: str
    lift_reason: str
    lifted_at: datetime | None
    lifted_by: str
    placed_at: datetime
    placed_by: str
    reason: str
    study_instance_uid: str


@dataclass(frozen=True, slots=True)
class RetentionRule:
    """How long studies of a kind are kept."""

    after: str
    calling_aet: str
    created_at: datetime
    created_by: str
    days: int
    enabled: bool
    modality: str
    name: str


@dataclass(frozen=True, slots=True)
class Volume:
    """A volume of the store."""

    free_bytes: int | None
    host: str
    is_home: bool
    name: str
    note: str
    path: str
    position: int
    quota_bytes: int | None
    reserve_bytes: int
    state: str
    used_bytes: int
    wanted: str


@dataclass(frozen=True, slots=True)
class Scrub:
    """The comparison of index and disk."""

    asked_at: datetime | None
    checked_bytes: int
    checked_files: int
    finished_at: datetime | None
    home_id: str
    mended: int
    note: str
    open_findings: int
    passes: int
    phase: str
    problems: int
    started_at: datetime | None
    state: str
    total_bytes: int
    updated_at: datetime | None


@dataclass(frozen=True, slots=True)
class ScrubFinding:
    """What the comparison found."""

    action: str
    action_note: str
    ended_at: datetime | None
    explanation: str
    found_at: datetime
    kind: str
    path: str
    seen_at: datetime
    version_id: int | None


@dataclass(frozen=True, slots=True)
class Quarantined:
    """An object that was received and not indexed."""

    called_aet: str
    calling_aet: str
    decided_at: datetime | None
    decided_by: str
    decision_reason: str
    explanation: str
    file_bytes: int
    id: str
    origin: str
    quarantined_at: datetime
    reason: str
    received_at: datetime
    remote_address: str
    sha256: str
    state: str
    transfer_syntax_uid: str
