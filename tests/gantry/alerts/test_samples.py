"""The roll-up: minutes from what was indexed and confirmed, hours and days from minutes, the same when said twice."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from uuid import uuid4

import psycopg
import pytest
from tests.gantry.accounts import stored
from tests.gantry.accounts.people import bearer

from gantry.alerts import samples
from gantry.alerts.models import Sample
from gantry.facts import Arrived, publish

pytestmark = pytest.mark.django_db(transaction=True)


def table(step: str) -> dict[tuple[str, str], float]:
    return {(one.measure, one.subject): one.value for one in Sample.objects.filter(step=step)}


def test_minutes_hours_and_days(connection: psycopg.Connection) -> None:
    from gantry.catalogue.models import Version

    stored.study("1.2.3")
    batch = uuid4()
    Version.objects.update(batch_id=batch, calling_aet="CT1", dataset_bytes=1000)
    count = Version.objects.count()
    connection.execute("UPDATE catalogue_version SET indexed_at = received_at + interval '7 seconds'")
    with connection.transaction():
        publish(connection, Arrived(batch, count))
    connection.execute("UPDATE facts_fact SET created_at = date_trunc('minute', now()) - interval '30 seconds'")
    now = datetime.now(UTC) + timedelta(minutes=1)
    for _ in range(2):
        samples.sample(connection, now)
        for step in ("minute", "hour", "day"):
            expected = {
                ("received_instances", "CT1"): count, ("received_bytes", "CT1"): 1000 * count, ("index_lag", "CT1"): 7,
            }  # fmt: skip
            assert table(step) == expected, step
    answer = bearer("operator").get("/api/v1/metrics/series?measure=received_bytes&step=minute").json()
    assert [(point["subject"], point["value"]) for point in answer["points"]] == [("CT1", 1000 * count)]
    answer = bearer("operator", actions=["metrics.view"]).get("/api/v1/metrics/series?subject=CT2").json()
    assert answer["points"] == []


def test_what_was_forwarded_by_node(connection: psycopg.Connection) -> None:
    from gantry.catalogue.models import Version
    from gantry.transfers.order import order

    stored.study("1.2.3")
    node = stored.node("archive")
    order(connection, [Version.objects.latest("pk").pk], [node.pk])
    connection.execute(
        "UPDATE transfers_delivery SET status = 'confirmed', confirmed_at = date_trunc('minute', now()) - interval '30 seconds'"
    )
    samples.sample(connection, datetime.now(UTC) + timedelta(minutes=1))
    assert table("hour")["forwarded_instances", "archive"] == 1
    assert table("hour")["forwarded_bytes", "archive"] > 0


def test_old_minutes_are_forgotten_days_stay(connection: psycopg.Connection) -> None:
    now = datetime.now(UTC)
    for step, days in (("minute", 7), ("minute", 9), ("hour", 399), ("hour", 401), ("day", 4000)):
        Sample.objects.create(step=step, at=now - timedelta(days=days), measure="received_bytes", value=1)
    samples.forget(connection, now)
    assert sorted(Sample.objects.values_list("step", flat=True)) == ["day", "hour", "minute"]
