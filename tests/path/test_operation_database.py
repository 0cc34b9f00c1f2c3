"""PostgreSQL is restarted under load, in order and by a kill: everything of ours goes on by itself."""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Callable
from pathlib import Path

import pytest

from gantry.main import home as homes
from gantry.main import postgres
from tests.path.index import assert_nothing_lost, query
from tests.path.load import Load
from tests.path.sink import Sink
from tests.path.watch import Live, Reader
from tests.support.gantry_process import GantryProcess

#: Minutes, not seconds: with the fifty rounds of `make torture`, which CI runs too.
pytestmark = pytest.mark.torture

OURS = ("receiver-r0", "indexer", "worker", "web")


@pytest.mark.timeout(600)
def test_restarted_twice_under_load(
    gantry_process: Callable[..., GantryProcess], tmp_path: Path, free_port: Callable[[], int]
) -> None:
    elsewhere = homes.open_home(tmp_path / "database")
    server = postgres.Postgres(elsewhere)
    server.start(die_with_parent=True)
    gantry = gantry_process(
        database_url=postgres.url(elsewhere), settle_quiet_seconds=0.5, receivers=1, retry_first_seconds=0.3, retry_max_seconds=1
    )
    gantry.start(180)
    port = free_port()
    sink = Sink(port)
    gantry.cli("node", "add", "SINK", f"SINK@127.0.0.1:{port}")
    gantry.cli("rule", "add", "everything", "--to", "SINK")
    token = gantry.json("token", "create")["token"]
    reader, live = Reader(gantry, token), Live(gantry, token)
    before = {name: gantry.pid(name) for name in OURS}
    load = Load(gantry.dicom_port, senders=2, pause=0.05).start()
    try:
        gantry.until(lambda: len(sink.times) > 20 and live.ids, 60)
        for how in (signal.SIGINT, signal.SIGKILL):
            away(gantry, server, how, reader, load)
            delivered, heard, fine = len(sink.times), len(live.ids), reader.statuses[200]
            gantry.until(lambda: len(sink.times) > delivered + 20, 60)  # noqa: B023  it is called in the loop
            gantry.until(lambda: len(live.ids) > heard and reader.statuses[200] > fine + 4, 60)  # noqa: B023
    finally:
        load.stop()
    try:
        assert not load.refused, "no sender may be refused because the database is away"
        assert_nothing_lost(gantry, load.acknowledged)
        gantry.until(lambda: all_delivered(gantry), 180)
        assert_delivered_once(gantry, sink, load)
        assert_feed(gantry, live)
        assert {name: gantry.pid(name) for name in OURS} == before, "they recover without a new start"
        assert gantry.process is not None
        assert gantry.process.poll() is None
    finally:
        live.stop()
        reader.stop()
        gantry.stop()
        sink.stop()
        server.stop()
    assert reader.wrong == []
    assert live.resets == 0


def away(gantry: GantryProcess, server: postgres.Postgres, how: int, reader: Reader, load: Load) -> None:
    """End it that way, wait until clients were told 503 and senders went on all the same, start it."""
    refused, received = reader.statuses[503], len(load)
    if how == signal.SIGKILL:
        assert server.pid is not None
        os.kill(server.pid, signal.SIGKILL)
    else:
        server.stop()
    gantry.until(lambda: reader.statuses[503] > refused and len(load) > received + 20, 60)
    status, body = reader.ask("/health/ready")
    assert (status, json.loads(body)["status"]) == (503, "not_ready")
    server.start(die_with_parent=True)
    gantry.wait_ready()


def all_delivered(gantry: GantryProcess) -> bool:
    rows = query(gantry, "select count(*), count(*) filter (where status = 'confirmed') from transfers_delivery")
    return rows[0] == query(gantry, "select count(*), count(*) from catalogue_version")[0]


def assert_delivered_once(gantry: GantryProcess, sink: Sink, load: Load) -> None:
    """Each instance has one confirmed row, and the destination the bytes. (What was answered while nobody could write
    it down may be sent again; it is confirmed once.)"""
    rows = query(gantry, "select status, count(*), count(distinct version_id) from transfers_delivery group by 1")
    versions = query(gantry, "select count(*) from catalogue_version")[0][0]
    assert rows == [("confirmed", versions, versions)]
    assert {uid: sink.digests.get(uid) for uid in load.acknowledged} == load.acknowledged


def assert_feed(gantry: GantryProcess, live: Live) -> None:
    """The live client missed nothing, heard nothing twice, and in order."""
    gantry.until(lambda: query(gantry, "select count(*) from facts_fact where position is null")[0][0] == 0, 60)
    rows = query(gantry, "select position from facts_fact where position >= %s order by 1", live.ids[0])
    gantry.until(lambda: live.ids[-1] >= rows[-1][0], 60)
    assert live.ids[: len(rows)] == [row[0] for row in rows]
