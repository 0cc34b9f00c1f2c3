"""The queue's tables are not Django's to empty after a test."""

from __future__ import annotations

import os
from collections.abc import Iterator

import psycopg
import pytest


@pytest.fixture
def connection(transactional_db: None) -> Iterator[psycopg.Connection]:
    """A connection of the test's own, autocommit; the queue is empty."""
    with psycopg.connect(os.environ["GANTRY_DATABASE_URL"], autocommit=True) as opened:
        opened.execute("TRUNCATE procrastinate_jobs, procrastinate_workers CASCADE")
        yield opened


@pytest.fixture
def empty_queue(connection: psycopg.Connection) -> None:
    """For tests that only want the queue empty."""
