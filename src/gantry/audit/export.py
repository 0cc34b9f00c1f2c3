"""Export entries with their links, oldest first, as JSON lines or CSV, streamed."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterator
from datetime import datetime
from typing import Any, Literal

import psycopg

from gantry import database

FIELDS = (
    "id", "at", "act", "who", "via", "user_id", "token_id", "address", "kind", "key", "study_uid", "patient_id", "reason",
    "before", "after", "chain", "seq", "digest",
)  # fmt: skip


def export(
    connection: psycopg.Connection[Any], form: Literal["jsonl", "csv"], *, since: datetime | None = None,
    until: datetime | None = None,
) -> Iterator[str]:  # fmt: skip
    """Lines with their ends. `since` is included, `until` is not. Memory does not grow with the audit."""
    if form == "csv":
        yield _csv_line(FIELDS)
    with connection.transaction(), connection.cursor(name="audit_export") as cursor:
        cursor.itersize = 2000
        cursor.execute(database.statements("gantry.audit")["export"], {"since": since, "until": until})
        for row in cursor:
            values = dict(zip(FIELDS, row, strict=True))
            values["at"] = values["at"].isoformat()
            for name in ("before", "after"):  # Django's connections give jsonb as text
                if isinstance(values[name], str):
                    values[name] = json.loads(values[name])
            if form == "jsonl":
                yield json.dumps(values, ensure_ascii=False) + "\n"
            else:
                yield _csv_line(tuple(_cell(value) for value in values.values()))


def _cell(value: object) -> str:
    """A value for a spreadsheet: what would be taken for a formula gets an apostrophe in front."""
    if value is None:
        return ""
    text = json.dumps(value, ensure_ascii=False) if isinstance(value, (dict, list)) else str(value)
    return f"'{text}" if text[:1] in {"=", "+", "-", "@", "\t", "\r"} else text


def _csv_line(values: tuple[str, ...]) -> str:
    line = io.StringIO()
    csv.writer(line).writerow(values)
    return line.getvalue()
