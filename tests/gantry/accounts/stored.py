"""Rows of the catalogue, and their files, as the indexer would have left them."""

from __future__ import annotations

import hashlib
import uuid
from pathlib import Path
from typing import Any

from django.utils import timezone


def study(uid: str = "1.2.3", *, instances: int = 1, home: Path | None = None, **patient: Any) -> Any:
    """A study of one series; with `home` its files too."""
    from gantry.catalogue.models import Instance, Patient, Series, Study, Version

    now = timezone.now()
    person = {"patient_id": f"P{uid}", "patient_name": "Doe^Jane", "created_at": now, "study_count": 1} | patient
    row = Study.objects.create(
        patient=Patient.objects.create(**person), study_instance_uid=uid, modalities=["CT"], accession_number="A1",
        study_date="2024-03-01", series_count=1, instance_count=instances, size_bytes=instances * 8,
        first_received_at=now, last_received_at=now,
    )  # fmt: skip
    series = Series.objects.create(
        study=row,
        series_instance_uid=f"{uid}.1",
        modality="CT",
        instance_count=instances,
        first_received_at=now,
        last_received_at=now,
    )
    made = Instance.objects.bulk_create(
        Instance(
            series=series,
            sop_instance_uid=f"{uid}.1.{n}",
            sop_class_uid="1.2.840.10008.5.1.4.1.1.2",
            instance_number=n,
            created_at=now,
        )
        for n in range(1, instances + 1)
    )
    versions = []
    for instance in made:
        dataset = instance.sop_instance_uid.encode().ljust(64, b"\0")
        path = f"objects/00/{uid}/{uid}.1/{instance.sop_instance_uid}.dcm"
        if home is not None:
            place = home / path
            place.parent.mkdir(parents=True, exist_ok=True)
            place.write_bytes(bytes(128) + b"DICM" + dataset)
        versions.append(Version(
            instance=instance, sha256=hashlib.sha256(dataset).digest(), dataset_offset=132, dataset_bytes=len(dataset),
            file_path=path, file_bytes=132 + len(dataset), transfer_syntax_uid="1.2.840.10008.1.2.1", origin="dimse",
            calling_aet="MODALITY", called_aet="GANTRY", remote_address="192.0.2.1", batch_id=uuid.uuid4(), received_at=now,
            indexed_at=now, header={"PatientName": person["patient_name"]},
        ))  # fmt: skip
    Version.objects.bulk_create(versions)
    return row


def node(name: str = "archive") -> Any:
    """A node nobody listens at."""
    from gantry.nodes import registry

    return registry.add(name, "ARCHIVE@127.0.0.1:1")


def deliveries(of: Any, to: Any, status: str = "waiting") -> None:
    """One row of the ledger for each version of a study."""
    from gantry.catalogue.models import Version
    from gantry.transfers.models import Delivery

    now = timezone.now()
    Delivery.objects.bulk_create(
        Delivery(version=version, node=to, study=of, status=status, next_attempt_at=now, created_at=now, updated_at=now)
        for version in Version.objects.filter(instance__series__study=of)
    )
