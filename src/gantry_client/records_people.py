"""People, where they belong, and what they hold. Fields that a newer server adds are left out."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime


@dataclass(frozen=True, slots=True)
class InstituteRole:
    """A role inside an institute."""

    name: str
    role: str


@dataclass(frozen=True, slots=True)
class User:
    """A person or a machine account."""

    date_joined: datetime
    department: str
    email: str
    first_name: str
    is_active: bool
    last_login: datetime | None
    last_name: str
    locked_reason: str
    memberships: tuple[InstituteRole, ...]
    must_change_password: bool
    phone: str
    role: str
    username: str


@dataclass(frozen=True, slots=True)
class Membership:
    """A person in an institute."""

    groups: tuple[str, ...]
    id: int
    institute: str
    role: str
    user: str


@dataclass(frozen=True, slots=True)
class Source:
    """What arrives with this value belongs to the institute."""

    id: int
    kind: str
    pattern: str


@dataclass(frozen=True, slots=True)
class Institute:
    """People and studies that belong together."""

    all_studies: bool
    created_at: datetime
    description: str
    name: str
    sources: tuple[Source, ...]


@dataclass(frozen=True, slots=True)
class Group:
    """People of an institute who may do more than their role says."""

    actions: tuple[str, ...]
    id: int
    institute: str
    members: tuple[str, ...]
    name: str


@dataclass(frozen=True, slots=True)
class Grant:
    """A study shown to somebody it does not belong to."""

    id: int
    reason: str
    study_id: int
    study_instance_uid: str
    to: str
    until: datetime | None


@dataclass(frozen=True, slots=True)
class May:
    """Whether something is allowed, and why or why not."""

    action: str
    allowed: bool
    reason: str


@dataclass(frozen=True, slots=True)
class Token:
    """An API token; the token itself is shown once."""

    actions: tuple[str, ...]
    created_at: datetime
    expires_at: datetime | None
    id: int
    institutes: tuple[int, ...] | None
    last_address: str
    last_used_at: datetime | None
    name: str
    nodes: tuple[str, ...]
    prefix: str
    revoked_at: datetime | None


@dataclass(frozen=True, slots=True)
class NewToken(Token):
    """A new API token, with the token itself: keep it now."""

    token: str


@dataclass(frozen=True, slots=True)
class Registration:
    """Somebody who wants an account."""

    confirmed_at: datetime | None
    created_at: datetime
    decided_at: datetime | None
    department: str
    email: str
    first_name: str
    id: int
    last_name: str
    message: str
    phone: str
    state: str
    username: str
