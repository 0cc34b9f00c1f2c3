"""Bring the tables to this version, once, whoever comes first (our own and the queue's)."""

from __future__ import annotations

import psycopg

from gantry import database
from gantry.main.errors import DatabaseTooOld, DatabaseUnreachable

#: Any number no other program locks by; "gantry" in ASCII.
_LOCK = 0x67616E747279
_OLDEST = 150000


def check_server() -> int:
    """The server's version number (180004 for 18.4). Raises DatabaseUnreachable, DatabaseTooOld."""
    try:
        with database.connect(autocommit=True, application="gantry-check") as connection:
            version = connection.info.server_version
    except psycopg.Error as error:
        # libpq hints in lines that begin with a tab; of several hosts the last one counts.
        lines = [line for line in str(error).strip().splitlines() if not line.startswith("\t")]
        raise DatabaseUnreachable(
            f"The database does not answer: {lines[-1] if lines else type(error).__name__}",
            "Check GANTRY_DATABASE_URL and that the server runs",
        ) from error
    if version < _OLDEST:
        raise DatabaseTooOld(f"The database server has version {version // 10000}", "Use PostgreSQL 15 or later")
    return version


def pending() -> list[str]:
    """Names of the migrations that are not applied. Needs django.setup()."""
    from django.db import connection
    from django.db.migrations.executor import MigrationExecutor

    executor = MigrationExecutor(connection)
    plan = executor.migration_plan(executor.loader.graph.leaf_nodes())
    connection.close()
    return [f"{migration.app_label}.{migration.name}" for migration, _ in plan]


def migrate() -> list[str]:
    """Apply what is pending under a lock of the database; gives the names. Needs django.setup()."""
    from django.core.management import call_command

    check_server()
    with database.connect(autocommit=True, application="gantry-migrate") as lock:
        lock.execute("SELECT pg_advisory_lock(%s)", [_LOCK])
        names = pending()
        if names:
            call_command("migrate", interactive=False, verbosity=0)
    return names
