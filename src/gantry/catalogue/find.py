"""Search the index: series and instances, a page at a time, newest first. Studies are in `search`.

Every search is one query, whatever it finds. Pages follow keys, not offsets, so that page 1 000 costs what
page 1 costs and nothing is shown twice because something new came in between.
"""

from __future__ import annotations

import base64
import binascii
import json
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any, Generic, LiteralString, TypeVar

import psycopg
from psycopg.rows import class_row

from gantry import database
from gantry.catalogue.access import EVERYTHING, Access, Level
from gantry.catalogue.errors import BadCursor

MAX_LIMIT = 1000
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class SeriesFound:
    """A series and the UID of its study."""

    id: int
    study_instance_uid: str
    series_instance_uid: str
    modality: str
    series_number: int | None
    series_description: str
    body_part_examined: str
    protocol_name: str
    manufacturer: str
    manufacturer_model_name: str
    station_name: str
    series_date: date | None
    series_time: str
    instance_count: int
    size_bytes: int
    first_received_at: datetime
    last_received_at: datetime


@dataclass(frozen=True, slots=True)
class InstanceFound:
    """An instance with its current version; `sha256` is of the data set."""

    id: int
    study_instance_uid: str
    series_instance_uid: str
    sop_instance_uid: str
    sop_class_uid: str
    instance_number: int | None
    number_of_frames: int | None
    rows: int | None
    columns: int | None
    version_count: int
    version_id: int
    sha256: bytes
    transfer_syntax_uid: str
    dataset_bytes: int
    file_bytes: int
    file_path: str
    origin: str
    calling_aet: str
    called_aet: str
    remote_address: str
    received_at: datetime
    indexed_at: datetime
    warnings: list[str]
    patient_level: Level = "full"
    study_row: int = 0


@dataclass(frozen=True, slots=True)
class Page(Generic[T]):
    """Some rows and the cursor of the rows after them; no cursor: these were the last."""

    items: list[T]
    next: str | None


def like(pattern: str, *, contains: bool = False) -> str:
    """A DICOM wildcard pattern (PS3.4 C.2.2.2.4: * and ?) as a pattern of LIKE, in lower case."""
    escaped = pattern.lower().replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_")
    return f"%{escaped}%" if contains else escaped.replace("*", "%").replace("?", "_")


def _text(value: str | None) -> str | None:
    # No column holds a NUL, and no parameter may: the search finds nothing instead of failing.
    return value.replace("\0", "\N{REPLACEMENT CHARACTER}") if value else None


def find_series(
    connection: psycopg.Connection[Any],
    *,
    study_instance_uid: str | None = None,
    series_instance_uid: str | None = None,
    modality: str | None = None,
    limit: int = 100,
    cursor: str | None = None,
    access: Access = EVERYTHING,
) -> Page[SeriesFound]:
    """Series that have instances, the newest first. Raises BadCursor."""
    after = _decode(cursor, 1)
    values = {
        "study_uid": _text(study_instance_uid),
        "uid": _text(series_instance_uid),
        "modality": _text(modality),
        "after_id": after[0] if after else None,
    }
    return _page(connection, Search("find_series", "st.id", access), SeriesFound, values, limit, lambda s: [s.id])


def find_instances(
    connection: psycopg.Connection[Any],
    *,
    study_instance_uid: str | None = None,
    series_instance_uid: str | None = None,
    sop_instance_uid: str | None = None,
    sop_class_uid: str | None = None,
    limit: int = 100,
    cursor: str | None = None,
    access: Access = EVERYTHING,
) -> Page[InstanceFound]:
    """Instances with their current version, the newest first. Raises BadCursor."""
    after = _decode(cursor, 1)
    values = {
        "study_uid": _text(study_instance_uid),
        "series_uid": _text(series_instance_uid),
        "uid": _text(sop_instance_uid),
        "class_uid": _text(sop_class_uid),
        "after_id": after[0] if after else None,
    }
    return _page(connection, Search("find_instances", "st.id", access), InstanceFound, values, limit, lambda i: [i.id])


@dataclass(frozen=True, slots=True)
class Search:
    """A statement of find.sql, the column that holds the study's id there, and what may be seen."""

    name: str
    study: LiteralString
    access: Access

    @property
    def sql(self) -> LiteralString:
        """The statement with the conditions of the access in it."""
        return self.access.into(database.statements("gantry.catalogue", "find.sql")[self.name], self.study)


def _page(
    connection: psycopg.Connection[Any],
    search: Search,
    kind: type[T],
    values: dict[str, Any],
    limit: int,
    key: Any,
) -> Page[T]:
    limit = max(1, min(limit, MAX_LIMIT))
    with psycopg.Cursor(connection, row_factory=class_row(kind)) as found:
        # Not prepared: the plan must be for the filters that are given, and most are not.
        found.execute(search.sql, {**values, **search.access.params, "limit": limit + 1}, prepare=False)
        items = found.fetchall()
    more = len(items) > limit
    items = items[:limit]
    return Page(items, _encode(key(items[-1])) if more else None)


def _encode(key: list[Any]) -> str:
    return base64.urlsafe_b64encode(json.dumps(key).encode()).decode().rstrip("=")


def _decode(cursor: str | None, width: int) -> list[Any] | None:
    if not cursor:
        return None
    try:
        key = json.loads(base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4)))
    except (binascii.Error, ValueError, RecursionError) as error:
        raise BadCursor(BadCursor.__doc__) from error
    identifier = key[-1] if isinstance(key, list) and len(key) == width else None
    if not isinstance(identifier, int) or isinstance(identifier, bool) or not 0 <= identifier < 2**63:
        raise BadCursor(BadCursor.__doc__)
    return list(key)
