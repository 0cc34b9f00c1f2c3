"""Empties the tables after a test in a tenth of the time of Django's `flush`.

Django truncates every table, and makes the content types and permissions of all apps anew. Here only tables that hold
rows are emptied, and content types and permissions, which no test changes, stay.
"""

from __future__ import annotations

from typing import Any

from django.db import connection

_STAY = frozenset({"django_content_type", "auth_permission"})


def empty_tables(_: Any = None) -> None:
    """All rows of our tables are gone. Stands for `TransactionTestCase._fixture_teardown`."""
    tables = sorted(set(connection.introspection.django_table_names(only_existing=True, include_views=False)) - _STAY)
    if not tables:
        return
    quoted = {name: connection.ops.quote_name(name) for name in tables}
    with connection.cursor() as cursor:
        cursor.execute(" UNION ALL ".join(f"SELECT '{name}' WHERE EXISTS (SELECT FROM {quoted[name]})" for name in tables))
        filled = [row[0] for row in cursor.fetchall()]
        if filled:
            cursor.execute(f"TRUNCATE {', '.join(quoted[name] for name in filled)} CASCADE")
