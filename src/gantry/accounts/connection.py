"""The database connection of a request, for verbs that speak named SQL beside Django's ORM."""

from __future__ import annotations

from typing import Any

import psycopg
from django.db import connection


def of_request() -> psycopg.Connection[Any]:
    """Django's own connection of this thread, as psycopg knows it: one per request, in autocommit.

    Django loads jsonb as text on it; the caller does not close it.
    """
    connection.ensure_connection()
    raw = connection.connection
    assert isinstance(raw, psycopg.Connection)
    return raw
