"""What is known of deliveries beyond the ledger. Fields that a newer server adds are left out."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any


@dataclass(frozen=True, slots=True)
class Steered:
    """Deliveries that were held, released, recalled or sent again; `under_way` ones could no longer be stopped."""

    changed: int
    under_way: int


@dataclass(frozen=True, slots=True)
class SentTo:
    """Instances of a study that were ordered for one node."""

    node: str
    ordered: int


@dataclass(frozen=True, slots=True)
class Sent:
    """A study that was ordered for nodes."""

    instances: int
    nodes: tuple[SentTo, ...]
    study_instance_uid: str


@dataclass(frozen=True, slots=True)
class Held:
    """An instance that a rule holds back."""

    ended_at: datetime | None
    ended_by: str
    ended_reason: str
    held_at: datetime
    id: int
    reason: str
    rule_name: str
    sop_instance_uid: str | None
    state: str
    study_instance_uid: str | None


@dataclass(frozen=True, slots=True)
class Decision:
    """Why something went where it went: the rule as it was then."""

    action: dict[str, Any]
    conditions: tuple[str, ...]
    deliveries: int
    first_at: datetime
    held: int
    id: int
    last_at: datetime
    rule_name: str
    study_instance_uid: str | None
    trigger: str
    version: int


@dataclass(frozen=True, slots=True)
class DeliveryAttempt:
    """Instances of a study that met the same at their `number`-th attempt; `dead` of them were given up.

    `outcome`: confirmed, refused, failed (no answer), damaged, untried (no connection), missing (confirmed, but not found
    later), silent (the destination as a whole gave no sign of life, `count` times).
    """

    began_at: datetime
    cause: str
    count: int
    dead: int
    delivery_ids: tuple[int, ...]
    dimse_status: int | None
    ended_at: datetime
    node: str
    number: int
    outcome: str
    remedy: str
    seconds: float


@dataclass(frozen=True, slots=True)
class Destination:
    """A destination now. `bytes` are open, `rate` and `limit` in bytes per second (limit None: none, 0: closed)."""

    away: int
    breaker: str
    breaker_since: datetime | None
    bytes: int
    dead: int
    enabled: bool
    failed: int
    finish_at: datetime | None
    held: int
    kind: str
    last_error: str
    last_success_at: datetime | None
    limit: float | None
    max_associations: int
    name: str
    oldest: datetime | None
    parallel: int | None
    rate: float | None
    retry_at: datetime | None
    sent: int
    waiting: int
