from __future__ import annotations

from collections.abc import Iterator

import psycopg
import pytest

from gantry import database


@pytest.fixture
def connection(django_db_setup: None) -> Iterator[psycopg.Connection]:
    """A connection that commits; the audit's rows stay for the whole run, as they must."""
    with database.connect(autocommit=True, application="audit-test") as opened:
        yield opened
