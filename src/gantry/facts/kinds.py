"""The facts of the product: what happened, as frozen values that hold identifiers and counts only."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol
from uuid import UUID


class Fact(Protocol):
    """What every fact can say about itself."""

    @property
    def payload(self) -> dict[str, str | int]:
        """The whole fact as JSON values; never patient data."""

    @property
    def arguments(self) -> dict[str, str | int]:
        """What a subscriber's queue function is called with."""


@dataclass(frozen=True, slots=True)
class Arrived:
    """A batch of new versions was indexed; `instances` is their number, duplicates not counted."""

    batch_id: UUID
    instances: int

    @property
    def payload(self) -> dict[str, str | int]:
        """Batch and number of instances."""
        return {"batch_id": str(self.batch_id), "instances": self.instances}

    @property
    def arguments(self) -> dict[str, str | int]:
        """The batch alone: who subscribes reads the rows."""
        return {"batch_id": str(self.batch_id)}


@dataclass(frozen=True, slots=True)
class Settled:
    """A study has gone quiet: no more instances are expected for now. A late instance opens it again."""

    study_id: int

    @property
    def payload(self) -> dict[str, str | int]:
        """The row of the study."""
        return {"study_id": self.study_id}

    @property
    def arguments(self) -> dict[str, str | int]:
        """The row of the study."""
        return {"study_id": self.study_id}
