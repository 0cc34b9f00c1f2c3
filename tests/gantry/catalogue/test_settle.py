"""When a study has settled."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from uuid import uuid4

import psycopg
from tests.gantry.catalogue.conftest import NOW, make_row

from gantry import database
from gantry.catalogue import IndexedBatch, associations, settle_due
from gantry.catalogue.models import OpenAssociation, Study
from gantry.catalogue.settle import STALE_SECONDS

Index = Callable[..., IndexedBatch]
SECOND = timedelta(seconds=1)


def test_quiet_time(index: Index, connection: psycopg.Connection) -> None:
    (study,) = index(make_row("1")).study_ids.values()
    assert settle_due(connection, 10, True, NOW + 9 * SECOND) == []
    assert settle_due(connection, 10, True, NOW + 10 * SECOND) == [study]
    assert settle_due(connection, 10, True, NOW + 11 * SECOND) == [], "once"
    connection.commit()
    assert Study.objects.get().settled_at == NOW + 10 * SECOND
    index(make_row("2"), now=NOW + 20 * SECOND)
    assert settle_due(connection, 10, True, NOW + 29 * SECOND) == []
    assert settle_due(connection, 10, True, NOW + 30 * SECOND) == [study]


def test_open_associations(index: Index, connection: psycopg.Connection) -> None:
    (study,) = index(make_row("1")).study_ids.values()
    (other,) = index(make_row("1", study="2")).study_ids.values()
    one, two = uuid4(), uuid4()
    associations.opened(connection, {(one, study, "r0"), (two, study, "r1")}, NOW)
    associations.opened(connection, {(one, study, "r0")}, NOW)
    assert settle_due(connection, 1, True, NOW + 5 * SECOND) == [other]
    associations.ended(connection, {one})
    assert settle_due(connection, 1, True, NOW + 5 * SECOND) == []
    associations.restarted(connection, {"r1"})
    assert settle_due(connection, 1, True, NOW + 5 * SECOND) == [study]
    connection.commit()
    assert OpenAssociation.objects.count() == 0


def test_an_association_whose_end_was_lost_holds_nothing_for_ever(index: Index, connection: psycopg.Connection) -> None:
    (study,) = index(make_row("1")).study_ids.values()
    associations.opened(connection, {(uuid4(), study, "r0")}, NOW)
    late = timedelta(seconds=STALE_SECONDS)
    assert settle_due(connection, 1, True, NOW + late - SECOND) == []
    assert settle_due(connection, 1, True, NOW + late) == [study]


def test_associations_may_not_matter(index: Index, connection: psycopg.Connection) -> None:
    (study,) = index(make_row("1")).study_ids.values()
    associations.opened(connection, {(uuid4(), study, "r0")}, NOW)
    assert settle_due(connection, 1, False, NOW + SECOND) == [study]


def test_a_clock_that_was_set_back(index: Index, connection: psycopg.Connection) -> None:
    (study,) = index(make_row("1"), now=NOW).study_ids.values()
    assert settle_due(connection, 1, True, NOW - timedelta(days=20000)) == [study]


def test_a_study_that_is_being_written_is_left_for_later(index: Index, connection: psycopg.Connection) -> None:
    (study,) = index(make_row("1")).study_ids.values()
    with database.connect() as other:
        other.execute("SELECT FROM catalogue_study FOR NO KEY UPDATE")
        assert settle_due(connection, 1, True, NOW + SECOND) == []
        other.rollback()
    assert settle_due(connection, 1, True, NOW + SECOND) == [study]


def test_a_rollback_settles_nothing(index: Index, connection: psycopg.Connection) -> None:
    index(make_row("1"))
    settle_due(connection, 1, True, NOW + SECOND)
    connection.rollback()
    assert Study.objects.get().settled_at is None
