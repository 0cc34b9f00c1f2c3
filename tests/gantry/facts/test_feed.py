"""The change feed: nothing is missed by who reads by cursor, whatever the order of commits."""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import psycopg
import pytest
from tests.gantry.accounts.people import bearer

from gantry import database
from gantry.facts import Settled, feed, publish
from gantry.facts.errors import CursorGone
from gantry.facts.kinds import Delivered

pytestmark = pytest.mark.django_db(transaction=True)
KINDS = ["Settled"]


@pytest.fixture
def connection(transactional_db: None) -> Iterator[psycopg.Connection]:
    with database.connect(autocommit=True, application="feed-test") as opened:
        yield opened


def settle(on: psycopg.Connection, *studies: int) -> None:
    with on.transaction():
        publish(on, *[Settled(study) for study in studies])


def test_a_smaller_id_that_commits_later_is_not_missed(connection: psycopg.Connection) -> None:
    with database.connect(application="feed-test") as slow:
        publish(slow, Settled(1))
        settle(connection, 2)
        first = feed.read(connection, 0, KINDS, 10)
        assert [change.data["study_id"] for change in first] == [2]
        slow.commit()
    rest = feed.read(connection, first[-1].id, KINDS, 10)
    assert [change.data["study_id"] for change in rest] == [1]


def test_a_long_transaction_does_not_stop_the_feed(connection: psycopg.Connection) -> None:
    with database.connect(application="feed-test") as slow:
        publish(slow, Settled(1))
        settle(connection, 2)
        assert len(feed.read(connection, 0, KINDS, 10)) == 1


def test_readers_that_follow_writers_see_each_fact_once(connection: psycopg.Connection) -> None:
    count, done = 6 * 40, threading.Event()

    def write(number: int) -> None:
        dice = random.Random(number)
        with database.connect(application="feed-test") as own:
            for turn in range(40):
                publish(own, Settled(number * 1000 + turn))
                time.sleep(dice.random() * 0.004)
                own.commit()

    seen: list[list[int]] = [[], []]

    def follow(number: int) -> None:
        with database.connect(autocommit=True, application="feed-test") as own:
            after = 0
            while True:
                last = done.is_set()
                for change in feed.read(own, after, KINDS, 7):
                    assert change.id > after
                    after = change.id
                    seen[number].append(change.data["study_id"])
                if last and len(seen[number]) >= count:
                    return
                if last and not feed.read(own, after, KINDS, 1):
                    return

    writers = [threading.Thread(target=write, args=(number,)) for number in range(6)]
    readers = [threading.Thread(target=follow, args=(number,)) for number in range(2)]
    for thread in writers + readers:
        thread.start()
    for thread in writers:
        thread.join()
    done.set()
    for thread in readers:
        thread.join()
    assert len(seen[0]) == count
    assert len(set(seen[0])) == count
    assert seen[0] == seen[1], "everybody sees the same order"


def test_a_cursor_from_nowhere_is_refused(connection: psycopg.Connection) -> None:
    settle(connection, 1, 2, 3)
    last = feed.read(connection, 0, KINDS, 10)[-1].id
    with pytest.raises(CursorGone):
        feed.read(connection, last + 1, KINDS, 10)
    assert feed.read(connection, last, KINDS, 10) == []
    assert feed.prune(connection, datetime.now(UTC) + timedelta(hours=1)) == 2
    with pytest.raises(CursorGone):
        feed.read(connection, last - 2, KINDS, 10)
    assert len(feed.read(connection, 0, KINDS, 10)) == 1
    settle(connection, 4)
    assert feed.read(connection, last, KINDS, 10)[0].id == last + 1, "positions go on after old ones are gone"


def test_over_rest_by_pages(connection: psycopg.Connection) -> None:
    settle(connection, *range(5))
    client = bearer("viewer")
    page: Any = client.get("/api/v1/changes?limit=2&kinds=Settled").json()
    found = [*page["items"]]
    while page["next"]:
        page = client.get(page["next"].removeprefix("http://testserver")).json()
        found += page["items"]
    assert [one["data"]["study_id"] for one in found] == [0, 1, 2, 3, 4]
    assert client.get("/api/v1/changes?after=9999999").status_code == 410
    assert client.get("/api/v1/changes?kinds=Nonsense").status_code == 422


def test_a_token_for_nothing_else_sees_no_kinds(connection: psycopg.Connection) -> None:
    settle(connection, 1)
    assert bearer("viewer", actions=["changes.view"]).get("/api/v1/changes").json()["items"] == []


def test_a_token_for_some_nodes_hears_nothing_of_the_others(connection: psycopg.Connection) -> None:
    with connection.transaction():
        publish(connection, Delivered(1, 7))
    kinds = [one["kind"] for one in bearer("operator").get("/api/v1/changes").json()["items"]]
    assert kinds == ["Delivered"]
    assert bearer("operator", nodes=["pacs"]).get("/api/v1/changes").json()["items"] == []
