"""Retention: rules that send studies to the trash, and which studies may go, the oldest first.

What "delivered" means is said by the room of transfers, above this one, as a function.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Literal, TypeAlias

import psycopg
from psycopg.rows import class_row

from gantry import audit, database
from gantry.catalogue.errors import BadRetention, RetentionMissing

#: Of some studies (by their rows) those that were delivered, all of them to every destination, and when that was done.
Delivered: TypeAlias = Callable[[psycopg.Connection[Any], Sequence[int]], dict[int, datetime]]
#: Studies that are looked at in one go.
_PAGE = 200
#: A study that came just now may still be on its way to its first delivery.
YOUNGEST = timedelta(minutes=10)
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,62}", re.ASCII)
_MOST_DAYS = 36_500


@dataclass(frozen=True, slots=True)
class Rule:
    """Studies of `calling_aet` and `modality` (empty: any) go to the trash `days` days `after` delivery or reception."""

    id: int
    name: str
    calling_aet: str
    modality: str
    days: int
    after: str
    enabled: bool
    created_by: str
    created_at: datetime


@dataclass(frozen=True, slots=True)
class OldStudy:
    """A study that nothing keeps."""

    id: int
    study_instance_uid: str
    last_received_at: datetime
    size_bytes: int


def list_rules(connection: psycopg.Connection[Any]) -> list[Rule]:
    """All retention rules, by name."""
    with psycopg.Cursor(connection, row_factory=class_row(Rule)) as cursor:
        return cursor.execute(database.statements("gantry.catalogue", "life.sql")["list_rules"]).fetchall()


def put_rule(
    connection: psycopg.Connection[Any],
    name: str,
    *,
    days: int,
    calling_aet: str = "",
    modality: str = "",
    after: Literal["delivered", "received"] = "delivered",
    enabled: bool = True,
    by: audit.By,
) -> None:
    """Add a retention rule, or change the one of this name. Raises BadRetention."""
    if not _NAME.fullmatch(name):
        raise BadRetention("a rule is named by letters, digits, '-' and '_', at most 63, beginning with a letter or digit")
    if not 0 <= days <= _MOST_DAYS:
        raise BadRetention(f"days is {days}; it must be between 0 and {_MOST_DAYS}")
    if len(calling_aet) > 16 or len(modality) > 16:
        raise BadRetention("an AE title and a modality have at most 16 characters (PS3.5 6.2)")
    with connection.transaction():
        before = next((rule for rule in list_rules(connection) if rule.name == name), None)
        values: dict[str, str | int] = {
            "name": name, "calling_aet": calling_aet.strip(), "modality": modality.strip(), "days": days, "after": after,
            "enabled": enabled,
        }  # fmt: skip
        _run(connection, "put_rule", **values, who=by.who, now=datetime.now(UTC))
        old = {key: getattr(before, key) for key in values} if before else None
        audit.record(connection, "retention.edit", by, kind="retention rule", key=name, before=old, after=values)


def drop_rule(connection: psycopg.Connection[Any], name: str, *, by: audit.By) -> None:
    """Remove a retention rule. Raises RetentionMissing."""
    with connection.transaction():
        if _run(connection, "drop_rule", name=name).fetchone() is None:
            raise RetentionMissing("There is no retention rule of this name.")
        audit.record(connection, "retention.remove", by, kind="retention rule", key=name)


def due(connection: psycopg.Connection[Any], rule: Rule, delivered: Delivered, now: datetime) -> Iterator[OldStudy]:
    """The studies that a rule sends to the trash now, the oldest first. Reads page by page between other work."""
    age = timedelta(days=rule.days)
    until = now - max(age, YOUNGEST)
    for page in _old(connection, until=until, calling_aet=rule.calling_aet, modality=rule.modality):
        if rule.after == "received":
            yield from page
            continue
        done = delivered(connection, [study.id for study in page])
        yield from (study for study in page if study.id in done and done[study.id] <= now - age)


def recyclable(
    connection: psycopg.Connection[Any], volume_id: int | None, delivered: Delivered, now: datetime
) -> Iterator[OldStudy]:
    """Studies with bytes on a volume (None: the home) that were delivered and that nothing keeps, the oldest first."""
    for page in _old(connection, until=now - YOUNGEST, volume=(volume_id,)):
        done = delivered(connection, [study.id for study in page])
        yield from (study for study in page if study.id in done)


def _old(
    connection: psycopg.Connection[Any],
    *,
    until: datetime,
    calling_aet: str = "",
    modality: str = "",
    volume: tuple[int | None] | None = None,
) -> Iterator[list[OldStudy]]:
    last: OldStudy | None = None
    while True:
        values = {
            "until": until, "calling_aet": calling_aet, "modality": modality, "on_volume": volume is not None,
            "volume_id": volume[0] if volume else None, "after_at": last and last.last_received_at,
            "after_id": last and last.id, "limit": _PAGE,
        }  # fmt: skip
        with psycopg.Cursor(connection, row_factory=class_row(OldStudy)) as cursor:
            cursor.execute(database.statements("gantry.catalogue", "life.sql")["old_studies"], values, prepare=False)
            page = cursor.fetchall()
        if not page:
            return
        last = page[-1]
        yield page
        if len(page) < _PAGE:
            return


def _run(connection: psycopg.Connection[Any], name: str, /, **values: Any) -> psycopg.Cursor[Any]:
    return connection.execute(database.statements("gantry.catalogue", "life.sql")[name], values)
