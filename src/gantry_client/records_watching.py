"""The audit, alerts, webhooks and changes. Fields that a newer server adds are left out."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any


@dataclass(frozen=True, slots=True)
class AuditEntry:
    """One act: who, when, from where, what."""

    act: str
    address: str
    after: Any
    at: datetime
    before: Any
    id: int
    key: str
    kind: str
    patient_id: str
    reason: str
    study_uid: str
    token_id: int | None
    user_id: int | None
    via: str
    who: str


@dataclass(frozen=True, slots=True)
class Alert:
    """Something that somebody should look at."""

    acknowledged_at: datetime | None
    acknowledged_by: str
    closed_at: datetime | None
    id: int
    last_at: datetime
    message: str
    opened_at: datetime
    remedy: str
    rule: str
    state: str
    subject: str


@dataclass(frozen=True, slots=True)
class Webhook:
    """An address that is told of changes."""

    created_at: datetime
    created_by: str
    enabled: bool
    failures: int
    kinds: tuple[str, ...]
    name: str
    not_before: datetime | None
    url: str


@dataclass(frozen=True, slots=True)
class NewWebhook:
    """A new webhook, with the secret that signs: keep it now."""

    created_at: datetime
    created_by: str
    enabled: bool
    failures: int
    kinds: tuple[str, ...]
    name: str
    not_before: datetime | None
    secret: str
    url: str


@dataclass(frozen=True, slots=True)
class Attempt:
    """What a test of a webhook came to."""

    explanation: str
    ok: bool
    status: int | None


@dataclass(frozen=True, slots=True)
class Notice:
    """One message to a webhook."""

    attempts: int
    created_at: datetime
    explanation: str
    finished_at: datetime | None
    id: int
    kind: str
    state: str
    status: int | None


@dataclass(frozen=True, slots=True)
class Change:
    """One change; `id` is its place in the feed."""

    at: datetime
    data: dict[str, Any]
    id: int
    kind: str


@dataclass(frozen=True, slots=True)
class AuditProblem:
    """Where a chain of the audit does not hold, and what that means."""

    entry_id: int | None
    explanation: str
    kind: str


@dataclass(frozen=True, slots=True)
class AuditCheck:
    """What a check of the audit found. `problem_count` may be more than the `problems` that are told."""

    anchors: int
    entries: int
    head: Any
    ok: bool
    problem_count: int
    problems: tuple[AuditProblem, ...]
    retirements: int
