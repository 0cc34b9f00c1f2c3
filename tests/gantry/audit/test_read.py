"""Asking the audit, exporting it, over REST and on the command line."""

from __future__ import annotations

import asyncio
import csv
import io
import json
from collections.abc import Callable
from typing import Any

import psycopg
import pytest
from tests.gantry.accounts.people import bearer
from tests.support.gantry_process import GantryProcess

from gantry.audit import By, record
from gantry.audit.export import FIELDS, export

pytestmark = pytest.mark.django_db(transaction=True)
#: The number of no user: those of the tests count up from 1.
ALICE = By("alice asks", "session", 1_000_000_041, "192.0.2.9")


@pytest.fixture(autouse=True)
def three(connection: psycopg.Connection, transactional_db: None) -> None:
    record(connection, "study.view", ALICE, kind="study", key="1.2.3", study_uid="1.2.3.77", patient_id="=cmd()", reason="why")
    record(connection, "node.edit", ALICE, kind="node", key="archive", before={"host": "a"}, after={"host": "b"})
    record(connection, "node.echo", By("bob asks", "cli"), kind="node", key="archive")


def ask(query: str) -> list[str]:
    answer = bearer("administrator").get(f"/api/v1/audit?limit=3&{query}")
    assert answer.status_code == 200, answer.content
    return [one["act"] for one in answer.json()["items"]]


def whole(answer: Any) -> bytes:
    """A streamed answer, taken as a server takes it."""

    async def take() -> bytes:
        return b"".join([piece async for piece in answer.streaming_content])

    return asyncio.run(take())


def test_by_person_study_patient_act_thing_and_time(connection: psycopg.Connection) -> None:
    row = connection.execute(
        "SELECT to_char(max(at) AT TIME ZONE 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS.US\"Z\"') FROM audit_entry WHERE act = 'node.edit'"
    ).fetchone()
    assert row
    assert ask("who=alice+asks")[:2] == ["node.edit", "study.view"]
    assert ask("user_id=1000000041")[:2] == ["node.edit", "study.view"]
    assert set(ask("study_uid=1.2.3.77")) == {"study.view"}
    assert set(ask("patient_id=%3Dcmd()")) == {"study.view"}
    assert ask("act=node&key=archive&kind=node")[:2] == ["node.echo", "node.edit"]
    assert set(ask("act=node.echo&who=bob+asks")) == {"node.echo"}
    assert set(ask("address=192.0.2.9")) == {"node.edit", "study.view"}
    assert ask(f"since={row[0]}&who=alice+asks") == ["node.edit"]
    assert "node.edit" not in ask(f"since={row[0]}&act=node.nothing")
    assert ask("act=nod") == []
    assert bearer("operator").get("/api/v1/audit").status_code == 403


def test_pages(connection: psycopg.Connection) -> None:
    client = bearer("administrator")
    first = client.get("/api/v1/audit?who=alice+asks&limit=1").json()
    second = client.get(first["next"].removeprefix("http://testserver")).json()
    assert [first["items"][0]["act"], second["items"][0]["act"]] == ["node.edit", "study.view"]
    assert first["items"][0]["before"] == {"host": "a"}


def test_exported_lines_and_tables(connection: psycopg.Connection) -> None:
    entries = [json.loads(line) for line in export(connection, "jsonl")]
    mine = [one for one in entries if one["who"] == "alice asks"][-2:]
    assert [one["act"] for one in mine] == ["study.view", "node.edit"]
    assert mine[1]["after"] == {"host": "b"}
    assert len(bytes.fromhex(mine[1]["digest"])) == 32
    table = list(csv.DictReader(io.StringIO("".join(export(connection, "csv")))))
    assert tuple(table[0]) == FIELDS
    assert len(table) == len(entries)
    assert table[entries.index(mine[0])]["patient_id"] == "'=cmd()", "no formula for a spreadsheet"
    answer = bearer("administrator").get("/api/v1/audit/export?format=csv")
    content = whole(answer)
    assert content.startswith(b"id,at,act,")
    assert ask("act=audit.export&who=administrator")[0] == "audit.export"


def test_the_acts_that_there_are(connection: psycopg.Connection) -> None:
    acts = bearer("administrator").get("/api/v1/audit/acts").json()["items"]
    assert acts == sorted(set(acts))
    assert {"node.echo", "node.edit", "study.view"} <= set(acts)


def check() -> Any:
    answer = bearer("administrator").post("/api/v1/audit/verify")
    assert answer.status_code == 200, answer.content
    lines = [json.loads(line) for line in whole(answer).splitlines()]
    assert lines[0]["total"] >= 3
    return lines[-1]["result"]


def test_the_chains_are_checked_over_rest(connection: psycopg.Connection) -> None:
    found = check()
    assert (found["ok"], found["problems"]) == (True, [])
    assert found["entries"] >= 3
    answer = bearer("administrator").get("/api/v1/audit?act=audit.verify&limit=1").json()["items"]
    assert answer[0]["after"]["head"] == found["head"]
    forge(connection, "mallory")
    try:
        found = check()
    finally:
        forge(connection, ALICE.who)  # the chains are those of every test of this database
    assert not found["ok"]
    assert [one["kind"] for one in found["problems"]] == ["changed"]
    assert check()["ok"]


def forge(connection: psycopg.Connection, who: str) -> None:
    connection.execute("ALTER TABLE audit_entry DISABLE TRIGGER audit_entry_keep")
    connection.execute(
        "UPDATE audit_entry SET who = %s WHERE id = (SELECT max(id) FROM audit_entry WHERE act = 'node.edit')", [who]
    )
    connection.execute("ALTER TABLE audit_entry ENABLE ALWAYS TRIGGER audit_entry_keep")


def test_one_check_at_a_time_and_none_that_nobody_reads(connection: psycopg.Connection) -> None:
    client = bearer("administrator")
    first = client.post("/api/v1/audit/verify")
    assert client.post("/api/v1/audit/verify").status_code == 409
    first.close()
    assert client.post("/api/v1/audit/verify").status_code == 200
    assert bearer("operator").post("/api/v1/audit/verify").status_code == 403


def test_on_the_command_line(gantry_process: Callable[..., GantryProcess]) -> None:
    gantry = gantry_process()
    gantry.cli("caller", "allow", "CT1", "--may", "echo")
    (entry,) = gantry.json("audit", "list", "--act", "caller.allow")
    assert (entry["via"], entry["key"], entry["after"]["may"]) == ("cli", "CT1", ["echo"])
    anchors = str(gantry.home / "mine.jsonl")
    assert gantry.json("audit", "verify", "--anchor", anchors)["ok"] is True
    lines = gantry.cli("audit", "export").stdout.splitlines()
    assert json.loads(lines[-1])["act"] == "audit.export"
