"""Senders who disagree: found by comparing, recorded beside the rows, never resolved by overwriting."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any

import psycopg

from gantry import database
from gantry.catalogue.rows import PatientColumns, VersionRow, column


@dataclass(frozen=True, slots=True)
class Disagreement:
    """One conflict to record; `key` parts that are the same count as a repeat."""

    kind: str
    parts: tuple[str, ...]
    study_id: int
    instance_id: int | None = None
    details: dict[str, Any] = field(default_factory=dict)

    @property
    def key(self) -> str:
        """A digest: the parts come from strangers and an index row has a limit."""
        return hashlib.sha256("\0".join(self.parts).encode("utf-8", "replace")).hexdigest()


def same_identity(kept: PatientColumns, arrived: PatientColumns) -> bool:
    """One patient by Patient ID; issuers differ only where both are given."""
    if kept.patient_id != arrived.patient_id:
        return False
    return (
        kept.issuer_of_patient_id == arrived.issuer_of_patient_id
        or not kept.issuer_of_patient_id
        or not arrived.issuer_of_patient_id
    )


def same_name(one: str, other: str) -> bool:
    """PS3.5 6.2.1: equal but for case, trailing carets and component groups that only one of them has."""
    for left, right in zip(one.split("="), other.split("="), strict=False):
        first, second = left.rstrip("^ ").casefold(), right.rstrip("^ ").casefold()
        if first and second and first != second:
            return False
    return True


def contradiction(kept: PatientColumns, arrived: PatientColumns) -> bool:
    """Both give a name or both give a birth date, and they are not the same."""
    names = bool(kept.patient_name and arrived.patient_name) and not same_name(kept.patient_name, arrived.patient_name)
    dates = kept.patient_birth_date, arrived.patient_birth_date
    return names or (None not in dates and dates[0] != dates[1])


def filled(kept: PatientColumns, arrived: PatientColumns) -> PatientColumns:
    """What is empty in `kept` taken from `arrived`."""
    return replace(
        kept,
        patient_name=kept.patient_name or arrived.patient_name,
        patient_birth_date=kept.patient_birth_date or arrived.patient_birth_date,
        patient_sex=kept.patient_sex or arrived.patient_sex,
    )


def _person(patient: PatientColumns) -> dict[str, str]:
    born = patient.patient_birth_date
    return {
        "patient_id": patient.patient_id,
        "issuer_of_patient_id": patient.issuer_of_patient_id,
        "patient_name": patient.patient_name,
        "patient_birth_date": born.isoformat() if born else "",
    }


def compare_patients(
    study_id: int, study_uid: str, kept: PatientColumns, arrived: PatientColumns, row: VersionRow
) -> Disagreement | None:
    """The conflict between the patient a study belongs to and the one an instance names, if there is one."""
    details = {"kept": _person(kept), "arrived": _person(arrived), "calling_aet": column(row.calling_aet)}
    if not same_identity(kept, arrived):
        parts = (study_uid, arrived.patient_id, arrived.issuer_of_patient_id)
        return Disagreement("identity", parts, study_id, details=details)
    if contradiction(kept, arrived):
        born = str(arrived.patient_birth_date)
        return Disagreement("demographics", (study_uid, arrived.patient_name, born), study_id, details=details)
    return None


def record(connection: psycopg.Connection[Any], found: list[Disagreement], now: datetime) -> dict[int, int]:
    """Write the conflicts, count repeats; gives the number of new ones by study id."""
    counted: dict[tuple[str, str], list[Any]] = {}
    for one in found:
        entry = counted.setdefault((one.kind, one.key), [one, 0])
        entry[1] += 1
    order = sorted(counted.items(), key=lambda item: item[0])
    cursor = connection.execute(
        database.statements("gantry.catalogue", "index.sql")["record_conflicts"],
        {
            "kinds": [key[0] for key, _ in order],
            "keys": [key[1] for key, _ in order],
            "study_ids": [entry[0].study_id for _, entry in order],
            "instance_ids": [entry[0].instance_id for _, entry in order],
            "details": [json.dumps(entry[0].details) for _, entry in order],
            "seen": [entry[1] for _, entry in order],
            "now": now,
        },
    )
    fresh: dict[int, int] = {}
    for study_id, is_new in cursor.fetchall():
        if is_new:
            fresh[study_id] = fresh.get(study_id, 0) + 1
    return fresh
