"""What is done past the triggers, as a superuser could, is found."""

from __future__ import annotations

import json
import threading
from pathlib import Path

import psycopg
import pytest

from gantry import database
from gantry.audit import SYSTEM, By, anchors, record
from gantry.audit.errors import BadAnchor
from gantry.audit.verify import Report, verify

OPEN = "ALTER TABLE audit_entry DISABLE TRIGGER ALL; ALTER TABLE audit_link DISABLE TRIGGER ALL"
SHUT = """
ALTER TABLE audit_entry ENABLE TRIGGER audit_entry_seal;
ALTER TABLE audit_entry ENABLE ALWAYS TRIGGER audit_entry_keep; ALTER TABLE audit_entry ENABLE ALWAYS TRIGGER audit_entry_keep_all;
ALTER TABLE audit_link ENABLE ALWAYS TRIGGER audit_link_keep; ALTER TABLE audit_link ENABLE ALWAYS TRIGGER audit_link_keep_all
"""
LAST = "(SELECT max(id) FROM audit_entry WHERE key = 'victim')"


def after(connection: psycopg.Connection, tampering: str, *known: anchors.Heads, leave_open: bool = False) -> Report:
    """What verify says after a superuser's act; the act is undone."""
    with connection.transaction(force_rollback=True):
        connection.execute(OPEN)
        connection.execute(tampering)
        if not leave_open:
            connection.execute(SHUT)
        return verify(connection, known)


def few(connection: psycopg.Connection) -> None:
    for key in ("before", "victim", "last"):
        record(
            connection, "node.edit", By("alice", "session", 1, "192.0.2.1"), key=key, reason="because", after={"b": 1, "a": "é"}
        )


def test_an_honest_book_is_fine(connection: psycopg.Connection) -> None:
    few(connection)
    report = verify(connection, [anchors.heads(connection)])
    assert report.ok, report.problems
    assert report.entries >= 3
    assert report.heads == anchors.heads(connection)


@pytest.mark.parametrize(
    ("tampering", "kind"),
    [
        (f"UPDATE audit_entry SET who = 'bob' WHERE id = {LAST}", "changed"),
        (f"UPDATE audit_entry SET at = at + interval '1 microsecond' WHERE id = {LAST}", "changed"),
        (f"UPDATE audit_entry SET after = jsonb_set(after, '{{b}}', '2') WHERE id = {LAST}", "changed"),
        (f"UPDATE audit_entry SET who = who || reason, reason = '' WHERE id = {LAST}", "changed"),
        (f"UPDATE audit_link SET digest = sha256('') WHERE entry_id = {LAST}", "changed"),
        (f"DELETE FROM audit_entry WHERE id = {LAST}", "removed"),
        (f"DELETE FROM audit_link WHERE entry_id = {LAST}; DELETE FROM audit_entry WHERE id = {LAST}", "gap"),
        (f"DELETE FROM audit_link WHERE entry_id = {LAST}", "not sealed"),
        ("INSERT INTO audit_entry (act, who) VALUES ('node.edit', 'forged')", "not sealed"),
    ],
)
def test_tampering_is_found(connection: psycopg.Connection, tampering: str, kind: str) -> None:
    few(connection)
    report = after(connection, tampering)
    assert kind in {problem.kind for problem in report.problems}
    assert verify(connection).ok


def test_a_cut_tail_is_found_by_an_anchor_only(connection: psycopg.Connection) -> None:
    few(connection)
    cut = """
        WITH tail AS (SELECT DISTINCT ON (chain) chain, seq, entry_id FROM audit_link ORDER BY chain, seq DESC),
             gone AS (DELETE FROM audit_link USING tail WHERE audit_link.entry_id = tail.entry_id RETURNING audit_link.entry_id)
        DELETE FROM audit_entry USING gone WHERE id = gone.entry_id
    """
    assert after(connection, cut).ok
    assert {problem.kind for problem in after(connection, cut, anchors.heads(connection)).problems} == {"cut"}


