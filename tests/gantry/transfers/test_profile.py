"""What is known of a node is used, and never to the harm of a delivery when it is old."""

from __future__ import annotations

import os
from pathlib import Path

import psycopg
import pytest
from tests.gantry.nodes.destination import Destination
from tests.gantry.transfers.seed import add_node, order_all, seed_study
from tests.gantry.transfers.test_deliver import MR, run, statuses

from dimse.acceptance import Limits
from dimse.uids import CT_IMAGE_STORAGE, EXPLICIT_VR_LITTLE_ENDIAN, IMPLICIT_VR_LITTLE_ENDIAN
from gantry.nodes import registry
from gantry.nodes.advice import advice
from gantry.nodes.find import FIND_CLASSES
from gantry.nodes.models import Node
from gantry.nodes.profile import NodeProfile
from gantry.nodes.refresh import probe_anew, refresh
from gantry.transfers.models import Delivery

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("empty_queue")]
BOTH = [EXPLICIT_VR_LITTLE_ENDIAN, IMPLICIT_VR_LITTLE_ENDIAN]
JPEG_BASELINE = "1.2.840.10008.1.2.4.50"
PDU = Limits().max_pdu


def known(node: Node, **said: object) -> None:
    """The node was probed a day ago, and that was found."""
    values = {"max_pdu": PDU, "storage": [CT_IMAGE_STORAGE], "syntaxes": {CT_IMAGE_STORAGE: BOTH}, **said}
    registry.keep_profile(node.name, NodeProfile(**values))  # type: ignore[arg-type]  # names and values of the test
    with psycopg.connect(os.environ["GANTRY_DATABASE_URL"]) as own:
        own.execute("UPDATE nodes_node SET profiled_at = now() - interval '1 day'")


def proposed(destination: Destination) -> list[set[str]]:
    return [{context.abstract_syntax for context in request.contexts} for request in destination.associations]


def probes() -> int:
    with psycopg.connect(os.environ["GANTRY_DATABASE_URL"]) as own:
        row = own.execute("SELECT count(*) FROM procrastinate_jobs WHERE task_name = 'gantry.nodes.work.probe_again'").fetchone()
    return int(row[0]) if row else 0


def test_what_is_refused_is_not_proposed_before_it_is_needed(tmp_path: Path) -> None:
    with Destination(refused=[MR]) as destination:
        node = add_node("archive", destination.port, max_associations=1)
        known(node)
        for sop_class in (CT_IMAGE_STORAGE, MR, CT_IMAGE_STORAGE, MR):
            order_all(seed_study(tmp_path, 2, sop_class=sop_class), node)
        run(node, tmp_path)
        assert proposed(destination) == [{CT_IMAGE_STORAGE}, {CT_IMAGE_STORAGE, MR}], "and asked for once, all the same"
    assert statuses(node) == {"confirmed": 4, "dead": 4}
    assert probes() == 0, "it is as the profile says"


def test_an_old_profile_harms_nothing_and_is_found_anew(tmp_path: Path) -> None:
    """The profile says that MR is refused; the node has learned it meanwhile."""
    with Destination(refused=FIND_CLASSES.values()) as destination:
        node = add_node("archive", destination.port)
        known(node, fetch_associations=3)
        study = seed_study(tmp_path, 3, sop_class=MR)
        order_all(study, node)
        run(node, tmp_path)
        assert statuses(node) == {"confirmed": 3}
        assert probes() == 1
        changed = refresh(node.pk)
        node.refresh_from_db()
        assert any("SOP classes for storage" in words for words in changed)
        assert advice(node.profile).expects((MR, EXPLICIT_VR_LITTLE_ENDIAN)) is True
        assert node.profile is not None
        assert node.profile["fetch_associations"] == 3, "what fetches have learned stays"
        # Just probed: what differs now waits.
        with psycopg.connect(os.environ["GANTRY_DATABASE_URL"], autocommit=True) as own:
            own.execute("DELETE FROM procrastinate_jobs")
            assert not probe_anew(own, node.pk)
            assert probe_anew(own, node.pk, least_seconds=0)
            assert not probe_anew(own, node.pk, least_seconds=0), "one is ordered already"


def test_another_largest_pdu_is_a_change(tmp_path: Path) -> None:
    with Destination() as destination:
        node = add_node("archive", destination.port)
        known(node, max_pdu=16384)
        order_all(seed_study(tmp_path, 1), node)
        run(node, tmp_path)
    assert statuses(node) == {"confirmed": 1}
    assert probes() == 1


def test_a_syntax_that_the_profile_excludes_is_tried_before_an_instance_is_given_up(tmp_path: Path) -> None:
    """It takes implicit VR only, and may be given that; an old profile says JPEG only."""
    with Destination(refused=[EXPLICIT_VR_LITTLE_ENDIAN]) as destination:
        node = add_node("archive", destination.port, max_associations=1)
        registry.change("archive", {"transcode": "uncompressed"})
        known(node, syntaxes={CT_IMAGE_STORAGE: [JPEG_BASELINE]})
        order_all(seed_study(tmp_path, 3), node)
        run(node, tmp_path)
        assert len(destination.associations) == 2
    assert statuses(node) == {"confirmed": 3}
    assert set(Delivery.objects.values_list("changed", flat=True)) == {"transcoded"}


def test_an_unreachable_node_keeps_its_profile() -> None:
    with Destination() as gone:
        port = gone.port
    node = add_node("archive", port)
    known(node)
    before = Node.objects.get(pk=node.pk).profile
    assert refresh(node.pk) == []
    assert Node.objects.get(pk=node.pk).profile == before
