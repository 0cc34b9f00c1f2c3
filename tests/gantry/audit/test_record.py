"""An entry is written with the act, sealed at its commit, and refused every change after."""

from __future__ import annotations

import psycopg
import pytest
from django.db import connection as django_connection
from django.db import transaction

from gantry.audit import SYSTEM, By, by_cli, record


def links(on: psycopg.Connection, key: str) -> list[tuple[int, int, bytes]]:
    return on.execute(
        "SELECT chain, seq, digest FROM audit_link JOIN audit_entry ON audit_entry.id = entry_id WHERE key = %s ORDER BY chain, seq",
        [key],
    ).fetchall()


def test_an_entry_is_sealed_when_its_transaction_commits(connection: psycopg.Connection) -> None:
    with connection.transaction():
        record(connection, "node.edit", By("alice", "session", 7, "192.0.2.1"), kind="node", key="sealed", after={"host": "a"})
        record(connection, "node.edit", SYSTEM, kind="node", key="sealed")
        assert links(connection, "sealed") == []
    found = links(connection, "sealed")
    assert len(found) == 2
    assert found[0][0] == found[1][0]
    assert found[1][1] == found[0][1] + 1


def test_nothing_is_left_of_an_act_that_was_rolled_back(connection: psycopg.Connection) -> None:
    with connection.transaction(force_rollback=True):
        record(connection, "node.edit", SYSTEM, key="rolled-back")
    assert connection.execute("SELECT 1 FROM audit_entry WHERE key = 'rolled-back'").fetchone() is None


@pytest.mark.parametrize("table", ["audit_entry", "audit_link"])
@pytest.mark.parametrize("role", ["origin", "replica"])
@pytest.mark.parametrize("statement", ["UPDATE {} SET {}", "DELETE FROM {}", "TRUNCATE {}"])
def test_the_owner_of_the_tables_is_refused(connection: psycopg.Connection, table: str, statement: str, role: str) -> None:
    record(connection, "node.edit", SYSTEM, key="kept")
    column = {"audit_entry": "who = 'mallory'", "audit_link": "digest = ''"}[table]
    connection.execute(f"SET session_replication_role = {role}")
    with pytest.raises(psycopg.errors.InsufficientPrivilege, match="append-only"):
        connection.execute(statement.format(table, column))  # type: ignore[arg-type]
    assert links(connection, "kept")


@pytest.mark.django_db
def test_django_writes_in_the_transaction_of_the_request() -> None:
    with transaction.atomic(), django_connection.cursor() as cursor:
        record(cursor, "rules.activate", by_cli(), key="orm", before=None, after={"version": 3, "when": "\0 \ud800"})
    with django_connection.cursor() as cursor:
        cursor.execute("SELECT who <> '', via, after->>'version' FROM audit_entry WHERE key = 'orm'")
        assert cursor.fetchall() == [(True, "cli", "3")]


def test_what_is_too_large_or_no_text_does_not_fail_the_act(connection: psycopg.Connection) -> None:
    values = {"long": "x" * 100_000, "nan": float("nan")}
    record(connection, "node.edit", By("a\0b" * 1000), key="odd", reason="r" * 10_000, after=values)
    record(connection, "node.edit", SYSTEM, key="odd", after={"nan": float("nan"), "infinite": float("-inf")})
    rows = connection.execute(
        "SELECT length(who), length(reason), after FROM audit_entry WHERE key = 'odd' ORDER BY id DESC LIMIT 2"
    ).fetchall()
    assert rows[1][:2] == (500, 4000)
    assert rows[1][2]["too_large"] > 64 * 1024
    assert rows[0][2] == {"nan": "NaN", "infinite": "-Infinity"}


@pytest.mark.parametrize("act", ["", "node", ".edit", "node."])
def test_an_act_has_a_noun_and_a_verb(connection: psycopg.Connection, act: str) -> None:
    with pytest.raises(ValueError, match=r"noun\.verb"):
        record(connection, act, SYSTEM)
