"""Alerts: opened once, told once, closed; what each rule sees; by a real mail server."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from email import message_from_bytes
from email.message import Message
from pathlib import Path
from typing import Any

import psycopg
import pytest
from aiosmtpd.controller import Controller
from tests.gantry.accounts import stored
from tests.gantry.accounts.people import bearer
from tests.support.certificates import Authority

from gantry import config
from gantry.alerts import rules, state
from gantry.alerts.models import Alert, Sample
from gantry.alerts.state import Finding
from gantry.audit import By

pytestmark = pytest.mark.django_db(transaction=True)
Settings = Callable[..., config.Config]
NOW = datetime(2026, 11, 18, 12, 0, 30, tzinfo=UTC)
DOWN = Finding("destination_down", "archive", "archive has not answered")


class Mailbox:
    """Keeps what the mail server was given."""

    def __init__(self) -> None:
        self.mails: list[Message] = []

    async def handle_DATA(self, server: Any, session: Any, envelope: Any) -> str:
        self.mails.append(message_from_bytes(envelope.content))
        return "250 kept"


@pytest.fixture
def mailbox(settings: Settings, free_port: Callable[[], int]) -> Iterator[Mailbox]:
    box = Mailbox()
    controller = Controller(box, hostname="127.0.0.1", port=free_port())
    controller.start()
    settings(mail_smtp=f"127.0.0.1:{controller.port}", mail_tls="none", mail_administrators=["admin@example.org"])
    yield box
    controller.stop()


def look(on: psycopg.Connection, moment: datetime, *findings: Finding, failed: tuple[str, ...] = ()) -> None:
    state.note(on, findings, failed, moment)
    state.tell(moment)


def minutes(count: float) -> timedelta:
    return timedelta(minutes=count)


def facts(on: psycopg.Connection) -> list[str]:
    rows = on.execute("SELECT payload->>'state' FROM facts_fact WHERE kind = 'AlertChanged' ORDER BY id").fetchall()
    return [row[0] for row in rows]


def test_one_mail_when_it_opens_and_one_when_it_is_over(connection: psycopg.Connection, mailbox: Mailbox) -> None:
    look(connection, NOW, DOWN)
    assert mailbox.mails == [], "it may pass"
    for minute in range(1, 60):
        look(connection, NOW + minutes(minute), DOWN)
    assert len(mailbox.mails) == 1
    assert mailbox.mails[0]["Subject"] == "[Gantry] archive has not answered"
    assert mailbox.mails[0]["To"] == "admin@example.org"
    for minute in range(60, 70):
        look(connection, NOW + minutes(minute))
    assert [mail["Subject"] for mail in mailbox.mails[1:]] == ["[Gantry] over: archive has not answered"]
    alert = Alert.objects.get()
    assert alert.state == "closed"
    assert facts(connection) == ["open", "closed"]
    look(connection, NOW + minutes(100), DOWN)
    look(connection, NOW + minutes(101), DOWN)
    assert Alert.objects.count() == 2


def test_what_comes_and_goes_is_one_alert(connection: psycopg.Connection, mailbox: Mailbox) -> None:
    for minute in range(120):
        look(connection, NOW + minutes(minute), *([DOWN] if minute < 2 or minute % 4 == 0 else []))
    assert len(mailbox.mails) == 1
    assert Alert.objects.count() == 1


def test_what_was_seen_once_is_nothing(connection: psycopg.Connection, mailbox: Mailbox) -> None:
    for minute in range(0, 60, 2):
        look(connection, NOW + minutes(minute), DOWN)
        look(connection, NOW + minutes(minute + 1))
    assert not Alert.objects.exists()
    assert mailbox.mails == []


def test_a_flood_is_one_mail(connection: psycopg.Connection, mailbox: Mailbox) -> None:
    many = [Finding("destination_down", f"node {number}", f"node {number} is down", at_once=True) for number in range(200)]
    look(connection, NOW, *many)
    assert len(mailbox.mails) == 1
    assert "(and 199 more)" in mailbox.mails[0]["Subject"]
    assert "... and 150 more" in str(mailbox.mails[0].get_payload())


def test_reminders_end_when_somebody_looks_after_it(connection: psycopg.Connection, mailbox: Mailbox) -> None:
    look(connection, NOW, DOWN)
    for hour in range(1, 60):
        look(connection, NOW + timedelta(hours=hour), DOWN)
    assert [mail["Subject"][:16] for mail in mailbox.mails[1:]] == ["[Gantry] still: "] * 2
    alert = Alert.objects.get()
    assert state.acknowledge(alert.pk, By("alice", "session")).state == "acknowledged"
    assert state.acknowledge(alert.pk, By("bob", "session")).acknowledged_by == "alice"
    for hour in range(60, 200):
        look(connection, NOW + timedelta(hours=hour), DOWN)
    assert len(mailbox.mails) == 3
    assert facts(connection) == ["open", "acknowledged"]


def test_mails_that_fail_are_tried_at_the_next_look(connection: psycopg.Connection, settings: Settings, mailbox: Mailbox) -> None:
    good = config.current()
    settings(mail_smtp="127.0.0.1:1", mail_tls="none", mail_administrators=["admin@example.org"])
    look(connection, NOW, Finding("r", "s", "it is down", at_once=True))
    assert Alert.objects.get().mailed_at is None
    settings(**{name: getattr(good, name) for name in ("mail_smtp", "mail_tls", "mail_administrators")})
    look(connection, NOW + minutes(1), Finding("r", "s", "it is down", at_once=True))
    assert len(mailbox.mails) == 1


def test_a_rule_that_cannot_look_changes_nothing(connection: psycopg.Connection, mailbox: Mailbox) -> None:
    look(connection, NOW, DOWN)
    look(connection, NOW + minutes(1), DOWN)
    for minute in range(2, 30):
        look(connection, NOW + minutes(minute), failed=("destination_down",))
    assert Alert.objects.get().state == "open"


def seen(on: psycopg.Connection, rule: str, now: datetime | None = None) -> list[Finding]:
    return list(rules.RULES[rule](rules.Look(on, config.current(), now or datetime.now(UTC))))


def test_every_rule_can_look_at_an_empty_instance(connection: psycopg.Connection, settings: Settings) -> None:
    settings(disk_reserve_mb=0)
    assert rules.look_at_all(rules.Look(connection, config.current(), datetime.now(UTC))) == ([], [])


def test_a_destination_that_is_down_and_a_queue_that_is_old(connection: psycopg.Connection, settings: Settings) -> None:
    from gantry.catalogue.models import Version
    from gantry.transfers.order import order

    stored.study("1.2.3")
    node = stored.node("archive")
    assert order(connection, [Version.objects.latest("pk").pk], [node.pk]) == 1
    assert seen(connection, "destination_down") == []
    assert seen(connection, "queue_age") == []
    later = datetime.now(UTC) + minutes(45)
    assert [one.subject for one in seen(connection, "queue_age", later)] == ["archive"]
    connection.execute("UPDATE nodes_node SET failure_count = 3, last_error = 'no answer'")
    assert [one.subject for one in seen(connection, "destination_down")] == ["archive"]
    assert seen(connection, "queue_age", later) == [], "that it is down says it all"
    connection.execute("UPDATE transfers_delivery SET status = 'dead', updated_at = now()")
    assert [one.subject for one in seen(connection, "deliveries_dead")] == ["archive"]


def test_the_disk_the_backup_and_the_certificate(connection: psycopg.Connection, settings: Settings, tmp_path: Path) -> None:
    settings(disk_reserve_mb=10**9)
    assert seen(connection, "disk_reserve")[0].subject == "home"
    settings(disk_reserve_mb=0)
    assert seen(connection, "disk_reserve") == []
    (tmp_path / "run").mkdir()
    told = tmp_path / "run" / "backup.json"
    for content, words in (
        ({"last_success": NOW.isoformat()}, []),
        ({"last_success": (NOW - timedelta(days=3)).isoformat()}, ["The last backup is of"]),
        (
            {"last_success": (NOW - minutes(9)).isoformat(), "last_failure": NOW.isoformat(), "error": "full"},
            ["The last backup failed"],
        ),
        ({"last_success": NOW.isoformat(), "last_failure": (NOW - minutes(9)).isoformat()}, []),
    ):
        told.write_text(json.dumps(content))
        found = seen(connection, "backup_failed", NOW)
        assert [one.message[: len(word)] for one, word in zip(found, words, strict=True)] == words
    certificate = Authority(tmp_path / "tls").issue("gantry")
    settings(dicom_tls_certificate=str(certificate.certificate))
    assert seen(connection, "certificate_expiring", NOW - timedelta(days=3650)) == []
    assert "has expired" in seen(connection, "certificate_expiring", NOW + timedelta(days=36500))[0].message


@pytest.mark.parametrize(
    ("weeks", "gap", "now_sent", "silent"),
    [(6, None, 0, True), (3, None, 0, True), (2, None, 0, False), (6, 3, 0, False), (6, None, 5, False)],
    ids=["six weeks", "three weeks", "too new", "silent before too", "it sends"],
)
def test_a_modality_that_is_silent_at_its_hour(
    connection: psycopg.Connection, settings: Settings, weeks: int, gap: int | None, now_sent: int, silent: bool
) -> None:
    end = NOW.replace(minute=0, second=0)
    rows = []
    for week in range(weeks + 1):
        value = now_sent if week == 0 else 0 if week == gap else 40 + week
        for hour in range(3):
            at = end - timedelta(weeks=week, hours=hour + 1)
            if value:
                rows.append(Sample(step="hour", at=at, measure="received_instances", subject="CT1", value=value))
        rows.append(
            Sample(step="hour", at=end - timedelta(weeks=week, hours=9), measure="received_instances", subject="NIGHT", value=99)
        )
    Sample.objects.bulk_create(rows)
    assert [one.subject for one in seen(connection, "silent_modality", NOW)] == (["CT1"] if silent else [])


def test_over_rest(connection: psycopg.Connection, mailbox: Mailbox) -> None:
    look(connection, NOW, Finding("r", "s", "it is down", "mend it", at_once=True), DOWN)
    client = bearer("operator")
    items = client.get("/api/v1/alerts?open=true").json()["items"]
    assert [(one["rule"], one["state"], one["remedy"]) for one in items] == [("r", "open", "mend it")]
    answer = client.post(f"/api/v1/alerts/{items[0]['id']}/acknowledge")
    assert (answer.status_code, answer.json()["state"], answer.json()["acknowledged_by"]) == (200, "acknowledged", "operator")
    assert client.post("/api/v1/alerts/987654/acknowledge").status_code == 404
