"""A connection of one's own, and two nodes."""

from __future__ import annotations

import os
from collections.abc import Iterator

import psycopg
import pytest


@pytest.fixture
def connection(db: None) -> Iterator[psycopg.Connection]:
    with psycopg.connect(os.environ["GANTRY_DATABASE_URL"]) as opened:
        opened.execute("TRUNCATE procrastinate_jobs CASCADE")
        opened.commit()
        yield opened


@pytest.fixture
def three_nodes(transactional_db: None) -> dict[str, int]:
    """Name to id."""
    from gantry.nodes import registry

    return {name: registry.add(name, "A@h:104").pk for name in ("one", "two", "three")}
