"""A connection of the hot path, rows to index, and a check of every count."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from typing import Any
from uuid import uuid4

import psycopg
import pytest

from gantry import database
from gantry.catalogue import IndexedBatch, VersionRow, index_versions

ROOT = "1.2.826.0.1.3680043.10.1338.5"
NOW = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)


def make_row(
    instance: str = "1",
    *,
    study: str = "1",
    series: str = "1",
    content: str = "",
    header: dict[str, Any] | None = None,
    **changes: Any,
) -> VersionRow:
    """A row of a small CT; `content` stands for the bytes, `header` replaces single attributes."""
    sop = f"{ROOT}.{study}.{series}.{instance}"
    values = {
        "PatientID": "P-1", "PatientName": "Muster^Anna", "PatientBirthDate": "19700131", "PatientSex": "F",
        "StudyDate": "20240229", "StudyTime": "101112", "AccessionNumber": "A-1", "StudyDescription": "Thorax",
        "Modality": "CT", "SeriesNumber": "3", "SeriesDescription": "axial", "InstanceNumber": "7",
        "Rows": "512", "Columns": "512", **(header or {}),
    }  # fmt: skip
    fields: dict[str, Any] = {
        "sop_instance_uid": sop,
        "sop_class_uid": "1.2.840.10008.5.1.4.1.1.2",
        "study_instance_uid": f"{ROOT}.{study}",
        "series_instance_uid": f"{ROOT}.{study}.{series}",
        "header": {key: value for key, value in values.items() if value is not None},
        "dataset_offset": 400,
        "dataset_bytes": 600,
        "file_bytes": 1000,
        "transfer_syntax_uid": "1.2.840.10008.1.2.1",
        "origin": "dimse",
        "received_at": NOW,
        "calling_aet": "CT1",
        "called_aet": "GANTRY",
        "slot": "r0",
        **changes,
    }
    digest = hashlib.sha256(f"{sop}{content}".encode()).digest()
    path = f"objects/00/{fields['study_instance_uid']}/{fields['series_instance_uid']}/{sop}~{digest.hex()[:16]}.dcm"
    return VersionRow(**{"sha256": digest, "file_path": path, **fields})


@pytest.fixture
def connection(transactional_db: None) -> Iterator[psycopg.Connection]:
    with database.connect() as opened:
        yield opened


@pytest.fixture
def index(connection: psycopg.Connection) -> Callable[..., IndexedBatch]:
    """index(*rows) writes one batch and commits."""

    def write(*rows: VersionRow, now: datetime = NOW) -> IndexedBatch:
        batch = index_versions(connection, rows, batch_id=uuid4(), now=now)
        connection.commit()
        return batch

    return write


_WRONG = """
SELECT 'study', st.study_instance_uid FROM catalogue_study st WHERE
  (instance_count, size_bytes) <> (SELECT count(*), coalesce(sum(v.dataset_bytes), 0)
     FROM catalogue_series se JOIN catalogue_instance i ON i.series_id = se.id
     JOIN catalogue_version v ON v.instance_id = i.id AND v.current WHERE se.study_id = st.id)
  OR series_count <> (SELECT count(DISTINCT i.series_id) FROM catalogue_series se
     JOIN catalogue_instance i ON i.series_id = se.id WHERE se.study_id = st.id)
  OR conflict_count <> (SELECT count(*) FROM catalogue_conflict c WHERE c.study_id = st.id)
UNION ALL
SELECT 'series', se.series_instance_uid FROM catalogue_series se WHERE
  (instance_count, size_bytes) <> (SELECT count(*), coalesce(sum(v.dataset_bytes), 0)
     FROM catalogue_instance i JOIN catalogue_version v ON v.instance_id = i.id AND v.current WHERE i.series_id = se.id)
UNION ALL
SELECT 'patient', p.patient_id FROM catalogue_patient p
  WHERE study_count <> (SELECT count(*) FROM catalogue_study st WHERE st.patient_id = p.id) OR study_count = 0
UNION ALL
SELECT 'instance', i.sop_instance_uid FROM catalogue_instance i
  WHERE version_count <> (SELECT count(*) FROM catalogue_version v WHERE v.instance_id = i.id)
     OR 1 <> (SELECT count(*) FROM catalogue_version v WHERE v.instance_id = i.id AND v.current)
"""


def wrong_counts(connection: psycopg.Connection) -> list[Any]:
    """Every row whose counts are not what counting gives."""
    found = connection.execute(_WRONG).fetchall()
    connection.rollback()
    return found
