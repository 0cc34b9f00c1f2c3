"""The overview: what it counts is what is there; each part for those who may see it."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest
from django.utils import timezone
from tests.gantry.accounts import stored
from tests.gantry.accounts.people import bearer

from gantry.catalogue.models import Version
from gantry.facts.models import Fact
from gantry.main import overview_api
from gantry.nodes.models import Node
from gantry.transfers.models import Delivery

pytestmark = pytest.mark.django_db
PARTS = {"traffic", "destinations", "disks", "checks", "arrivals", "alerts", "steps"}


@pytest.fixture(autouse=True)
def fresh() -> Iterator[None]:
    """What another test has looked up is forgotten."""
    kept = (overview_api.traffic, overview_api.destinations, overview_api.levels, overview_api.checks)
    for one in kept:
        one.forget()
    yield
    for one in kept:
        one.forget()


def overview(role: str = "administrator") -> dict[str, Any]:
    answer = bearer(role).get("/api/v1/overview")
    assert answer.status_code == 200, answer.content
    found: dict[str, Any] = answer.json()
    return found


def test_a_new_instance_is_told_what_to_do_first() -> None:
    found = overview()
    assert found["steps"] == {
        "aet": "GANTRY", "dicom": found["steps"]["dicom"], "has_studies": False, "has_nodes": False, "has_rules": False,
    }  # fmt: skip
    assert found["arrivals"] == found["destinations"] == found["alerts"] == []
    assert found["traffic"]["received"] == {"instances_per_second": 0, "bytes_per_second": 0}


def test_it_counts_what_came_and_went_in_the_last_minute() -> None:
    study, node = stored.study("1.2.3", instances=6), stored.node("archive")
    stored.deliveries(study, node, "confirmed")
    now = timezone.now()
    batch = uuid.uuid4()
    versions = Version.objects.filter(instance__series__study=study)
    versions.update(batch_id=batch, received_at=now - timedelta(seconds=12), indexed_at=now, dataset_bytes=1000)
    Fact.objects.create(kind="Arrived", payload={"batch_id": str(batch), "instances": 6}, created_at=now)
    half = list(Delivery.objects.order_by("pk").values_list("pk", flat=True))[:3]
    Delivery.objects.filter(pk__in=half).update(confirmed_at=now)
    Delivery.objects.exclude(pk__in=half).update(confirmed_at=now - timedelta(hours=1))
    traffic = overview()["traffic"]
    assert traffic["received"] == {"instances_per_second": pytest.approx(6 / 60), "bytes_per_second": pytest.approx(100)}
    assert traffic["forwarded"] == {"instances_per_second": pytest.approx(3 / 60), "bytes_per_second": pytest.approx(50)}
    assert traffic["index_lag_seconds"] == pytest.approx(12)


def test_what_needs_attention_comes_first_with_a_remedy() -> None:
    node = stored.node("archive")
    stored.deliveries(stored.study("1.2.3", instances=2), node, "dead")
    Node.objects.update(breaker="open", last_error="nothing listens")
    checks = overview()["checks"]
    levels = [one["level"] for one in checks]
    assert levels == sorted(levels, key=["problem", "warning", "fine"].index)
    by_subject = {one["subject"]: one for one in checks}
    assert by_subject["node archive"]["message"] == "nothing listens"
    assert by_subject["deliveries"] | {"remedy": ""} == {
        "subject": "deliveries", "level": "warning", "message": "2 deliveries were given up", "remedy": "",
    }  # fmt: skip
    assert all(one["remedy"] for one in checks if one["level"] != "fine")
    assert {"database", "migrations", "disk", "quarantine"} <= by_subject.keys()


def test_each_part_is_for_those_who_may_see_it() -> None:
    stored.study("1.2.3", patient_name="Doe^Jane")

    def parts(role: str) -> set[str]:
        found = overview(role)
        return {name for name in PARTS if found[name] is not None}

    assert parts("administrator") == parts("operator") == PARTS
    assert parts("viewer") == {"destinations", "arrivals", "steps"}
    assert parts("researcher") == {"arrivals"}
    assert overview("viewer")["arrivals"][0]["patient_name"] == "D.J."
    assert overview("researcher")["arrivals"][0]["patient_name"] == ""