def test_a_chain_that_was_made_anew_is_found_by_an_anchor(connection: psycopg.Connection) -> None:
    few(connection)
    anew = "UPDATE audit_entry SET who = 'bob' WHERE key = 'last'; DELETE FROM audit_link; SET CONSTRAINTS ALL IMMEDIATE"
    again = "ALTER TABLE audit_entry RENAME TO e; CREATE TEMP TABLE copy AS SELECT * FROM e; ALTER TABLE e RENAME TO audit_entry;" \
        "DELETE FROM audit_entry; ALTER TABLE audit_entry ENABLE TRIGGER audit_entry_seal;" \
        "INSERT INTO audit_entry OVERRIDING SYSTEM VALUE SELECT * FROM copy ORDER BY id"  # fmt: skip
    assert after(connection, f"{anew}; {again}").ok
    assert "cut" in {problem.kind for problem in after(connection, f"{anew}; {again}", anchors.heads(connection)).problems}


def test_guards_that_are_off_are_found(connection: psycopg.Connection) -> None:
    report = after(connection, "SELECT 1", leave_open=True)
    assert {problem.kind for problem in report.problems} == {"guard off"}
    assert len(report.problems) == 5


def test_many_writers_at_once_make_whole_chains(connection: psycopg.Connection) -> None:
    known = anchors.heads(connection)

    def write(number: int) -> None:
        with database.connect(application="audit-test") as own:
            for turn in range(30):
                record(own, "node.edit", SYSTEM, key=f"writer {number} {turn}")
                record(own, "node.edit", SYSTEM, key=f"writer {number} {turn}")
                own.rollback() if turn % 5 == 4 else own.commit()

    threads = [threading.Thread(target=write, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    report = verify(connection, [known])
    assert report.ok, report.problems
    count = sum(seq for seq, _ in report.heads.values()) - sum(seq for seq, _ in known.values())
    assert count == 8 * 24 * 2


def test_anchors_are_kept_and_believed_only_whole(connection: psycopg.Connection, tmp_path: Path) -> None:
    few(connection)
    path = tmp_path / "deep" / "anchors.jsonl"
    assert anchors.read(path) == []
    assert anchors.keep(path, anchors.heads(connection))
    assert not anchors.keep(path, anchors.heads(connection))
    few(connection)
    assert anchors.keep(path, anchors.heads(connection))
    assert verify(connection, anchors.read(path)).ok
    assert path.stat().st_mode & 0o777 == 0o600
    lines = path.read_text().splitlines()
    forged = json.loads(lines[0]) | {"heads": {"0": [1, "00" * 32]}}
    path.write_text("\n".join([json.dumps(forged), *lines[1:]]))
    with pytest.raises(BadAnchor, match="does not fit"):
        anchors.read(path)
    path.write_text("no json")
    with pytest.raises(BadAnchor, match=":1: is no anchor"):
        anchors.read(path)


def _statements(page: str) -> str:
    return page.split("```sql", 1)[1].split("```", 1)[0]


def test_the_documented_retirement_leaves_a_book_that_is_fine(connection: psycopg.Connection) -> None:
    """docs/howto/audit.md, word for word, undone at the end."""
    page = (Path(__file__).parents[3] / "docs" / "howto" / "audit.md").read_text(encoding="utf-8")
    few(connection)
    known = anchors.heads(connection)
    few(connection)
    with connection.transaction(force_rollback=True):
        count = connection.execute("SELECT count(*) FROM audit_entry").fetchone()
        last = connection.execute("SELECT max(entry_id) FROM audit_link").fetchone()
        assert count
        assert last
        sql = _statements(page).replace("BEGIN;", "").replace("COMMIT;", "SET CONSTRAINTS ALL IMMEDIATE;")
        sql = sql.replace("'2025-01-01'", f"(SELECT at FROM audit_entry WHERE id = {last[0]})")
        connection.execute(sql)  # type: ignore[arg-type]
        report = verify(connection, [known])
        assert report.ok, report.problems
        assert report.retirements == 1
        assert report.entries < count[0]
