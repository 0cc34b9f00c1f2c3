"""Server-sent events over the real ASGI server: live, resumed, ended when the right to see them ends."""

from __future__ import annotations

import http.client
import json
import threading
import time
from collections.abc import Iterator
from typing import Any

import psycopg
import pytest
from django.test import Client
from tests.gantry.accounts.people import person, token
from tests.gantry.accounts.served import Served, serving

from gantry import database
from gantry.facts import Settled, live, publish

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def served(monkeypatch: pytest.MonkeyPatch, transactional_db: None) -> Iterator[Served]:
    monkeypatch.setattr(live, "BEAT_SECONDS", 0.3)
    monkeypatch.setattr(live, "STANDING_SECONDS", 0.2)
    with serving(monkeypatch) as server:
        yield server
        deadline = time.monotonic() + 20
        while not live.broker.idle:
            live.broker.stop()
            assert time.monotonic() < deadline, "it stops when asked"
            time.sleep(0.05)


@pytest.fixture
def connection(transactional_db: None) -> Iterator[psycopg.Connection]:
    with database.connect(autocommit=True, application="live-test") as opened:
        yield opened


def settle(on: psycopg.Connection, *studies: int) -> None:
    with on.transaction():
        publish(on, *[Settled(study) for study in studies])


class Listener:
    """A client as a browser is one."""

    def __init__(self, served: Served, headers: dict[str, str], query: str = "") -> None:
        self._connection = http.client.HTTPConnection("127.0.0.1", served.port, timeout=20)
        self._connection.request("GET", f"/api/v1/events{query}", headers=headers)
        self.answer = self._connection.getresponse()

    def __enter__(self) -> Listener:
        return self

    def __exit__(self, *_: object) -> None:
        self.answer.close()
        self._connection.close()

    def block(self) -> dict[str, str] | None:
        """The next block as its fields, comments under the empty name; None: the stream has ended."""
        found: dict[str, str] = {}
        while line := self.answer.readline().decode():
            if line == "\n":
                return found
            name, _, value = line.rstrip("\n").partition(":")
            found[name] = value.strip()
        return None

    def event(self) -> dict[str, Any]:
        """The next event; heartbeats are passed over."""
        while True:
            block = self.block()
            assert block is not None, "the stream has ended"
            if "data" in block:
                return {**block, "data": json.loads(block["data"])}

    def until_end(self) -> None:
        while self.block() is not None:
            pass


def bearer(role: str = "viewer", **changes: Any) -> dict[str, str]:
    return {"Authorization": f"Bearer {token(role, **changes)}"}


def test_live_then_resumed_without_loss(served: Served, connection: psycopg.Connection) -> None:
    headers = bearer()
    settle(connection, 1)
    with Listener(served, headers, "?kinds=Settled") as client:
        assert client.answer.status == 200
        assert client.answer.headers["Content-Type"].startswith("text/event-stream")
        assert client.block() == {"retry": "3000"}
        beat = client.block()
        assert beat == {"": "beat"}, "what was before is not sent, silence is filled"
        settle(connection, 2)
        first = client.event()
        assert (first["event"], first["data"]["data"]) == ("Settled", {"study_id": 2})
    settle(connection, 3)
    with Listener(served, {**headers, "Last-Event-ID": first["id"]}) as client:
        assert client.event()["data"]["data"] == {"study_id": 3}
        settle(connection, 4)
        assert client.event()["data"]["data"] == {"study_id": 4}


def test_from_the_beginning_more_than_fits_in_memory(served: Served, connection: psycopg.Connection) -> None:
    count = live.PAGE * 2 + 7
    settle(connection, *range(count))
    with Listener(served, bearer(), "?after=0") as client:
        seen = [client.event()["data"]["data"]["study_id"] for _ in range(count)]
    assert seen == list(range(count))


def test_a_slow_client_misses_nothing_and_holds_nobody_up(served: Served, connection: psycopg.Connection) -> None:
    headers = bearer()
    with Listener(served, headers) as slow, Listener(served, headers) as quick:
        assert quick.block()
        assert slow.block()
        assert quick.block() == {"": "beat"}
        assert slow.block() == {"": "beat"}
        count = live.MAX_WAITING * 8
        for start in range(0, count, 64):
            settle(connection, *range(start, start + 64))
        assert [quick.event()["data"]["data"]["study_id"] for _ in range(count)] == list(range(count))
        assert [slow.event()["data"]["data"]["study_id"] for _ in range(count)] == list(range(count))


def test_a_position_that_is_not_known_is_said(served: Served, connection: psycopg.Connection) -> None:
    settle(connection, 1)
    with Listener(served, bearer(), "?after=99999") as client:
        event = client.event()
        assert event["event"] == "reset"
        client.until_end()


def test_nobody_and_who_may_not(served: Served) -> None:
    with Listener(served, {}) as client:
        assert client.answer.status == 401
    with Listener(served, bearer("viewer", actions=["studies.view"])) as client:
        assert client.answer.status == 403
        assert json.loads(client.answer.read())["error"]["details"] == {"action": "changes.view"}


def test_a_revoked_token_ends_its_stream(served: Served) -> None:
    from django.utils import timezone

    from gantry.accounts.models import Token

    headers = bearer()
    with Listener(served, headers) as ended, Listener(served, bearer("operator")) as other:
        assert ended.block()
        Token.objects.filter(user__username="viewer").update(revoked_at=timezone.now())
        ended.until_end()
        for _ in range(3):
            assert other.block()


@pytest.mark.parametrize("way", ["sign out", "switched off", "other password"])
def test_a_session_that_ends_ends_its_stream(served: Served, way: str) -> None:
    user = person("viewer")
    browser = Client()
    browser.force_login(user)
    with Listener(served, {"Cookie": f"sessionid={browser.cookies['sessionid'].value}"}) as client:
        assert client.answer.status == 200
        for _ in range(3):
            assert client.block()
        if way == "sign out":
            browser.logout()
        elif way == "switched off":
            user.is_active = False
            user.save()
        else:
            user.set_password("quite another passphrase")
            user.save()
        client.until_end()


def test_many_idle_clients_take_no_threads_and_leave_room(
    served: Served, connection: psycopg.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(live, "MAX_PER_USER", 1000)
    monkeypatch.setattr(live, "MAX_CLIENTS", 150)
    monkeypatch.setattr(live, "STANDING_SECONDS", 5.0)
    headers = bearer()
    clients = [Listener(served, headers) for _ in range(150)]
    try:
        assert {client.answer.status for client in clients} == {200}
        deadline = time.monotonic() + 20
        while threading.active_count() > 60:
            assert time.monotonic() < deadline, threading.active_count()
            time.sleep(0.05)
        with Listener(served, headers) as one_more:
            assert one_more.answer.status == 503
            assert json.loads(one_more.answer.read())["error"]["code"] == "too_many_live"
        assert served.ask("GET", "/api/v1/changes", **headers).status == 200
        for client in clients:
            assert client.block()
        settle(connection, 7)
        assert {client.event()["data"]["data"]["study_id"] for client in clients} == {7}
    finally:
        for client in clients:
            client.__exit__()
    deadline = time.monotonic() + 20
    while live.broker.clients:
        assert time.monotonic() < deadline, "clients that left are forgotten"
        time.sleep(0.05)


def test_one_person_cannot_take_all_places(served: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(live, "MAX_PER_USER", 1)
    headers = bearer()
    with Listener(served, headers) as first:
        assert first.block()
        with Listener(served, headers) as second:
            assert second.answer.status == 503
        with Listener(served, bearer("operator")) as other:
            assert other.answer.status == 200
