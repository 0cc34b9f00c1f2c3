"""What was asked of nodes, and who may call. Fields that a newer server adds are left out."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any


@dataclass(frozen=True, slots=True)
class Profile:
    """What the last probe found."""

    change: str
    names: dict[str, Any]
    profile: dict[str, Any] | None
    profiled_at: datetime | None
    quirks: dict[str, Any]


@dataclass(frozen=True, slots=True)
class Fetch:
    """A fetch that was ordered: waiting, running, done, failed or cancelled."""

    announced: int | None
    created_at: datetime
    ended_at: datetime | None
    error: str
    how: str
    id: str
    missing: tuple[str, ...]
    present: int
    received: int
    started_at: datetime | None
    state: str
    uids: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Found:
    """Answers to a query, as DICOM JSON (PS3.18 annex F)."""

    dropped: int
    items: tuple[dict[str, Any], ...]
    more: bool


@dataclass(frozen=True, slots=True)
class Caller:
    """An AE title that is let in."""

    aet: str
    certificate: str
    created_at: datetime
    created_by: str
    enabled: bool
    hosts: tuple[str, ...]
    may: tuple[str, ...]
    name: str


@dataclass(frozen=True, slots=True)
class RefusedCaller:
    """Who called and was not let in."""

    aet: str
    count: int
    first_seen_at: datetime
    host: str
    last_seen_at: datetime
    reason: str
