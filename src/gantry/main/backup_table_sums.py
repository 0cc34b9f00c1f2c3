"""What is in the tables, as numbers that can be compared: rows, and a sum over them that does not depend on their order."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import psycopg
from psycopg import sql


def tables(connection: psycopg.Connection[Any]) -> list[str]:
    """Names of all tables of ours, in order."""
    rows = connection.execute(
        "SELECT table_name FROM information_schema.tables WHERE table_schema = 'public' AND table_type = 'BASE TABLE' "
        "ORDER BY table_name"
    )
    return [str(name) for (name,) in rows]


def count(connection: psycopg.Connection[Any], names: list[str]) -> Iterator[tuple[str, dict[str, str | int]]]:
    """Rows of each table."""
    for name in names:
        row = connection.execute(sql.SQL("SELECT count(*) FROM {}").format(sql.Identifier(name))).fetchone()
        assert row is not None  # count(*) gives one row
        yield name, {"rows": int(row[0])}


def count_and_sum(connection: psycopg.Connection[Any], names: list[str]) -> Iterator[tuple[str, dict[str, str | int]]]:
    """Rows of each table and the sum of their digests: reads everything."""
    statement = "SELECT count(*), coalesce(sum(hashtextextended(t::text, 0)::numeric), 0)::text FROM {} t"
    for name in names:
        row = connection.execute(sql.SQL(statement).format(sql.Identifier(name))).fetchone()
        assert row is not None  # count(*) gives one row
        yield name, {"rows": int(row[0]), "sum": str(row[1])}


def differences(expected: dict[str, dict[str, str | int]], found: dict[str, dict[str, str | int]]) -> list[str]:
    """What differs, a line for each table; sums only where both have one."""
    lines = []
    for name in sorted(expected.keys() | found.keys()):
        here, there = expected.get(name), found.get(name)
        if here is None or there is None:
            lines.append(f"{name}: only {'after' if here is None else 'before'} the restore")
        elif here["rows"] != there["rows"]:
            lines.append(f"{name}: {here['rows']} rows before, {there['rows']} after")
        elif "sum" in here and "sum" in there and here["sum"] != there["sum"]:
            lines.append(f"{name}: the same number of rows with other content")
    return lines
