"""Studies, series, instances."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date

from gantry_client.models import Instance, Series, Study
from gantry_client.nouns.asking import Asking, part


class Studies(Asking):
    """What is in the index."""

    def studies(
        self, *, patient_id: str | None = None, patient_name: str | None = None, accession_number: str | None = None,
        study_date_from: date | None = None, study_date_to: date | None = None, modality: str | None = None,
        q: str | None = None,
    ) -> Iterator[Study]:  # fmt: skip
        """Studies, the last received first; `*` and `?` are wildcards in the first three."""
        return self._all(Study, "/studies", {
            "patient_id": patient_id, "patient_name": patient_name, "accession_number": accession_number,
            "study_date_from": study_date_from, "study_date_to": study_date_to, "modality": modality, "q": q,
        })  # fmt: skip

    def study(self, study_instance_uid: str) -> Study:
        """One study. Raises NotFound."""
        return self._one(Study, "GET", f"/studies/{part(study_instance_uid)}")

    def series(self, *, study_instance_uid: str | None = None, modality: str | None = None) -> Iterator[Series]:
        """Series, the newest first."""
        return self._all(Series, "/series", {"study_instance_uid": study_instance_uid, "modality": modality})

    def one_series(self, series_instance_uid: str) -> Series:
        """One series. Raises NotFound."""
        return self._one(Series, "GET", f"/series/{part(series_instance_uid)}")

    def instances(
        self, *, study_instance_uid: str | None = None, series_instance_uid: str | None = None, sop_class_uid: str | None = None
    ) -> Iterator[Instance]:
        """Instances, the newest first."""
        return self._all(Instance, "/instances", {
            "study_instance_uid": study_instance_uid, "series_instance_uid": series_instance_uid, "sop_class_uid": sop_class_uid,
        })  # fmt: skip

    def instance(self, sop_instance_uid: str) -> Instance:
        """One instance. Raises NotFound."""
        return self._one(Instance, "GET", f"/instances/{part(sop_instance_uid)}")
