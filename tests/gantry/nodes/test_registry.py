"""Nodes are added, listed, found and removed; what they have confirmed stays."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.gantry.transfers.seed import add_node, order_all, seed_study

from gantry.nodes import registry
from gantry.nodes.errors import BadAddress, BadNode, NodeExists, NodeInUse, NodeMissing
from gantry.nodes.models import Node
from gantry.transfers.models import Delivery

pytestmark = pytest.mark.django_db(transaction=True)


def none_open(_node_id: int) -> int:
    return 0


def test_add_list_get() -> None:
    node = registry.add("archive", "ARCHIVE@10.0.0.5:104", calling_aet="US")
    registry.add("Backup_2", "B@[::1]:104")
    assert [found.name for found in registry.list_nodes()] == ["Backup_2", "archive"]
    assert registry.get("archive") == node
    target = registry.target_of(node)
    assert (str(target.address), target.calling_aet) == ("ARCHIVE@10.0.0.5:104", "US")
    assert registry.target_of(registry.get("Backup_2")).calling_aet == "GANTRY"


@pytest.mark.parametrize("name", ["", "a b", "../etc", "-x", "ä", "x" * 64, "a/b", "a\n"])
def test_names_are_slugs(name: str) -> None:
    with pytest.raises(BadNode, match="no node name"):
        registry.add(name, "A@h:104")


def test_bad_values_are_refused() -> None:
    with pytest.raises(BadAddress):
        registry.add("archive", "h:104")
    with pytest.raises(BadNode, match="max_associations"):
        registry.add("archive", "A@h:104", limits=registry.NodeLimits(max_associations=0))
    assert registry.list_nodes() == []


def test_a_name_is_taken_once_and_free_again_after_removal() -> None:
    registry.add("archive", "A@h:104")
    with pytest.raises(NodeExists):
        registry.add("archive", "B@h:104")
    registry.remove("archive", open_deliveries=none_open)
    with pytest.raises(NodeMissing, match="gantry node list"):
        registry.get("archive")
    with pytest.raises(NodeMissing):
        registry.remove("archive", open_deliveries=none_open)
    registry.add("archive", "B@h:104")


def test_a_node_with_open_deliveries_is_not_removed() -> None:
    registry.add("archive", "A@h:104")
    with pytest.raises(NodeInUse, match="3 deliveries"):
        registry.remove("archive", open_deliveries=lambda _node_id: 3)
    assert registry.get("archive").enabled


def test_what_a_removed_node_confirmed_stays(tmp_path: Path) -> None:
    node = add_node("archive", 104)
    order_all(seed_study(tmp_path, 2), node)
    Delivery.objects.update(status="confirmed")
    registry.remove("archive", open_deliveries=none_open)
    assert registry.list_nodes() == []
    assert Delivery.objects.filter(node__name="archive", status="confirmed").count() == 2
    assert not Node.objects.get().enabled
    assert registry.add("archive", "A@h:104").pk != node.pk


def test_hold_back_and_let_run() -> None:
    registry.add("archive", "A@h:104")
    Node.objects.update(retry_at="2999-01-01T00:00:00Z")
    assert not registry.enable("archive", enabled=False).enabled
    node = registry.enable("archive")
    assert node.enabled
    assert node.retry_at is None
