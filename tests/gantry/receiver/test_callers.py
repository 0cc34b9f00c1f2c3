"""Who is let in: the judgement as a table, and the receiver with and without its database."""

from __future__ import annotations

import os
import subprocess
import time
from collections.abc import Callable
from typing import Any

import psycopg
import pytest
from tests.gantry.receiver.served import Served, serving
from tests.gantry.transfers.seed import add_node
from tests.support.part10_files import CT_IMAGE_STORAGE, EXPLICIT_LITTLE_ENDIAN, ROOT, ct_dataset

from dimse.blocking import connect
from dimse.errors import AssociationRejected
from dimse.negotiation import ContextProposal
from gantry.main.home import Home
from gantry.receiver.policy import ACTIONS, Caller, Entry, Policy

PRINT = "ab" * 32


def policy(**entry: Any) -> Policy:
    values = {"aet": "CT1", "actions": ["echo", "store"], "hosts": [], "certificate": "", "enabled": True, **entry}
    return Policy.of([values], ["ARCHIVE"])


@pytest.mark.parametrize(
    ("entry", "host", "shown", "reason"),
    [
        ({}, "192.0.2.7", "", ""),
        ({"enabled": False}, "192.0.2.7", "", "denied"),
        ({"hosts": ["192.0.2.7"]}, "192.0.2.7", "", ""),
        ({"hosts": ["192.0.2.7"]}, "::ffff:192.0.2.7", "", ""),
        ({"hosts": ["192.0.2.7"]}, "192.0.2.8", "", "calls from another host"),
        ({"hosts": ["198.51.100.0/24", "192.0.2.0/28"]}, "192.0.2.15", "", ""),
        ({"hosts": ["198.51.100.0/24", "192.0.2.0/28"]}, "192.0.2.16", "", "calls from another host"),
        ({"hosts": ["2001:db8::/32"]}, "2001:db8::7%eth0", "", ""),
        ({"hosts": ["2001:db8::/32"]}, "192.0.2.7", "", "calls from another host"),
        ({"hosts": ["192.0.2.7"]}, "no address", "", "calls from another host"),
        ({"certificate": PRINT}, "192.0.2.7", PRINT, ""),
        ({"certificate": PRINT}, "192.0.2.7", "", "shows no certificate"),
        ({"certificate": PRINT}, "192.0.2.7", "cd" * 32, "shows another certificate"),
    ],
)
def test_what_is_checked_of_an_entry(entry: dict[str, Any], host: str, shown: str, reason: str) -> None:
    verdict = policy(**entry).judge("CT1", host, shown, "allow")
    assert verdict == (reason or Caller("CT1", frozenset({"echo", "store"})))


@pytest.mark.parametrize(
    ("unknown", "stranger", "node"),
    [("refuse", None, {"echo", "store"}), ("store", {"echo", "store"}, {"echo", "store"}), ("allow", set(ACTIONS), set(ACTIONS))],
)
def test_strangers_and_nodes(unknown: Any, stranger: set[str] | None, node: set[str]) -> None:
    found = policy().judge("OTHER", "192.0.2.7", "", unknown)
    assert found == "unknown AE title" if stranger is None else isinstance(found, Caller) and found.actions == stranger
    assert getattr(policy().judge("ARCHIVE", "192.0.2.7", "", unknown), "actions", None) == node


def test_the_file_says_the_same() -> None:
    before = policy(hosts=["192.0.2.0/28"], certificate=PRINT)
    assert Policy.read(before.write()) == before
    assert Policy.read(before.write()).entries["CT1"].networks == before.entries["CT1"].networks
    assert Entry.of(before.entries["CT1"].plain()) == before.entries["CT1"]


