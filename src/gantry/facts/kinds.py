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


@dataclass(frozen=True, slots=True)
class StudyEnded:
    """The last open association that had brought instances of a study is closed. Another may bring more."""

    study_id: int

    @property
    def payload(self) -> dict[str, str | int]:
        """The row of the study."""
        return {"study_id": self.study_id}

    @property
    def arguments(self) -> dict[str, str | int]:
        """The row of the study."""
        return {"study_id": self.study_id}


@dataclass(frozen=True, slots=True)
class RulesChanged:
    """Another version of the rules decides from now on."""

    version: int

    @property
    def payload(self) -> dict[str, str | int]:
        """Its number."""
        return {"version": self.version}

    @property
    def arguments(self) -> dict[str, str | int]:
        """Its number."""
        return {"version": self.version}


@dataclass(frozen=True, slots=True)
class RuleFailed:
    """Rules could not be evaluated, or lead nowhere: they sent nothing. At most once a minute and version."""

    version: int
    rules: int

    @property
    def payload(self) -> dict[str, str | int]:
        """The version of the rules, and how many of them."""
        return {"version": self.version, "rules": self.rules}

    @property
    def arguments(self) -> dict[str, str | int]:
        """The version of the rules."""
        return {"version": self.version}


@dataclass(frozen=True, slots=True)
class AlertChanged:
    """An alert was opened, acknowledged or closed."""

    alert_id: int
    state: str

    @property
    def payload(self) -> dict[str, str | int]:
        """The row of the alert and its state."""
        return {"alert_id": self.alert_id, "state": self.state}

    @property
    def arguments(self) -> dict[str, str | int]:
        """The row of the alert."""
        return {"alert_id": self.alert_id}


@dataclass(frozen=True, slots=True)
class StudyDeleted:
    """A study was put into the trash, restored from it, or removed for good. `state`: trash, restored or removed."""

    study_id: int
    state: str

    @property
    def payload(self) -> dict[str, str | int]:
        """The row of the study and what it became."""
        return {"study_id": self.study_id, "state": self.state}

    @property
    def arguments(self) -> dict[str, str | int]:
        """The row of the study."""
        return {"study_id": self.study_id}


@dataclass(frozen=True, slots=True)
class Delivered:
    """Everything of a study that was ordered to a node so far has been confirmed by it."""

    study_id: int
    node_id: int

    @property
    def payload(self) -> dict[str, str | int]:
        """The rows of study and node."""
        return {"study_id": self.study_id, "node_id": self.node_id}

    @property
    def arguments(self) -> dict[str, str | int]:
        """The rows of study and node."""
        return {"study_id": self.study_id, "node_id": self.node_id}


@dataclass(frozen=True, slots=True)
class DeliveryFailed:
    """Deliveries to a node are dead: a person decides."""

    node_id: int

    @property
    def payload(self) -> dict[str, str | int]:
        """The row of the node."""
        return {"node_id": self.node_id}

    @property
    def arguments(self) -> dict[str, str | int]:
        """The row of the node."""
        return {"node_id": self.node_id}
