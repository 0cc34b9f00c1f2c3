"""Webhooks against real receivers: signed, retried, given up; one that hangs holds nobody up; not into our network."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psycopg
import pytest
from tests.gantry.accounts.people import bearer
from tests.gantry.alerts.conftest import Receiver, holds

from gantry import config
from gantry.alerts import dispatch, guard, webhooks
from gantry.alerts import post as posting
from gantry.alerts.errors import BadWebhook, NotSent
from gantry.alerts.models import Notice, Webhook
from gantry.alerts.work import follow_until
from gantry.audit import SYSTEM
from gantry.facts import Settled, publish

pytestmark = pytest.mark.django_db(transaction=True)
Settings = Callable[..., config.Config]
Make = Callable[..., Receiver]


def settle(on: psycopg.Connection, *studies: int) -> None:
    with on.transaction():
        publish(on, *[Settled(study) for study in studies])


def send(on: psycopg.Connection, seconds: float = 20) -> int:
    dispatch.collect(on)
    sender = dispatch.Sender(config.current())
    try:
        return sender.work(on, threading.Event(), seconds)
    finally:
        sender.close()


def test_what_happens_is_told_signed_and_in_order(connection: psycopg.Connection, settings: Settings, receiver: Make) -> None:
    settle(connection, 1)
    there = receiver()
    made, secret = webhooks.add("tickets", there.url, ["Settled"], SYSTEM)
    assert made.secret.startswith("sealed:")
    assert secret not in made.secret
    settle(connection, 2, 3)
    assert send(connection) == 2
    assert [json.loads(body)["data"]["study_id"] for _, body in there.got] == [2, 3], "not what was before it was added"
    for headers, body in there.got:
        assert holds(secret, headers, body)
        assert not holds(secret, headers, body + b" ")
        assert headers["x-gantry-kind"] == json.loads(body)["type"] == "Settled"
    assert there.got[0][0]["webhook-id"] != there.got[1][0]["webhook-id"]
    assert send(connection) == 0
    assert {notice.state for notice in Notice.objects.all()} == {"sent"}


def test_a_failure_is_tried_again_with_the_same_message(
    connection: psycopg.Connection, settings: Settings, receiver: Make
) -> None:
    there = receiver(500)
    webhooks.add("tickets", there.url, ["Settled"], SYSTEM)
    settle(connection, 1, 2)
    assert send(connection) == 0
    assert len(there.got) == 1, "after a failure the webhook pauses, also for what comes behind"
    notice = Notice.objects.earliest("pk")
    assert (notice.state, notice.attempts, notice.status, notice.explanation) == ("waiting", 1, 500, "it answered 500")
    assert send(connection) == 0
    assert len(there.got) == 1, "the pause is kept"
    there.status = 200
    Webhook.objects.update(not_before=None)
    assert send(connection) == 2
    assert there.got[0][0]["webhook-id"] == there.got[1][0]["webhook-id"]
    assert there.got[0][1] == there.got[1][1]
    assert Webhook.objects.get().failures == 0


def test_after_so_many_failures_it_is_given_up(connection: psycopg.Connection, settings: Settings, receiver: Make) -> None:
    there = receiver(500)
    webhooks.add("tickets", there.url, ["Settled"], SYSTEM)
    settle(connection, 1)
    pauses = []
    for _ in range(dispatch.MAX_ATTEMPTS):
        send(connection)
        row = connection.execute("SELECT extract(epoch FROM not_before - now()) FROM alerts_webhook").fetchone()
        assert row
        pauses.append(float(row[0]))
        Webhook.objects.update(not_before=None)
    notice = Notice.objects.get()
    assert (notice.state, notice.attempts) == ("dead", dispatch.MAX_ATTEMPTS)
    assert pauses == sorted(pauses)
    assert pauses[0] < 6
    assert pauses[-1] > 20_000
    assert send(connection) == 0
    assert len(there.got) == dispatch.MAX_ATTEMPTS


def test_410_switches_it_off(connection: psycopg.Connection, settings: Settings, receiver: Make) -> None:
    webhooks.add("tickets", receiver(410).url, ["Settled"], SYSTEM)
    settle(connection, 1)
    send(connection)
    assert Notice.objects.get().state == "dead"
    assert not Webhook.objects.get().enabled


def test_redirects_are_not_followed(connection: psycopg.Connection, settings: Settings, receiver: Make) -> None:
    there = receiver(302)
    webhooks.add("tickets", there.url, ["Settled"], SYSTEM)
    settle(connection, 1)
    send(connection)
    assert Notice.objects.get().explanation == "it answered 302, a redirection, which is not followed"
    assert len(there.got) == 1


@pytest.mark.parametrize("way", ["hang", "drip"])
def test_one_that_hangs_holds_nobody_up(
    connection: psycopg.Connection, settings: Settings, receiver: Make, way: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(posting, "TOTAL_SECONDS", 3.0)
    stuck, fine = receiver(), receiver()
    stuck.drip = way == "drip"
    if way == "hang":
        stuck.hang.set()
    webhooks.add("a stuck one", stuck.url, ["Settled"], SYSTEM)
    webhooks.add("fine", fine.url, ["Settled"], SYSTEM)
    settle(connection, *range(20))
    stop = threading.Event()
    began = time.monotonic()
    dispatch.collect(connection)
    sender = dispatch.Sender(config.current())
    worker = threading.Thread(target=sender.work, args=(connection, stop, 30))
    worker.start()
    fine.until(20)
    assert len(stuck.got) == 1, "all of the other's came while this one still waits for its first"
    worker.join(30)
    assert not worker.is_alive()
    assert time.monotonic() - began < 29, "bytes that drip do not lengthen the time it is given"
    sender.close()
    notice = Notice.objects.filter(webhook__name="a stuck one").earliest("pk")
    assert notice.explanation == "it did not answer in time"


def test_the_job_of_a_minute_tells_at_once(connection: psycopg.Connection, settings: Settings, receiver: Make) -> None:
    from gantry import database

    there = receiver()
    webhooks.add("tickets", there.url, ["Settled"], SYSTEM)
    stop = threading.Event()

    def follow() -> None:
        with database.connect(autocommit=True, application="alerts-test") as own:
            follow_until(own, time.monotonic() + 50, stop)

    worker = threading.Thread(target=follow)
    worker.start()
    try:
        for number in range(3):
            settle(connection, number)
            there.until(number + 1)
    finally:
        stop.set()
        worker.join(20)
    assert not worker.is_alive()


@pytest.mark.parametrize(
    "url",
    [
        "https://127.0.0.1/", "https://10.1.2.3/", "https://192.168.1.1/", "https://169.254.169.254/latest/meta-data/",
        "https://[::1]/", "https://[::ffff:127.0.0.1]/", "https://[64:ff9b::7f00:1]/", "https://[fe80::1]/", "https://[fc00::1]/",
        "https://0.0.0.0/", "https://224.0.0.1/", "https://100.64.0.1/", "http://8.8.8.8/",
        "ftp://example.org/", "https://user:secret@example.org/", "https://example.org/#x", "https:///x", "https://exa mple.org/",
        "https://example.org:99999/", "https://example.org/\r\nX: y", "https://ex\u00e4mple.org/", "file:///etc/passwd",
    ],
)  # fmt: skip
def test_addresses_that_are_refused(settings: Settings, url: str) -> None:
    with pytest.raises(BadWebhook):
        guard.parse(url, settings(webhook_private=[]))


@pytest.mark.parametrize("url", ["https://127.1/", "https://2130706433/", "https://0x7f.1/", "https://localhost/"])
def test_names_that_lead_into_our_network_are_refused_at_the_door(settings: Settings, url: str) -> None:
    target = guard.parse(url, settings(webhook_private=[]))
    with pytest.raises(NotSent, match="not a public address"):
        guard.addresses(target, [])


def test_a_list_of_hosts_is_a_fence(settings: Settings) -> None:
    fenced = settings(webhook_hosts=["hooks.example.org", "*.example.com"])
    assert guard.parse("https://hooks.example.org/", fenced).port == 443
    assert guard.parse("https://a.example.com:8443/x", fenced).port == 8443
    for url in ("https://example.com/", "https://example.org/", "https://evil-example.com/"):
        with pytest.raises(BadWebhook, match="may not go"):
            guard.parse(url, fenced)


def test_over_rest(settings: Settings, receiver: Make) -> None:
    there = receiver()
    client = bearer("administrator")

    def ask(method: str, path: str, body: Any = None) -> Any:
        content = b"" if body is None else json.dumps(body).encode()
        return client.generic(method, f"/api/v1/webhooks{path}", content, content_type="application/json")

    made = ask("POST", "", {"name": "tickets", "url": there.url, "kinds": ["Settled"]})
    assert made.status_code == 201
    secret = made.json()["secret"]
    assert "secret" not in ask("GET", "").json()["items"][0]
    assert ask("POST", "/tickets/test").json() == {"ok": True, "status": 204, "explanation": ""}
    assert holds(secret, *there.got[0])
    renewed = ask("POST", "/tickets/secret").json()["secret"]
    ask("POST", "/tickets/test")
    assert holds(renewed, *there.got[1])
    assert not holds(secret, *there.got[1])
    assert ask("PATCH", "/tickets", {"enabled": False}).json()["enabled"] is False
    assert ask("POST", "", {"name": "tickets", "url": there.url}).status_code == 422
    assert ask("POST", "", {"name": "x", "url": there.url, "kinds": ["Nonsense"]}).status_code == 422
    assert ask("POST", "", {"name": "x", "url": "https://10.0.0.1/"}).status_code == 422
    assert ask("DELETE", "/tickets").status_code == 204
    assert ask("GET", "/tickets/notices").status_code == 404


def test_each_change_is_in_the_audit_without_the_secret(connection: psycopg.Connection, settings: Settings) -> None:
    _, secret = webhooks.add("audited hook", "https://example.org/", [], SYSTEM)
    webhooks.change("audited hook", SYSTEM, enabled=False)
    renewed = webhooks.renew_secret("audited hook", SYSTEM)
    webhooks.remove("audited hook", SYSTEM)
    rows = connection.execute("SELECT act, audit_entry::text FROM audit_entry WHERE key = 'audited hook' ORDER BY id").fetchall()
    assert [row[0] for row in rows][-4:] == ["webhook.add", "webhook.edit", "webhook.secret", "webhook.remove"]
    assert not any(secret in row[1] or renewed in row[1] for row in rows)


def test_rotated_keys_open_the_secret_still(connection: psycopg.Connection, settings: Settings, tmp_path: Path) -> None:
    from gantry import sealing

    made, secret = webhooks.add("tickets", "https://example.org/", [], SYSTEM)
    assert sealing.reseal(connection, tmp_path) >= 1
    made.refresh_from_db()
    assert webhooks.reveal(made) == secret