@pytest.mark.parametrize(
    "text",
    ["", "[]", "{}", '{"version": 2, "callers": [], "nodes": []}', '{"version": 1, "callers": [1], "nodes": []}', "x" * 100],
)
def test_a_file_that_is_none(text: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        Policy.read(text)


def reason_of(receiver: Served, calling: str) -> tuple[int, int, int] | None:
    """Why an association is rejected; None when it is accepted."""
    try:
        with connect(
            "127.0.0.1", receiver.port, called_aet="GANTRY", calling_aet=calling,
            contexts=[ContextProposal("1.2.840.10008.1.1", (EXPLICIT_LITTLE_ENDIAN,))], connect_timeout=30, response_timeout=60,
        ):  # fmt: skip
            return None
    except AssociationRejected as error:
        return (error.result, error.source, error.reason)


def until(condition: Callable[[], bool], seconds: float = 60) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def test_strangers_are_refused_allowed_and_denied(home: Home, connection: psycopg.Connection) -> None:
    from gantry.receiver import allow

    with serving(home.path, unknown_callers="refuse") as receiver:
        assert reason_of(receiver, "CT1") == (1, 1, 3)
        assert reason_of(receiver, "CT1") == (1, 1, 3)
        until(lambda: [(one.aet, one.host, one.count) for one in allow.list_refused()] == [("CT1", "127.0.0.1", 2)])
        allow.allow("CT1", by="a test")
        until(lambda: reason_of(receiver, "CT1") is None)
        assert allow.list_refused() == [] or allow.list_refused()[0].last_seen_at is not None
        allow.allow("CT1", hosts=["198.51.100.1"])
        until(lambda: reason_of(receiver, "CT1") == (1, 1, 3))
        allow.allow("CT1", hosts=["127.0.0.0/8"])
        until(lambda: reason_of(receiver, "CT1") is None)
        allow.deny("CT1")
        until(lambda: reason_of(receiver, "CT1") == (1, 1, 3))
        add_node("archive", 104)
        until(lambda: reason_of(receiver, "DEST") is None)


def test_what_is_not_allowed_is_answered_0124(home: Home, connection: psycopg.Connection) -> None:
    from gantry.receiver import allow

    allow.allow("TESTS", may=["echo"])
    with serving(home.path, unknown_callers="refuse") as receiver, receiver.associate() as association:
        assert association.echo() == 0
        answer = association.store(
            sop_class_uid=CT_IMAGE_STORAGE, sop_instance_uid=f"{ROOT}.1.1.1", transfer_syntax_uid=EXPLICIT_LITTLE_ENDIAN,
            data=memoryview(ct_dataset()),
        )  # fmt: skip
        assert answer.status == 0x0124
        assert receiver.spooled() == []


def test_callers_are_known_while_the_database_is_away(
    home: Home, connection: psycopg.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    from gantry.receiver import allow

    allow.allow("TESTS")
    with serving(home.path, unknown_callers="refuse") as receiver:
        assert reason_of(receiver, "TESTS") is None
    assert (home.path / "run" / "callers.json").stat().st_mode & 0o077 == 0
    monkeypatch.setenv("GANTRY_DATABASE_URL", "postgresql://nobody@127.0.0.1:1/nothing")
    with serving(home.path, unknown_callers="refuse") as receiver:
        assert receiver.store(ct_dataset(), instance=f"{ROOT}.1.1.1").status == 0
        assert reason_of(receiver, "OTHER") == (1, 1, 3)
    (home.path / "run" / "callers.json").write_text("half a fi")
    with serving(home.path, unknown_callers="refuse") as receiver:
        assert reason_of(receiver, "TESTS") == (1, 1, 3)


def test_a_flood_of_strangers_stays_bounded(home: Home, connection: psycopg.Connection, monkeypatch: pytest.MonkeyPatch) -> None:
    from gantry.receiver import allow, callers

    monkeypatch.setattr(callers, "KEPT", 50)
    with serving(home.path, unknown_callers="refuse") as receiver:
        for number in range(80):
            assert reason_of(receiver, f"FLOOD{number}") == (1, 1, 3)
        until(lambda: any(one.aet == "FLOOD79" for one in allow.list_refused()))
        assert len(allow.list_refused()) <= 50


@pytest.mark.peer("echoscu")
def test_echoscu_is_told_why(home: Home, connection: psycopg.Connection, dcmtk: Callable[[str], str]) -> None:
    with serving(home.path, unknown_callers="refuse") as receiver:
        done = subprocess.run(
            [dcmtk("echoscu"), "-aet", "STRANGER", "127.0.0.1", str(receiver.port)], capture_output=True, text=True, check=False
        )
    assert done.returncode != 0
    assert "Calling AE Title Not Recognized" in done.stdout + done.stderr, os.linesep.join([done.stdout, done.stderr])
