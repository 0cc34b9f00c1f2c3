"""The receipt says what was confirmed, and never more."""

from __future__ import annotations

from pathlib import Path

import psycopg
import pytest
from django.utils import timezone
from tests.gantry.nodes.destination import Destination
from tests.gantry.transfers.seed import add_node, order_all, seed_study
from tests.gantry.transfers.test_deliver import run

from gantry.audit import SYSTEM
from gantry.catalogue import trash
from gantry.catalogue.models import Patient, Study
from gantry.catalogue.remove import remove_study
from gantry.transfers.errors import StudyMissing
from gantry.transfers.models import Delivery
from gantry.transfers.receipt import receipt
from gantry.transfers.recycle import ABOVE, count_open_of_study

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


def test_the_proof_of_a_removed_study_is_shown(tmp_path: Path, connection: psycopg.Connection) -> None:
    with Destination() as destination:
        study, node, other = seed_study(tmp_path, 2), add_node("one", destination.port), add_node("two", destination.port)
        order_all(study, node)
        order_all(study, other)
        run(node, tmp_path)
        run(other, tmp_path)
    before = receipt(connection, study.uid)
    assert before.removed_at is None
    trash.put_in_trash(connection, study.uid, by=SYSTEM, reason="test", count_open=count_open_of_study)
    remove_study(study.uid, ABOVE, by=SYSTEM)
    assert not Study.objects.filter(study_instance_uid=study.uid).exists()
    kept = receipt(connection, study.uid)
    assert kept.complete
    assert kept.removed_at is not None
    assert kept.destinations == before.destinations, "digests and times, to the last digit"
    only = receipt(connection, study.uid, nodes={"two"})
    assert [place.node for place in only.destinations] == ["two"]
    # It comes again, and nothing of it was ordered yet: both can be told apart.
    Study.objects.create(
        patient=Patient.objects.create(patient_id="TEST-1", anchor="again", created_at=timezone.now()), instance_count=0,
        study_instance_uid=study.uid, first_received_at=timezone.now(), last_received_at=timezone.now(),
    )  # fmt: skip
    assert receipt(connection, study.uid).destinations == ()
    assert receipt(connection, study.uid, removed=True) == kept
    with pytest.raises(StudyMissing, match="no proof"):
        receipt(connection, "1.2.3", removed=True)
