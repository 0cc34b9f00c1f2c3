"""Connections for the hot path and the named statements it runs (psycopg, no ORM)."""

from __future__ import annotations

import os
import re
from functools import cache
from importlib import resources
from typing import LiteralString, cast

import psycopg

_NAME = re.compile(r"^-- name: (\w+)\s*$", re.MULTILINE)


def conninfo() -> str:
    """libpq connection string of this process (`main` sets GANTRY_DATABASE_URL before any room runs)."""
    return os.environ["GANTRY_DATABASE_URL"]


def connect(*, autocommit: bool = False, application: str = "gantry") -> psycopg.Connection:
    """A plain synchronous connection with keep-alive; the caller closes it."""
    return psycopg.connect(
        conninfo(),
        autocommit=autocommit,
        application_name=application,
        keepalives=1,
        keepalives_idle=30,
        keepalives_interval=10,
        keepalives_count=3,
        connect_timeout=10,
    )


@cache
def statements(package: str, file: str = "queries.sql") -> dict[str, LiteralString]:
    """The statements of `<package>/sql/<file>`: each begins with a line `-- name: <name>`.

    >>> statements("gantry.catalogue")["insert_versions"]  # doctest: +SKIP
    """
    text = resources.files(package).joinpath("sql", file).read_text(encoding="utf-8")
    parts = _NAME.split(text)
    return {name: cast("LiteralString", body.strip()) for name, body in zip(parts[1::2], parts[2::2], strict=True)}
