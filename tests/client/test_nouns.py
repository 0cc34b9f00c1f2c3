"""Both flavours of the client against a real server on a real database: what a person scripts."""

from __future__ import annotations

import asyncio
import inspect
import json
import threading
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from tests.gantry.accounts import stored
from tests.gantry.accounts.people import token
from tests.gantry.accounts.served import Served, serving

from gantry import config, database
from gantry.facts import Settled, live, publish
from gantry_client import AsyncGantryClient, ConflictError, GantryClient, NotFound, NotSignedIn, PositionGone

pytestmark = pytest.mark.django_db(transaction=True)


class Blocking:
    """The asynchronous client, each call in a loop of its own: one test for both flavours."""

    def __init__(self, client: AsyncGantryClient) -> None:
        self.client = client

    def __getattr__(self, name: str) -> Callable[..., Any]:
        def call(*arguments: Any, **named: Any) -> Any:
            answer = getattr(self.client, name)(*arguments, **named)
            return asyncio.run(answer if inspect.iscoroutine(answer) else collected(answer))

        return call


async def collected(items: Any) -> list[Any]:
    return [item async for item in items]


@pytest.fixture
def served(monkeypatch: pytest.MonkeyPatch, transactional_db: None) -> Iterator[Served]:
    with serving(monkeypatch) as server:
        yield server
        live.broker.stop()


