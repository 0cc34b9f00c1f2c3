"""The receipt says what was confirmed, and never more."""

from __future__ import annotations

from pathlib import Path

import psycopg
import pytest
from tests.gantry.nodes.destination import Destination
from tests.gantry.transfers.seed import add_node, order_all, seed_study
from tests.gantry.transfers.test_deliver import run

from gantry.transfers.errors import StudyMissing
from gantry.transfers.models import Delivery
from gantry.transfers.receipt import receipt

pytestmark = pytest.mark.django_db(transaction=True)


def test_n_of_n_byte_identical(tmp_path: Path, connection: psycopg.Connection) -> None:
    with Destination() as destination:
        study = seed_study(tmp_path, 4)
        one, two = add_node("one", destination.port), add_node("two", destination.port)
        order_all(study, one)
        order_all(study, two)
        before = receipt(connection, study.uid)
        assert [(d.node, d.confirmed, d.ordered, d.complete) for d in before.destinations] == [
            ("one", 0, 4, False),
            ("two", 0, 4, False),
        ]
        run(one, tmp_path)
        half = receipt(connection, study.uid)
        assert [destination.complete for destination in half.destinations] == [True, False]
        assert not half.complete
        run(two, tmp_path)
    done = receipt(connection, study.uid)
    assert done.complete
    assert done.instances == 4
    for receipted, stored in zip(done.destinations[0].instances, study.instances, strict=True):
        assert receipted.identical
        assert receipted.stored_sha256 == receipted.sent_sha256 == stored.digest.hex()
        assert receipted.confirmed_at is not None


def test_another_digest_than_the_stored_is_not_identical(tmp_path: Path, connection: psycopg.Connection) -> None:
    study, node = seed_study(tmp_path, 1), add_node("one", 104)
    order_all(study, node)
    Delivery.objects.update(status="confirmed", sha256=b"\0" * 32)
    found = receipt(connection, study.uid)
    assert found.destinations[0].confirmed == 1
    assert not found.complete


def test_nothing_ordered_is_no_complete_receipt(tmp_path: Path, connection: psycopg.Connection) -> None:
    study = seed_study(tmp_path, 1)
    assert not receipt(connection, study.uid).complete
    with pytest.raises(StudyMissing):
        receipt(connection, "1.2.3")
