"""The clock of the machine jumps one hour under load, forward and back: nothing waits for that hour, nothing is sent twice."""

from __future__ import annotations

import json
import shutil
import struct
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest

from gantry.main import home as homes
from gantry.main import postgres
from gantry.main.postgres_user import Runner
from tests.conftest import unused_port
from tests.path.index import assert_nothing_lost, query
from tests.path.load import Load
from tests.path.sink import Sink
from tests.path.watch import Live, Reader
from tests.support.gantry_process import GantryProcess

pytestmark = pytest.mark.torture

HOUR = 3600
SOURCE = Path(__file__).with_name("moved_clock.c")


@dataclass
class Moved(GantryProcess):
    """All processes, PostgreSQL included, read the clock that `set_clock` moves."""

    folder: Path = Path("/nonexistent")

    @property
    def moved(self) -> dict[str, str]:
        return {"LD_PRELOAD": str(self.folder / "moved_clock.so"), "MOVED_CLOCK": str(self.folder / "clock")}

    @property
    def environment(self) -> dict[str, str]:
        return super().environment | self.moved

    def set_clock(self, seconds: int) -> None:
        """So far from the true time, at once."""
        with open(self.folder / "clock", "r+b") as file:
            file.write(struct.pack("=q", seconds * 10**9))

    def offset(self) -> float:
        """How far the clock of the database is from the true time."""
        return float(query(self, "select extract(epoch from clock_timestamp())")[0][0]) - time.time()


@pytest.fixture
def gantry(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Moved]:
    # The user that PostgreSQL runs as must be able to read it.
    folder = Path(tempfile.mkdtemp(prefix="gantry-clock-"))
    folder.chmod(0o755)
    subprocess.run(["cc", "-O2", "-shared", "-fPIC", "-o", folder / "moved_clock.so", SOURCE], check=True, timeout=120)
    (folder / "clock").write_bytes(bytes(8))
    for name in ("moved_clock.so", "clock"):
        (folder / name).chmod(0o755)
    settings = {"settle_quiet_seconds": "0.5", "receivers": "1", "retry_first_seconds": "0.3", "retry_max_seconds": "2"}
    process = Moved(tmp_path / "up", unused_port(), unused_port(), settings, folder=folder)
    plain = Runner.order

    def order(self: Runner, argv: Sequence[str], cwd: Path, death_signal: int = 0) -> list[str]:
        """PostgreSQL inherits nothing of our environment: give it the clock too."""
        *words, body = plain(self, argv, cwd, death_signal)
        content = json.loads(body)
        content["environment"] |= process.moved
        return [*words, json.dumps(content)]

    monkeypatch.setattr(Runner, "order", order)
    elsewhere = homes.open_home(tmp_path / "database")
    server = postgres.Postgres(elsewhere)
    server.start(die_with_parent=True)
    settings["database_url"] = postgres.url(elsewhere)
    yield process
    process.stop()
    server.stop()
    shutil.rmtree(folder)


@pytest.mark.peer("cc")
@pytest.mark.timeout(600)
def test_one_hour_forward_and_back(gantry: Moved, free_port: Callable[[], int]) -> None:
    gantry.start(180)
    port, late = free_port(), free_port()
    sink = Sink(port, answer=slowly)  # always some on their way, whose leases run out at the jump
    gantry.cli("node", "add", "SINK", f"SINK@127.0.0.1:{port}")
    gantry.cli("node", "add", "LATE", f"LATE@127.0.0.1:{late}")
    gantry.cli("rule", "add", "everything", "--to", "SINK")
    gantry.cli("rule", "add", "too", "--to", "LATE", "--on", "settled")
    token = gantry.json("token", "create", "--days", "1")["token"]
    reader, live = Reader(gantry, token), Live(gantry, token)
    load = Load(gantry.dicom_port, senders=2, pause=0.05).start()
    try:
        gantry.until(lambda: len(sink.times) > 20 and live.ids, 60)
        for seconds in (HOUR, 0):
            gantry.set_clock(seconds)
            gantry.until(lambda: abs(gantry.offset() - seconds) < HOUR / 2, 30)  # noqa: B023  it is called in the loop
            sent, heard, fine = len(sink.times), len(live.ids), reader.statuses[200]
            gantry.until(lambda: len(sink.times) > sent + 40, 90)  # noqa: B023
            gantry.until(lambda: len(live.ids) > heard and reader.statuses[200] > fine + 4, 60)  # noqa: B023
    finally:
        load.stop()
    try:
        assert_nothing_lost(gantry, load.acknowledged)
        # What failed an hour from now is tried now: the breaker and the retries do not wait for it.
        again = Sink(late)
        try:
            gantry.until(lambda: settled(gantry) and all_delivered(gantry), 180)
        except AssertionError as error:
            raise AssertionError(waiting(gantry)) from error
        for one in (sink, again):
            assert {uid: one.digests.get(uid) for uid in load.acknowledged} == load.acknowledged
            assert max(one.times.values()) == 1, "sent twice"
        again.stop()
        rows = query(gantry, "select position from facts_fact where position >= %s order by 1", live.ids[0])
        gantry.until(lambda: live.ids[-1] >= rows[-1][0], 60)
        assert live.ids[: len(rows)] == [row[0] for row in rows], "the feed keeps its order"
        assert (
            query(gantry, "select count(*) from procrastinate_periodic_defers where defer_timestamp > extract(epoch from now())")[
                0
            ][0]
            == 0
        )
        # Deliveries are looked for by the dispatcher too; nothing else may be left for the hour that was.
        left = query(gantry, "select task_name from procrastinate_jobs where scheduled_at > now() + interval '10 minutes'")
        assert {name for (name,) in left} <= {"gantry.transfers.work.deliver"}
    finally:
        live.stop()
        reader.stop()
        sink.stop()
    assert (reader.wrong, live.resets) == ([], 0)


def slowly(_instance: str) -> int:
    time.sleep(0.005)
    return 0


def waiting(gantry: GantryProcess) -> str:
    """What is left, seconds from now."""
    ask = {
        "deliveries": "select node_id, status, count(*), min(extract(epoch from next_attempt_at - now())::int),"
        " max(extract(epoch from updated_at - now())::int), max(attempts), max(error) from transfers_delivery group by 1, 2",
        "nodes": "select id, breaker, failure_count, extract(epoch from retry_at - now())::int,"
        " extract(epoch from last_failure_at - now())::int from nodes_node",
        "jobs": "select task_name, status, count(*), max(extract(epoch from scheduled_at - now())::int) from procrastinate_jobs"
        " group by 1, 2",
        "studies": "select settled_at is null, count(*), max(extract(epoch from last_indexed_at - now())::int) from catalogue_study"
        " group by 1",
    }
    return "\n".join([f"{name}: {query(gantry, text)}" for name, text in ask.items()] + [gantry.output])


def settled(gantry: GantryProcess) -> bool:
    return query(gantry, "select count(*) from catalogue_study where settled_at is null") == [(0,)]


def all_delivered(gantry: GantryProcess) -> bool:
    """By both rules."""
    rows = query(gantry, "select count(*), count(*) filter (where status = 'confirmed') from transfers_delivery")
    return rows[0] == query(gantry, "select 2 * count(*), 2 * count(*) from catalogue_version")[0]