@pytest.fixture(params=["threads", "asyncio"])
def client(served: Served, request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    (tmp_path / "home" / "secrets").mkdir(parents=True)
    monkeypatch.setattr(config, "_current", config.current().model_copy(update={"home": tmp_path / "home"}))
    key = token("administrator")
    return GantryClient(served.url, key) if request.param == "threads" else Blocking(AsyncGantryClient(served.url, key))


def test_steering_deliveries_and_keeping_studies(client: Any, tmp_path: Path) -> None:
    study = stored.study("1.2.3", instances=2, home=tmp_path / "home")
    stored.deliveries(study, stored.node())
    assert client.hold("1.2.3", node="archive", reason="wrong patient").changed == 2
    assert {one.status for one in client.deliveries()} == {"held"}
    assert client.release("1.2.3", reason="right after all").changed == 2
    assert client.recall("1.2.3", reason="no longer wanted").changed == 2
    assert client.resend("1.2.3", reason="once more").changed == 2
    assert list(client.held()) == []
    assert client.protect("1.2.3").protected is True
    assert client.unprotect("1.2.3").protected is False
    assert client.place_legal_hold("1.2.3", "case-7", reason="court").label == "case-7"
    with pytest.raises(ConflictError):
        client.throw_away("1.2.3", reason="mistake")
    client.lift_legal_hold("1.2.3", "case-7", reason="closed")
    client.recall("1.2.3", reason="it goes away")
    assert client.throw_away("1.2.3", reason="mistake").state == "trash"
    assert [one.study_instance_uid for one in client.trash()] == ["1.2.3"]
    assert client.restore("1.2.3").instances == 2
    assert client.one_series("1.2.3.1").study_instance_uid == "1.2.3"
    assert client.set_retention("ct", 30, modality="CT").days == 30
    assert [one.name for one in client.retention()] == ["ct"]
    client.remove_retention("ct")
    assert list(client.quarantine()) == []
    with pytest.raises(NotFound):
        client.quarantined("00000000-0000-0000-0000-000000000000")
    acts = [one.act for one in client.audit(study_uid="1.2.3")]
    assert len(acts) >= 8
    assert {one.reason for one in client.audit(study_uid="1.2.3")} >= {"wrong patient", "court", "mistake"}


def test_versions_of_rules(client: Any) -> None:
    stored.study("1.2.3")
    client.add_node("archive", "ARCHIVE@127.0.0.1:1")
    client.add_rule("ct", ["archive"], when=["Modality=CT"])
    draft = client.draft_rules(note="more")
    assert draft.state == "draft"
    changed = client.put_rules([{"name": "all", "destinations": ["archive"]}], expected=draft.revision)
    assert client.try_rules("1.2.3", version="draft").rules[0].rule == "all"
    assert client.activate_rules(expected=changed.revision).state == "active"
    assert [one.name for one in client.rules()] == ["all"]
    assert len({one.version for one in client.rule_sets()}) >= 2
    client.change_node("archive", max_attempts=3)
    assert client.node("archive").name == "archive"
    assert client.allow_caller("CT1", hosts=["10.0.0.0/8"]).hosts == ("10.0.0.0/8",)
    assert client.enable_caller("CT1", False).enabled is False
    client.forbid_caller("CT1")
    assert list(client.callers()) == []


def test_people_tokens_and_webhooks(client: Any, served: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    client.add_institute("Radiology", description="ours")
    client.add_user("lena", role="viewer", memberships={"Radiology": "clinician"}, email="lena@example.org")
    assert client.user("lena").memberships[0].role == "clinician"
    assert client.change_user("lena", role="operator").role == "operator"
    group = client.set_group("Radiology", "night", ["deliveries.retry"])
    assert client.add_member(group.id, "lena").members == ("lena",)
    assert client.may("lena", "deliveries.retry").allowed is True
    assert client.may("lena", "people.edit").allowed is False
    client.remove_group(group.id)
    stored.study("1.2.3")
    grant = client.grant("1.2.3", user="lena", reason="second opinion")
    assert [one.id for one in client.grants()] == [grant.id]
    client.end_grant(grant.id)
    monkeypatch.setattr(config, "_current", config.current().model_copy(update={"webhook_private": ["127.0.0.0/8"]}))
    made = client.make_token("script", actions=["studies.view"], expires_days=1)
    other = GantryClient(served.url, made.token)
    assert len(list(other.studies())) == 1
    assert client.revoke_token(made.id).revoked_at is not None
    with pytest.raises(NotSignedIn):
        list(other.studies())
    hook = client.add_webhook("tickets", "http://127.0.0.1:1/x", kinds=["AlertChanged"])
    assert len(hook.secret) > 20
    assert client.renew_webhook_secret("tickets") != hook.secret
    assert client.test_webhook("tickets").ok is False
    assert client.change_webhook("tickets", enabled=False).enabled is False
    client.remove_webhook("tickets")
    assert list(client.webhooks()) == []
    assert list(client.alerts()) == []


def tell(count: int) -> None:
    with database.connect(autocommit=True) as connection:
        for number in range(count):
            with connection.transaction():
                publish(connection, Settled(number + 1))


def test_changes_go_on_where_they_were(client: Any) -> None:
    tell(3)
    seen = list(client.changes())
    assert [one.data["study_id"] for one in seen] == [1, 2, 3]
    tell(2)
    assert [one.data["study_id"] for one in client.changes(seen[1].id)] == [3, 1, 2]
    assert list(client.changes(kinds=["AlertChanged"])) == []


def test_events_survive_a_connection_that_breaks_off(served: Served) -> None:
    client = GantryClient(served.url, token("administrator"))
    tell(1)
    seen = []
    events = client.events(0, pause_seconds=0.05)
    seen.append(next(events).id)
    live.broker.stop()  # as the server does when it stops
    tell(2)
    seen += [next(events).id, next(events).id]
    events.close()
    assert seen == [one.id for one in client.changes()]


def test_events_within_asyncio_end_when_nobody_listens(served: Served) -> None:
    client = AsyncGantryClient(served.url, token("administrator"))

    async def first() -> int:
        async for event in client.events(0):
            return event.id
        raise AssertionError("no event")

    tell(1)
    began = time.monotonic()
    assert asyncio.run(first()) > 0
    ended = time.monotonic() + 10
    while any(thread.name == "gantry-events" for thread in threading.enumerate()):
        assert time.monotonic() < ended, "the thread of a stream nobody reads goes on"
        time.sleep(0.02)
    assert began < ended


def test_a_position_that_is_gone_is_said(served: Served) -> None:
    client = GantryClient(served.url, token("administrator"))
    tell(2)
    with pytest.raises(PositionGone):
        list(client.changes(10**15))


def test_who_we_are_and_the_server(client: Any, tmp_path: Path) -> None:
    me = client.session()
    assert (me.username, me.role, me.via) == ("administrator", "administrator", "token")
    assert (client.may_i("nodes.edit").allowed, client.may_i("nodes.edit", node="nowhere").action) == (True, "nodes.edit")
    assert list(client.sessions()) == []
    assert client.end_other_sessions() == 0
    with pytest.raises(NotFound):
        client.end_session("00000000-0000-4000-8000-000000000000")
    assert client.about().version
    assert {one.name: one.value for one in client.settings()}["aet"] == client.about().aet


def test_the_setup_is_looked_at_and_applied(client: Any) -> None:
    document = client.setup() | {"callers": [{"aet": "CT7"}]}
    looked = client.apply_setup(document, dry_run=True)
    assert [(one.section, one.key, one.change) for one in looked.changes] == [("callers", "CT7", "added")]
    assert client.apply_setup(document, expected=looked.state).changed
    with pytest.raises(ConflictError):
        client.apply_setup({"gantry": 1, "callers": [{"aet": "CT8"}]}, expected=looked.state)
    assert not client.apply_setup(client.setup(), dry_run=True).changed


def test_the_audit_is_exported_and_checked(client: Any, tmp_path: Path) -> None:
    client.apply_setup({"gantry": 1, "callers": [{"aet": "CT9"}]})
    target = tmp_path / "audit.jsonl"
    size = client.export_audit(target)
    lines = [json.loads(line) for line in target.read_text(encoding="utf-8").splitlines()]
    assert (target.stat().st_size, "file.apply" in {one["act"] for one in lines}) == (size, True)
    client.export_audit(tmp_path / "audit.csv", form="csv", since=datetime.now(UTC) + timedelta(days=1))
    assert len((tmp_path / "audit.csv").read_text(encoding="utf-8").splitlines()) <= 1, "nothing of tomorrow"
    told: list[tuple[int, int]] = []
    found = client.verify_audit(lambda done, total: told.append((done, total)))
    assert (found.ok, found.problem_count, found.problems) == (True, 0, ())
    assert found.entries >= len(lines)
    assert told
    assert sorted(one.name for one in tmp_path.iterdir()) == ["audit.csv", "audit.jsonl", "home"], "no draft is left"


def test_destinations_and_attempts(client: Any) -> None:
    stored.deliveries(stored.study("1.2.4", instances=2), stored.node("one"), "confirmed")
    (one,) = client.destinations()
    assert (one.name, one.breaker, one.waiting) == ("one", "closed", 0)
    (attempt,) = client.attempts(study_instance_uid="1.2.4")
    assert (attempt.node, attempt.outcome, attempt.count, attempt.cause) == ("one", "confirmed", 2, "")
    with pytest.raises(NotFound):
        list(client.attempts(delivery=4711))
