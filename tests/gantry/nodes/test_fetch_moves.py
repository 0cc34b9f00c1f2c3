"""Fetching by C-MOVE into our own receiver: what came with the move is counted, by its originator, and nothing else."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import psycopg
import pytest
from tests.gantry.nodes.pacs import SERIES, STUDY, Pacs
from tests.gantry.receiver.conftest import connection
from tests.gantry.receiver.served import serving
from tests.support.part10_files import ROOT

from gantry import database
from gantry.intake.indexer import Indexer, Settling
from gantry.nodes import fetch as fetching
from gantry.nodes.fetch import FetchResult, Patience, fetch
from gantry.nodes.into import Into, IntoHome
from gantry.nodes.through_home import IntoFolderThroughHome
from gantry.storage import SpoolReader

__all__ = ["connection"]
OTHER = f"{ROOT}.88"


@dataclass
class House:
    """A home with a receiver, and an indexer that works when it is waited for."""

    home: Path
    port: int
    indexer: Indexer
    connection: psycopg.Connection

    def index(self, is_done: Callable[[], bool]) -> None:
        """As `gantry.intake.await_index`."""
        while not is_done():
            self.indexer.drain()

    def fetch(self, pacs: Pacs, into: Into | None = None) -> FetchResult:
        made = into or IntoHome(self.home, self.index)
        with closing(made):
            return asyncio.run(fetch(pacs.target(), [STUDY], made, how="move", destination="GANTRY", patience=Patience(20, 60)))

    def now(self, pacs: Pacs, *numbers: int, aet: str = "CT1", mover: tuple[str, int] | None = None) -> None:
        """A modality sends some of the same instances, and they are indexed."""
        pacs.send([(pacs.uid(number), pacs.data(pacs.uid(number))) for number in numbers], aet, mover)
        self.indexer.drain()

    def left(self) -> tuple[int, ...]:
        return tuple(
            self.connection.execute(f"SELECT count(*) FROM {table}").fetchone()[0]  # type: ignore[index]
            for table in ("catalogue_awaitedmove", "catalogue_moved")
        )


@pytest.fixture
def house(tmp_path: Path, connection: psycopg.Connection, monkeypatch: pytest.MonkeyPatch) -> Iterator[House]:
    # All that is on its way has been answered when the move has ended: the index need not be quiet for long.
    monkeypatch.setattr(fetching, "_SETTLE_SECONDS", 0.3)
    home = tmp_path / "home"
    home.mkdir(mode=0o700)
    with serving(home) as served, SpoolReader(home) as reader:
        indexer = Indexer(home, reader, connect=database.connect, settling=Settling(0.0, True))
        try:
            yield House(home, served.port, indexer, connection)
        finally:
            indexer.close()


def test_what_comes_with_the_move_is_received(house: House, tmp_path: Path) -> None:
    with Pacs(gets=True, moves_to=house.port) as pacs:
        result = house.fetch(pacs)
        assert (result.ok, result.announced, result.received, result.how) == (True, 5, 5, ["move"]), result
        rows = house.connection.execute("SELECT DISTINCT move_originator_aet, move_originator_id FROM catalogue_version")
        [(aet, message_id)] = rows.fetchall()
        assert aet == "GANTRY"
        assert 1 <= message_id <= 0xFFFF
        assert house.left() == (0, 0), "nothing is awaited any more"
        again = house.fetch(pacs)
        assert (again.ok, again.present, again.received) == (True, 5, 0)
        # Into a folder: all are in the home already, so all are duplicates there.
        folder = tmp_path / "out"
        result = house.fetch(pacs, IntoFolderThroughHome(folder, house.home, house.index))
        assert (result.ok, result.received) == (True, 5), result
        assert len(list(folder.rglob("*.dcm"))) == 5
        assert house.left() == (0, 0)


def test_a_source_that_lies_and_a_modality_that_sends_meanwhile(house: House) -> None:
    """It announces five, claims to have sent five, sends four and one of another study; the fifth comes from a CT."""
    lost, stranger = f"{SERIES}.3", f"{OTHER}.1.1"
    with Pacs(moves_to=house.port, lost=frozenset({lost}), also=((OTHER, stranger),)) as pacs:
        pacs.before_move = lambda: house.now(pacs, 2, 3)
        result = house.fetch(pacs)
        assert not result.ok
        assert (result.announced, result.received, result.missing, result.unexpected) == (5, 4, [lost], [stranger]), result
        assert house.fetch(pacs).present == 5, "they are here all the same"


def test_a_move_of_somebody_else_is_not_ours(house: House) -> None:
    with Pacs(moves_to=house.port, lost=frozenset({f"{SERIES}.1"})) as pacs:
        pacs.before_move = lambda: house.now(pacs, 1, aet="PACS", mover=("WORKSTATION", 7))
        result = house.fetch(pacs)
    assert (result.ok, result.received, result.missing) == (False, 4, [f"{SERIES}.1"]), result


@pytest.mark.parametrize("sends_as", ["PACS", "ELSEWHERE"])
def test_a_source_that_names_no_originator_is_believed_by_uids(house: House, sends_as: str) -> None:
    with Pacs(moves_to=house.port, names_mover=False, sends_as=sends_as) as pacs:
        result = house.fetch(pacs)
        assert (result.ok, result.received, result.unexpected) == (True, 5, []), result


def test_a_source_that_cannot_say_what_it_has_is_counted(house: House, tmp_path: Path) -> None:
    with Pacs(moves_to=house.port, image_level=False) as pacs:
        folder = tmp_path / "out"
        result = house.fetch(pacs, IntoFolderThroughHome(folder, house.home, house.index))
        assert (result.ok, result.announced, result.received) == (True, None, 5), result
        assert len(list(folder.rglob("*.dcm"))) == 5
        pacs.lost, pacs.also = frozenset({f"{SERIES}.5"}), ((OTHER, f"{OTHER}.1.2"),)
        result = house.fetch(pacs)
        assert (result.ok, result.received, result.unexpected) == (False, 4, [f"{OTHER}.1.2"]), result
        assert "it sent 5 instances, and 4 arrived" in result.error
