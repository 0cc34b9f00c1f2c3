"""Passcodes of nodes: sealed for their node, or where they are; files of an earlier release count until they are taken over."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import psycopg
import pytest

from gantry import config, database, sealing
from gantry.main.home import Home
from gantry.nodes import registry
from gantry.nodes.errors import BadNode
from gantry.nodes.items import Security
from gantry.nodes.models import Node
from gantry.transfers.ledger import Ledger

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture(autouse=True)
def in_home(home: Home, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(config, "_current", config.current().model_copy(update={"home": home.path}))
    (home.path / "secrets" / "given").mkdir()
    return home.path


@pytest.fixture
def connection(transactional_db: None) -> Iterator[psycopg.Connection]:
    with database.connect(autocommit=True) as opened:
        yield opened


def add(name: str, passcode: str) -> Node:
    return registry.add(name, "PACS@127.0.0.1:104", security=Security(user="gantry", passcode=passcode))


def opened(name: str) -> str:
    return registry.security_of(registry.get(name)).passcode


def as_before(home: Path, node: Node, passcode: str) -> Path:
    """What the earlier release has left of a node."""
    path = home / "secrets" / f"node-{node.pk}.passcode"
    path.write_text(passcode)
    Node.objects.filter(pk=node.pk).update(passcode="")
    return path


def test_a_reference_stays_one_and_is_looked_up_when_it_is_used(in_home: Path, connection: psycopg.Connection) -> None:
    given = in_home / "secrets" / "given" / "pacs"
    given.write_text("first\n")
    node = add("pacs", f"file:{given}")
    given.write_text("second\n")
    row = Ledger(connection, "test").node(node.pk)
    assert row is not None
    target = row.target("GANTRY", in_home)
    assert target.security.passcode == "second"  # type: ignore[union-attr]  # a DIMSE peer
    registry.change("pacs", {}, security=Security(user="other", passcode="second"))
    assert registry.get("pacs").passcode == f"file:{given}", "the same passcode: the reference stays"
    given.unlink()
    with pytest.raises(BadNode, match="No such file"):
        row.target("GANTRY", in_home)
    registry.change("pacs", {"max_attempts": 3}), "other settings need no passcode"
    assert registry.get("pacs").passcode == f"file:{given}"


def test_a_passcode_opens_only_in_its_row(in_home: Path) -> None:
    one, two = add("one", "geheim"), add("two", "anders")
    Node.objects.filter(pk=two.pk).update(passcode=one.passcode or registry.get("one").passcode)
    assert opened("one") == "geheim"
    with pytest.raises(BadNode, match="belongs to another row"):
        opened("two")


def test_a_new_key_reaches_them_and_the_files_of_before(in_home: Path, connection: psycopg.Connection) -> None:
    add("new", "geheim")
    add("elsewhere", "env:GANTRY_SECRET_PACS")
    old = add("old", "x")
    path = as_before(in_home, old, "von früher")
    assert opened("old") == "von früher"
    rows = {row[2]: row[3] for row in sealing.overview(connection, in_home) if row[0] == "nodes_node"}
    assert rows == {"key 1": 1, "env": 1, "file (earlier release)": 1}
    assert sealing.reseal(connection, in_home, grace_seconds=0) == 2
    assert not path.exists()
    assert list(sealing.KeyRing(in_home).keys()) == ["2"]
    assert (opened("new"), opened("old")) == ("geheim", "von früher")
    assert registry.get("elsewhere").passcode == "env:GANTRY_SECRET_PACS"


def test_nothing_is_lost_when_it_is_killed_on_the_way(
    in_home: Path, connection: psycopg.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Killed(BaseException):
        pass

    def die(*_: object) -> None:
        raise Killed

    path = as_before(in_home, add("old", "x"), "von früher")
    with pytest.raises(Killed):  # before the commit
        sealing.reseal(connection, in_home, note=die, grace_seconds=0)
    assert (path.exists(), opened("old")) == (True, "von früher")
    key = ("nodes_node", "passcode", "file (earlier release)")
    older = sealing._older[key]
    with monkeypatch.context() as patch:  # after it, before the file is removed
        patch.setitem(sealing._older, key, replace(older, take_over=lambda *where: (older.take_over(*where)[0], die)))
        with pytest.raises(Killed):
            sealing.reseal(connection, in_home, grace_seconds=0)
    assert (path.exists(), opened("old")) == (True, "von früher")
    sealing.reseal(connection, in_home, grace_seconds=0)
    assert (path.exists(), opened("old")) == (False, "von früher")


def test_what_is_taken_away_does_not_come_back_from_its_file(in_home: Path) -> None:
    path = as_before(in_home, add("old", "x"), "von früher")
    registry.change("old", {}, passcode="")
    assert (path.exists(), opened("old"), registry.get("old").passcode) == (False, "", "")
    path.write_text("von früher")
    registry.change("old", {}, passcode="neu")
    assert (path.exists(), opened("old")) == (False, "neu")
