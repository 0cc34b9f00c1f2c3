"""What a cell is, and the list of all: the tests run it, the page in docs is made from it."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from tests.peers.matrix.world import World

PLAIN, TLS = "plain", "TLS"
BOTH = (PLAIN, TLS)
#: What Gantry is in the cell: it answers (the peer asks), or it asks.
Side = Literal["answers", "asks"]
Run = Callable[[World, bool], None]
#: The files that hold the cells, one for each implementation.
FILES = ("dcmtk_asks", "dcmtk_answers", "orthanc_cells", "pynetdicom_cells", "dcmjs_cells", "others_cells")
_all: list[Cell] = []


@dataclass(frozen=True)
class Cell:
    """One service between Gantry and one program, in one direction, over one channel. `run` raises when it fails."""

    peer: str
    tool: str
    service: str
    gantry: Side
    channel: str
    run: Run

    @property
    def name(self) -> str:
        """The id of the test."""
        return f"{self.peer}-{self.tool}-{self.service}-{self.gantry}-{self.channel}".replace(" ", "_")


def cell(peer: str, tool: str, service: str, gantry: Side, *, channels: tuple[str, ...] = BOTH) -> Callable[[Run], Run]:
    """Register `run(world, tls)` as a cell for each of the channels."""

    def register(run: Run) -> Run:
        _all.extend(Cell(peer, tool, service, gantry, channel, run) for channel in channels)
        return run

    return register


def every_cell() -> list[Cell]:
    """All cells, in the order of the page."""
    for name in FILES:
        importlib.import_module(f"tests.peers.matrix.{name}")
    return list(_all)
