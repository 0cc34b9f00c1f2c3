"""What a rule waits for: the association, a quiet time of its own; what comes late is sent, and only that."""

from __future__ import annotations

import uuid
from datetime import UTC, datetime, timedelta
from pathlib import Path

import psycopg
import pytest
from tests.gantry.transfers.seed import seed_study

from gantry.catalogue import associations
from gantry.catalogue.models import Study
from gantry.routing import rules, waiting, work
from gantry.transfers.models import Delivery

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("three_nodes")]


def jobs(connection: psycopg.Connection) -> list[tuple[str, float]]:
    connection.rollback()
    rows = connection.execute(
        "SELECT queueing_lock, extract(epoch FROM scheduled_at - now())::float8 FROM procrastinate_jobs "
        "WHERE task_name LIKE '%%route_quiet' AND status = 'todo' ORDER BY queueing_lock"
    ).fetchall()
    connection.rollback()
    return [(row[0], row[1]) for row in rows]


def test_the_end_of_the_last_association(tmp_path: Path, connection: psycopg.Connection) -> None:
    study = seed_study(tmp_path, 2)
    rules.add("ended", to=["one"], on="association")
    first, second = uuid.uuid4(), uuid.uuid4()
    with connection.transaction():
        associations.opened(connection, [(first, study.id, "r0"), (second, study.id, "r1")], datetime.now(UTC))
    work.route_arrived.func(str(study.batch_id))
    assert Delivery.objects.count() == 0
    count = "SELECT count(*) FROM facts_fact WHERE kind = 'StudyEnded' AND payload ->> 'study_id' = %s"
    with connection.transaction():
        associations.ended(connection, [first])
    assert connection.execute(count, [str(study.id)]).fetchone() == (0,)
    with connection.transaction():
        associations.restarted(connection, ["r1"])  # the receiver died
    assert connection.execute(count, [str(study.id)]).fetchone() == (1,)
    row = connection.execute("SELECT args FROM procrastinate_jobs WHERE task_name LIKE '%%route_ended'").fetchone()
    assert row is not None
    work.route_ended.func(**row[0])
    assert Delivery.objects.count() == 2


def test_an_association_that_is_over_when_its_batch_is_indexed(tmp_path: Path) -> None:
    study = seed_study(tmp_path, 2)
    rules.add("ended", to=["one"], on="association", when=["NumberOfStudyRelatedInstances=2"])
    work.route_arrived.func(str(study.batch_id))
    assert Delivery.objects.count() == 2


def test_a_quiet_time_of_its_own(tmp_path: Path, connection: psycopg.Connection) -> None:
    study = seed_study(tmp_path, 3)
    rules.add("long", to=["one"], on="settled", quiet_seconds=3600.0)
    rules.add("usual", to=["two"], on="settled")
    work.route_arrived.func(str(study.batch_id))
    ((lock, seconds),) = jobs(connection)
    assert lock == f"quiet-{study.id}-3600"
    assert 3000 < seconds <= 3600
    work.route_settled.func(study.id)
    assert set(Delivery.objects.values_list("rule_name", flat=True)) == {"usual"}
    # Too early: it looks again when the time will be over.
    connection.execute("DELETE FROM procrastinate_jobs")
    connection.commit()
    assert not waiting.after_quiet(connection, study.id, 3600.0)
    assert len(jobs(connection)) == 1
    Study.objects.filter(pk=study.id).update(last_indexed_at=datetime.now(UTC) - timedelta(hours=2))
    assert waiting.after_quiet(connection, study.id, 3600.0)
    assert Delivery.objects.filter(rule_name="long").count() == 3
    # A late instance opens the study again; then only that one is ordered.
    Delivery.objects.filter(rule_name="long", version_id=study.version_ids[1]).delete()
    Delivery.objects.update(status="confirmed")
    assert waiting.after_quiet(connection, study.id, 3600.0)
    assert list(Delivery.objects.filter(status="waiting").values_list("version_id", flat=True)) == [study.version_ids[1]]


def test_an_open_association_holds_a_quiet_rule_back_but_not_for_ever(tmp_path: Path, connection: psycopg.Connection) -> None:
    study = seed_study(tmp_path, 1)
    rules.add("quiet", to=["one"], on="settled", quiet_seconds=1.0)
    with connection.transaction():
        associations.opened(connection, [(uuid.uuid4(), study.id, "r0")], datetime.now(UTC))
    Study.objects.filter(pk=study.id).update(last_indexed_at=datetime.now(UTC) - timedelta(seconds=60))
    assert not waiting.after_quiet(connection, study.id, 1.0)
    assert len(jobs(connection)) == 1
    Study.objects.filter(pk=study.id).update(last_indexed_at=datetime.now(UTC) - timedelta(hours=1))
    assert waiting.after_quiet(connection, study.id, 1.0)
    assert not waiting.after_quiet(connection, 10**9, 1.0)


def test_a_clock_that_was_set_back_does_not_hold_it_for_ever(tmp_path: Path, connection: psycopg.Connection) -> None:
    study = seed_study(tmp_path, 1)
    rules.add("quiet", to=["one"], on="settled", quiet_seconds=5.0)
    Study.objects.filter(pk=study.id).update(last_indexed_at=datetime.now(UTC) + timedelta(days=1))
    assert waiting.after_quiet(connection, study.id, 5.0)
