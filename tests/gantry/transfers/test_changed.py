"""What is sent differs from what is stored, because somebody said so: edits, another transfer syntax; both digests kept."""

from __future__ import annotations

import hashlib
from pathlib import Path

import psycopg
import pytest
from tests.gantry.nodes.destination import Destination
from tests.gantry.transfers.seed import add_node, order_all, seed_study
from tests.gantry.transfers.test_deliver import run, statuses
from tests.support import part10_files as files

from gantry.dataset.scan import scan
from gantry.nodes import registry
from gantry.transfers.models import Delivery
from gantry.transfers.order import order
from gantry.transfers.receipt import receipt

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("empty_queue")]
IMPLICIT = "1.2.840.10008.1.2"
EDITS = [{"op": "set", "tag": "PatientID", "value": "EDITED-1"}]


def test_edits_go_out_and_the_stored_bytes_stay(tmp_path: Path, connection: psycopg.Connection) -> None:
    with Destination() as destination:
        study, node = seed_study(tmp_path, 3), add_node("research", destination.port)
        order(connection, study.version_ids, [node.pk], "rule", edits=EDITS)
        run(node, tmp_path)
        assert statuses(node) == {"confirmed": 3}, Delivery.objects.all()[0].error
        for stored in study.instances:
            (sent,) = destination.received[stored.uid]
            assert scan(sent, files.EXPLICIT_LITTLE_ENDIAN, whole=True).values["PatientID"] == "EDITED-1"
            assert stored.dataset in stored.path.read_bytes()
            row = Delivery.objects.get(version_id=stored.version_id)
            assert bytes(row.sha256 or b"") == hashlib.sha256(sent).digest() != stored.digest
            assert row.changed == "edited"
    found = receipt(connection, study.uid)
    assert found.complete
    assert not any(one.identical for one in found.destinations[0].instances), "never called byte-identical"


def test_edits_that_cannot_be_applied_send_nothing(tmp_path: Path, connection: psycopg.Connection) -> None:
    with Destination() as destination:
        study, node = seed_study(tmp_path, 1), add_node("research", destination.port)
        order(connection, study.version_ids, [node.pk], "rule", edits=[{"op": "no such"}])
        run(node, tmp_path)
        assert destination.attempts == []
    assert statuses(node) == {"dead": 1}


def test_another_transfer_syntax_only_where_the_node_allows_it(tmp_path: Path, connection: psycopg.Connection) -> None:
    with Destination(refused=[files.EXPLICIT_LITTLE_ENDIAN]) as destination:
        study, node = seed_study(tmp_path, 2), add_node("old", destination.port)
        order_all(study, node)
        run(node, tmp_path)
        assert statuses(node) == {"dead": 2}
        assert "transcode" in Delivery.objects.all()[0].error
        registry.change("old", {"transcode": "uncompressed"})
        Delivery.objects.update(status="waiting", attempts=0, next_attempt_at=node.created_at)
        run(node, tmp_path)
        assert statuses(node) == {"confirmed": 2}, Delivery.objects.all()[0].error
        for stored in study.instances:
            (sent,) = destination.received[stored.uid]
            before = scan(stored.dataset, files.EXPLICIT_LITTLE_ENDIAN, whole=True).values
            assert scan(sent, IMPLICIT, whole=True).values == before
            row = Delivery.objects.get(version_id=stored.version_id)
            assert (row.changed, row.sent_syntax) == ("transcoded", IMPLICIT)
            assert bytes(row.sha256 or b"") == hashlib.sha256(sent).digest()
    assert receipt(connection, study.uid).complete
