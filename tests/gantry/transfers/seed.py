"""Rows and files as intake leaves them: one study with some instances, written straight into the tables."""

from __future__ import annotations

import hashlib
import os
import uuid
from dataclasses import dataclass
from pathlib import Path

import psycopg
from django.utils import timezone
from tests.support import part10_files as files

from gantry.catalogue.models import Instance, Patient, Series, Study, Version
from gantry.nodes import registry
from gantry.nodes.models import Node
from gantry.transfers.order import order

ROOT = "1.2.826.0.1.3680043.10.1338.77"


@dataclass
class Stored:
    """One stored instance."""

    version_id: int
    uid: str
    path: Path
    dataset: bytes

    @property
    def digest(self) -> bytes:
        return hashlib.sha256(self.dataset).digest()


@dataclass
class SeededStudy:
    """A study and its instances."""

    id: int
    uid: str
    batch_id: uuid.UUID
    instances: list[Stored]

    @property
    def version_ids(self) -> list[int]:
        return [stored.version_id for stored in self.instances]


def seed_study(
    home: Path, count: int, *, sop_class: str = files.CT_IMAGE_STORAGE, header: dict[str, object] | None = None
) -> SeededStudy:
    now = timezone.now()
    uid = f"{ROOT}.{uuid.uuid4().int}"[:50]
    patient = Patient.objects.create(patient_id="TEST-1", anchor=uid, created_at=now)
    study = Study.objects.create(
        patient=patient, study_instance_uid=uid, first_received_at=now, last_received_at=now, instance_count=count
    )
    series = Series.objects.create(study=study, series_instance_uid=f"{uid}.1", first_received_at=now, last_received_at=now)
    batch = uuid.uuid4()
    stored = [_instance(home, series, batch, f"{uid}.1.{n}", n, sop_class, header or {}) for n in range(1, count + 1)]
    return SeededStudy(study.pk, uid, batch, stored)


def _instance(
    home: Path, series: Series, batch: uuid.UUID, uid: str, number: int, sop_class: str, header: dict[str, object]
) -> Stored:
    now = timezone.now()
    dataset = files.ct_dataset(
        number=number, instance=uid, study=uid.rsplit(".", 2)[0], series=uid.rsplit(".", 1)[0], sop_class=sop_class
    )
    whole = files.part10(dataset, sop_class=sop_class, instance=uid)
    relative = f"objects/{uid}.dcm"
    path = home / relative
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(whole)
    instance = Instance.objects.create(
        series=series, sop_instance_uid=uid, sop_class_uid=sop_class, instance_number=number, created_at=now
    )
    version = Version.objects.create(
        instance=instance,
        sha256=hashlib.sha256(dataset).digest(),
        dataset_offset=len(whole) - len(dataset),
        dataset_bytes=len(dataset),
        file_path=relative,
        file_bytes=len(whole),
        transfer_syntax_uid=files.EXPLICIT_LITTLE_ENDIAN,
        origin="dimse",
        calling_aet="MODALITY",
        batch_id=batch,
        received_at=now,
        indexed_at=now,
        header={"Modality": "CT", "InstanceNumber": str(number), **header},
    )
    return Stored(version.pk, uid, path, dataset)


def add_node(name: str, port: int, **limits: float) -> Node:
    return registry.add(
        name,
        f"DEST@127.0.0.1:{port}",
        limits=registry.NodeLimits(**{"connect_seconds": 20.0, "response_seconds": 30.0, **limits}),  # type: ignore[arg-type]  # ints are floats here
    )


def order_all(study: SeededStudy, node: Node) -> int:
    with psycopg.connect(os.environ["GANTRY_DATABASE_URL"]) as connection:
        return order(connection, study.version_ids, [node.pk], "test-rule")
