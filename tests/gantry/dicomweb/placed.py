"""Real Part 10 files in the home and in the catalogue, as intake would have left them."""

from __future__ import annotations

import hashlib
import uuid
from pathlib import Path
from typing import Any

from django.utils import timezone

from gantry import config, dataset


def place(path: Path, *, study: str | None = None, series: str | None = None, instance: str | None = None) -> Any:
    """Put one file there; gives its current version. The UIDs may be given anew, the file stays as it is."""
    return place_bytes(path.read_bytes(), study=study, series=series, instance=instance)


def place_bytes(content: bytes, *, study: str | None = None, series: str | None = None, instance: str | None = None) -> Any:
    """The same of bytes."""
    from gantry.catalogue.models import Instance, Patient, Series, Study, Version

    part10 = dataset.read_part10(memoryview(content), total=len(content))
    found = dataset.scan(content[part10.dataset_offset :], part10.transfer_syntax_uid, whole=True).values

    def value(keyword: str, default: str = "") -> str:
        got = found.get(keyword, default)
        return got if isinstance(got, str) else got[0]

    unique = uuid.uuid4().int
    uids = (study or value("StudyInstanceUID", f"2.25.{unique}"), series or value("SeriesInstanceUID", f"2.25.{unique}.1"),
            instance or value("SOPInstanceUID", f"2.25.{unique}.1.1"))  # fmt: skip
    now = timezone.now()
    patient, _ = Patient.objects.get_or_create(
        patient_id=value("PatientID"), anchor="" if value("PatientID") else uids[0],
        defaults={"patient_name": value("PatientName"), "created_at": now},
    )  # fmt: skip
    row, _ = Study.objects.get_or_create(
        study_instance_uid=uids[0], defaults={"patient": patient, "first_received_at": now, "last_received_at": now}
    )
    kind, _ = Series.objects.get_or_create(
        study=row, series_instance_uid=uids[1],
        defaults={"modality": value("Modality"), "first_received_at": now, "last_received_at": now},
    )  # fmt: skip
    kind.instance_count += 1
    kind.save(update_fields=["instance_count"])
    rows, number = value("Rows"), value("InstanceNumber")
    one = Instance.objects.create(
        series=kind, sop_instance_uid=uids[2], sop_class_uid=value("SOPClassUID"), created_at=now,
        rows=int(rows) if rows.isdigit() else None, instance_number=int(number) if number.isdigit() else None,
    )  # fmt: skip
    relative = f"objects/00/{uids[0]}/{uids[1]}/{uids[2]}.dcm"
    target = Path(config.current().home) / relative
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_bytes(content)
    body = content[part10.dataset_offset :]
    return Version.objects.create(
        instance=one, sha256=hashlib.sha256(body).digest(), dataset_offset=part10.dataset_offset, dataset_bytes=len(body),
        file_path=relative, file_bytes=len(content), transfer_syntax_uid=part10.transfer_syntax_uid, origin="import",
        batch_id=uuid.uuid4(), received_at=now, indexed_at=now,
    )  # fmt: skip


def address(version: Any) -> str:
    """Of an instance below the DICOMweb root."""
    one = version.instance
    return (
        f"/dicomweb/studies/{one.series.study.study_instance_uid}/series/{one.series.series_instance_uid}"
        f"/instances/{one.sop_instance_uid}"
    )  # fmt: skip
