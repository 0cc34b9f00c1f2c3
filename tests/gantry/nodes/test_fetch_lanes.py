"""Several retrievals at once, a node that wants fewer, one that never confirms a release, and what a probe advises."""

from __future__ import annotations

import asyncio
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest
from tests.gantry.nodes.pacs import STUDY, Pacs

from dimse.uids import CT_IMAGE_STORAGE, EXPLICIT_VR_LITTLE_ENDIAN
from gantry.nodes import registry
from gantry.nodes.advice import advice
from gantry.nodes.commit import commit
from gantry.nodes.echo import echo
from gantry.nodes.errors import QueryFailed
from gantry.nodes.fetch import FetchResult, Patience, fetch
from gantry.nodes.find import find
from gantry.nodes.into import IntoFolder
from gantry.nodes.items import SendTarget
from gantry.nodes.lanes import in_lanes, parallel_of, remember
from gantry.nodes.models import Node
from gantry.nodes.parallel import Parallel
from gantry.nodes.probe import probe
from gantry.nodes.profile import NodeProfile


def get(target: SendTarget, folder: Path, parallel: Parallel) -> FetchResult:
    return asyncio.run(fetch(target, [STUDY], IntoFolder(folder), patience=Patience(5, 30), parallel=parallel))


def test_series_are_fetched_beside_each_other(tmp_path: Path) -> None:
    with Pacs(count=40, series=8, seconds_each=0.03) as pacs:
        result = get(pacs.target(), tmp_path, Parallel(4, 4))
    assert result.ok, result
    assert (result.announced, result.received, result.missing, result.unexpected) == (40, 40, [], [])
    assert 2 <= pacs.most_at_once <= 4
    assert len(pacs.retrieved) == 8, "series by series"
    assert len(list(tmp_path.rglob("*.dcm"))) == 40


def test_one_association_unless_more_are_allowed(tmp_path: Path) -> None:
    with Pacs(count=6, series=3) as pacs:
        result = get(pacs.target(), tmp_path, Parallel(1, 1))
    assert result.ok
    assert (pacs.most_at_once, len(pacs.retrieved), result.associations) == (1, 1, 1)


def test_a_node_that_wants_fewer_gets_fewer_and_all_is_fetched(tmp_path: Path) -> None:
    with Pacs(count=24, series=8, seconds_each=0.02, at_most=1) as pacs:
        result = get(pacs.target(), tmp_path, Parallel(4, 4))
    assert result.ok, result
    assert result.received == 24
    assert pacs.most_at_once == 1
    assert result.associations == 1


def test_what_fails_for_good_ends_the_others() -> None:
    stopped: list[int] = []

    async def do(number: int) -> None:
        if number == 2:
            await asyncio.sleep(0.05)
            raise QueryFailed("no", "", 0xC000)
        try:
            await asyncio.sleep(30)
        except asyncio.CancelledError:
            stopped.append(number)
            raise

    with pytest.raises(QueryFailed):
        asyncio.run(in_lanes([1, 2, 3, 4], do, Parallel(3, 3)))
    assert sorted(stopped) == [1, 3]


@contextmanager
def deaf_to_release(port: int) -> Iterator[int]:
    """A relay that hears the release (PDU 05) and never passes an answer on."""
    listener = socket.create_server(("127.0.0.1", 0))
    held: list[socket.socket] = []

    def pump(source: socket.socket, drain: socket.socket, released: threading.Event, forward: bool) -> None:
        try:
            while data := source.recv(65536):
                if forward and data[:1] == b"\x05":
                    released.set()
                if forward or not released.is_set():
                    drain.sendall(data)
        except OSError:
            return

    def serve() -> None:
        while True:
            try:
                client, _ = listener.accept()
                server = socket.create_connection(("127.0.0.1", port))
            except OSError:
                return
            held.extend((client, server))
            released = threading.Event()
            for ends in ((client, server, released, True), (server, client, released, False)):
                threading.Thread(target=pump, args=ends, daemon=True).start()

    threading.Thread(target=serve, daemon=True).start()
    try:
        yield listener.getsockname()[1]
    finally:
        listener.close()
        for end in held:
            end.close()


def test_a_node_that_never_confirms_a_release_keeps_nobody_waiting() -> None:
    with Pacs() as pacs, deaf_to_release(pacs.port) as port:
        target = pacs.target(response_seconds=60.0)
        target = replace(target, address=replace(target.address, port=port))
        began = time.monotonic()
        assert echo(target).ok
        assert commit(target, [(CT_IMAGE_STORAGE, "1.2.3")], wait_seconds=5).ok
        assert time.monotonic() - began < 30, "not the minute of an answer"


def test_a_probe_finds_out_about_cancel_and_says_what_to_send() -> None:
    with Pacs(many_studies=400) as pacs:
        found = probe(pacs.target())
    assert not found.error
    assert "cancel-ignored" not in found.quirks
    assert found.cancel_seconds is not None
    said = advice(found.as_dict())
    assert said.takes(CT_IMAGE_STORAGE)
    assert said.takes("1.2.276.0.999.1") is None, "of private classes nothing is known"
    assert EXPLICIT_VR_LITTLE_ENDIAN in (said.syntaxes_of(CT_IMAGE_STORAGE) or ())
    assert said.max_pdu == found.max_pdu
    assert advice(None).takes(CT_IMAGE_STORAGE) is None
    assert advice(NodeProfile(error="away").as_dict()).storage is None


def test_the_trouble_of_a_query_is_explained_once() -> None:
    async def run(target: SendTarget) -> None:
        async for _ in find(target, "IMAGE", {"StudyInstanceUID": STUDY}):
            pass

    with Pacs(image_level=False) as pacs, pytest.raises(QueryFailed, match="refused the C-FIND: A900") as caught:
        asyncio.run(run(pacs.target()))
    assert "unique keys" in caught.value.remedy


@pytest.mark.django_db(transaction=True)
def test_the_good_number_is_remembered_in_the_profile() -> None:
    node = Node.objects.create(
        name="pacs", aet="PACS", host="127.0.0.1", port=11113, created_at=datetime.now(UTC), max_associations=6
    )
    assert (parallel_of(node).ceiling, parallel_of(node).limit) == (6, 1)
    remember(node, Parallel(6, 5))
    node.refresh_from_db()
    assert node.profile is None, "a node that was never probed has no profile"
    registry.keep_profile("pacs", NodeProfile(services=["echo"]))
    node.refresh_from_db()
    remember(node, Parallel(6, 5))
    node.refresh_from_db()
    assert parallel_of(node).limit == 5
    assert NodeProfile.from_dict(node.profile or {}).services == ["echo"]
