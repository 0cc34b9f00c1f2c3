"""What the server tells us, typed. Fields that a newer server adds are left out."""

from __future__ import annotations

import types
import typing
from dataclasses import dataclass, fields, is_dataclass
from datetime import date, datetime
from typing import Any, TypeVar

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Study:
    """A study and its patient."""

    study_instance_uid: str
    patient_id: str
    issuer_of_patient_id: str
    patient_name: str
    patient_birth_date: date | None
    patient_sex: str
    study_date: date | None
    study_time: str
    accession_number: str
    study_id: str
    study_description: str
    referring_physician_name: str
    institution_name: str
    modalities: tuple[str, ...]
    series_count: int
    instance_count: int
    size_bytes: int
    conflict_count: int
    first_received_at: datetime
    last_received_at: datetime
    settled_at: datetime | None


@dataclass(frozen=True, slots=True)
class Series:
    """A series."""

    study_instance_uid: str
    series_instance_uid: str
    modality: str
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


@dataclass(frozen=True, slots=True)
class Instance:
    """A SOP instance; `sha256` is of the data set, hexadecimal."""

    study_instance_uid: str
    series_instance_uid: str
    sop_instance_uid: str
    sop_class_uid: str
    instance_number: int | None
    number_of_frames: int | None
    rows: int | None
    columns: int | None
    version_count: int
    sha256: str
    transfer_syntax_uid: str
    dataset_bytes: int
    file_bytes: int
    received_at: datetime


@dataclass(frozen=True, slots=True)
class Node:
    """A place the server talks to."""

    name: str
    kind: str
    address: str
    aet: str
    host: str
    port: int
    calling_aet: str
    max_associations: int
    max_attempts: int
    connect_seconds: float
    response_seconds: float
    enabled: bool
    transcode: str
    bandwidth: str
    reconcile: str
    breaker: str
    tls: bool
    user_name: str
    created_at: datetime
    last_success_at: datetime | None
    last_failure_at: datetime | None
    last_error: str


@dataclass(frozen=True, slots=True)
class Echo:
    """What a C-ECHO came to."""

    ok: bool
    milliseconds: float
    message: str
    remedy: str


@dataclass(frozen=True, slots=True)
class Rule:
    """A rule; `when` are its conditions as they are written."""

    name: str
    enabled: bool
    when: tuple[str, ...]
    trigger: str
    destinations: tuple[str, ...]
    mode: str
    priority: int
    hold: bool
    quarantine: str
    created_at: datetime | None
    updated_at: datetime | None


@dataclass(frozen=True, slots=True)
class Delivery:
    """One instance on its way to one destination."""

    id: int
    study_instance_uid: str
    sop_instance_uid: str
    node: str
    rule_name: str
    status: str
    attempts: int
    next_attempt_at: datetime | None
    dimse_status: int | None
    error: str
    priority: int
    hold_reason: str
    stored_sha256: str
    sent_sha256: str | None
    dataset_bytes: int
    created_at: datetime
    sent_at: datetime | None
    confirmed_at: datetime | None
    verified_by: str
    verified_at: datetime | None


@dataclass(frozen=True, slots=True)
class InstanceReceipt:
    """One instance at one destination."""

    sop_instance_uid: str
    status: str
    dimse_status: int | None
    error: str
    attempts: int
    identical: bool
    stored_sha256: str
    sent_sha256: str | None
    dataset_bytes: int
    transfer_syntax_uid: str
    sent_at: datetime | None
    confirmed_at: datetime | None


@dataclass(frozen=True, slots=True)
class DestinationReceipt:
    """All deliveries of a study to one node."""

    node: str
    aet: str
    ordered: int
    confirmed: int
    complete: bool
    instances: tuple[InstanceReceipt, ...]


@dataclass(frozen=True, slots=True)
class Receipt:
    """What was delivered where; `complete`: everything ordered was confirmed, byte-identical."""

    study_instance_uid: str
    instances: int
    complete: bool
    destinations: tuple[DestinationReceipt, ...]


_HINTS: dict[type[Any], dict[str, Any]] = {}


def _hints(kind: type[Any]) -> dict[str, Any]:
    if kind not in _HINTS:
        _HINTS[kind] = typing.get_type_hints(kind)
    return _HINTS[kind]


def read(kind: type[T], content: Any) -> T:
    """A dataclass from JSON. Raises ValueError when a field is missing or is something else."""
    if not isinstance(content, dict):
        raise ValueError(f"not a {kind.__name__}")
    hints = _hints(kind)
    values = {}
    for field in fields(kind):  # type: ignore[arg-type]  # `kind` is one of the dataclasses above
        if field.name not in content:
            raise ValueError(f"{kind.__name__} without {field.name}")
        values[field.name] = _value(hints[field.name], content[field.name], field.name)
    return kind(**values)


def _value(hint: Any, value: Any, name: str) -> Any:
    if isinstance(hint, types.UnionType):
        if value is None:
            return None
        hint = next(one for one in hint.__args__ if one is not type(None))
    if hint is Any:
        return value
    if typing.get_origin(hint) is tuple:
        if not isinstance(value, list):
            raise ValueError(f"{name} is no list")
        return tuple(_value(hint.__args__[0], one, name) for one in value)
    if is_dataclass(hint) and isinstance(hint, type):
        return read(hint, value)
    return _scalar(dict if typing.get_origin(hint) is dict else hint, value, name)


def _scalar(hint: Any, value: Any, name: str) -> Any:
    if hint in (date, datetime) and isinstance(value, str):
        return hint.fromisoformat(value)
    if hint is float and isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    if not isinstance(value, hint) or (hint is int and isinstance(value, bool)):
        raise ValueError(f"{name} is no {hint.__name__}")
    return value
