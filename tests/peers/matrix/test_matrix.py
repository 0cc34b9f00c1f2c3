"""Each cell of the matrix. `MATRIX_RESULTS=FILE` keeps what became of them, for docs/reference/interoperability.md."""

from __future__ import annotations

import json

import pytest

from tests.peers.matrix import results
from tests.peers.matrix.cells import TLS, Cell, every_cell
from tests.peers.matrix.world import World

pytestmark = pytest.mark.timeout(120)


@pytest.mark.parametrize("cell", every_cell(), ids=lambda cell: cell.name)
def test_cell(cell: Cell, world: World) -> None:
    cell.run(world, cell.channel == TLS)


def test_the_page_is_of_these_cells() -> None:
    """results.json, which docs/reference/interoperability.md is made from, knows every cell, and each has passed."""
    rows = json.loads(results.FILE.read_text())["cells"]
    assert [row["name"] for row in rows] == [cell.name for cell in every_cell()], "run with MATRIX_RESULTS and `make docs`"
    assert [row["name"] for row in rows if row["outcome"] != "passed"] == []
