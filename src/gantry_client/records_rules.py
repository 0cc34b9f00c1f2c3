"""Versions of the rules, and what they would do. Fields that a newer server adds are left out."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any


@dataclass(frozen=True, slots=True)
class RuleSet:
    """A version of the rules: draft, active or retired."""

    activated_at: datetime | None
    activated_by: str
    author: str
    based_on: int | None
    created_at: datetime
    note: str
    retired_at: datetime | None
    revision: int
    state: str
    updated_at: datetime
    version: int


@dataclass(frozen=True, slots=True)
class RuleTrial:
    """What one rule makes of a study."""

    conditions: tuple[dict[str, Any], ...]
    destinations: tuple[str, ...]
    differences: tuple[dict[str, Any], ...]
    hold: bool
    matched: int
    mode: str
    priority: int
    problem: str
    quarantine: str
    rule: str
    trigger: str


@dataclass(frozen=True, slots=True)
class Trial:
    """Where the rules would send a study."""

    cut: bool
    destinations: dict[str, Any]
    instances: int
    kept_back: int
    rules: tuple[RuleTrial, ...]
    version: int


@dataclass(frozen=True, slots=True)
class Replay:
    """A draft over the last days: waiting, running, done, failed or cancelled."""

    candidate: str
    created_at: datetime
    days: float
    done: int
    ended_at: datetime | None
    error: str
    id: str
    ordered_by: str
    result: dict[str, Any] | None
    state: str
    studies: int | None
