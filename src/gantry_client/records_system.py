"""Who we are at the server, and the server itself. Fields that a newer server adds are left out."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from gantry_client.records_people import InstituteRole


@dataclass(frozen=True, slots=True)
class Session:
    """Who we are and what we may. `via` is token here; `institute` is the active one."""

    actions: tuple[str, ...]
    institute: str | None
    institutes: tuple[InstituteRole, ...]
    must_change_password: bool
    role: str
    username: str
    via: str


@dataclass(frozen=True, slots=True)
class SignIn:
    """Where we are signed in with a browser."""

    address: str
    agent: str
    created_at: datetime
    current: bool
    expires_at: datetime
    id: str
    last_used_at: datetime | None


@dataclass(frozen=True, slots=True)
class SetupChange:
    """One object of the set-up that differs: `fields` name to before and after; `line` of the document."""

    change: str
    fields: dict[str, Any]
    key: str
    line: int
    section: str


@dataclass(frozen=True, slots=True)
class SetupResult:
    """What became, or would become, another. `state` is the digest of the set-up before: give it as `expected`."""

    changed: bool
    changes: tuple[SetupChange, ...]
    dry_run: bool
    notes: tuple[str, ...]
    state: str


@dataclass(frozen=True, slots=True)
class Setting:
    """A setting, and where its value comes from."""

    choices: tuple[str, ...]
    default: Any
    is_default: bool
    meaning: str
    name: str
    place: str
    source: str
    type: str
    value: Any


@dataclass(frozen=True, slots=True)
class About:
    """What runs there."""

    aet: str
    database: str
    embedded_database: bool
    home: str
    licence: str
    name: str
    python: str
    settings_file: str
    time_zone: str
    version: str
