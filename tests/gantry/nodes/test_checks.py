"""The health of nodes: all enabled ones are asked at once, and one that is down does not hide the others."""

from __future__ import annotations

import pytest
from tests.gantry.nodes.destination import Destination

from gantry.nodes import registry
from gantry.nodes.checks import check_nodes

pytestmark = pytest.mark.django_db(transaction=True)


def test_no_nodes() -> None:
    assert check_nodes() == []


def test_up_down_and_disabled() -> None:
    with Destination() as gone:
        pass
    with Destination() as destination:
        registry.add("up", f"DEST@127.0.0.1:{destination.port}")
        registry.add("down", f"DEST@127.0.0.1:{gone.port}")
        registry.add("off", "DEST@127.0.0.1:1", enabled=False)
        found = check_nodes(patience_seconds=30.0)
    assert [(check.name, check.result.ok) for check in found] == [("down", False), ("up", True)]
    assert "nothing listens" in found[0].result.explanation
    assert found[1].address == f"DEST@127.0.0.1:{destination.port}"
