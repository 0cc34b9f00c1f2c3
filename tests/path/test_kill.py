"""kill -9 of every process at random moments, under load: nothing acknowledged is lost, nothing is confirmed twice."""

from __future__ import annotations

import contextlib
import random
import time
from collections.abc import Callable

import psycopg
import pytest

from tests.path.index import assert_nothing_lost, query
from tests.path.load import Load
from tests.path.sink import Sink
from tests.support.gantry_process import GantryProcess

VICTIMS = ("receiver-r0", "indexer", "worker", "web", "postgres")


def _kill(gantry: GantryProcess, victim: str) -> None:
    with contextlib.suppress(FileNotFoundError, ProcessLookupError):  # it is just being restarted
        gantry.kill(victim)


def _torment(gantry: GantryProcess, rounds: int, seed: int, port: int) -> None:
    dice = random.Random(seed)
    sink = Sink(port)
    gantry.cli("node", "add", "SINK", f"SINK@127.0.0.1:{port}")
    gantry.cli("rule", "add", "everything", "--to", "SINK")
    load = Load(gantry.dicom_port, senders=2, pause=0.002).start()
    try:
        for number in range(rounds):
            time.sleep(dice.uniform(0.3, 1.5))
            _kill(gantry, VICTIMS[number % len(VICTIMS)] if number < len(VICTIMS) else dice.choice(VICTIMS))
    finally:
        load.stop()
    assert len(load) > 10 * rounds, "the load came to a standstill"
    assert_nothing_lost(gantry, load.acknowledged)

    def all_confirmed() -> bool:
        try:
            open_ones = query(gantry, "select count(*) from transfers_delivery where status <> 'confirmed'")[0][0]
            done = query(gantry, "select count(*) from transfers_delivery where status = 'confirmed'")[0][0]
        except psycopg.OperationalError:
            return False
        return bool(open_ones == 0 and done >= len(load))

    gantry.until(all_confirmed, 90)
    twice = query(
        gantry,
        "select version_id, node_id, count(*) from transfers_delivery where status = 'confirmed' group by 1, 2 having count(*) > 1",
    )
    assert twice == []
    assert {uid: sink.digests.get(uid) for uid in load.acknowledged} == load.acknowledged
    sink.stop()
    verified = gantry.cli("verify", "--json", check=False)
    if verified.returncode:  # what a crash leaves can be named and mended
        gantry.cli("verify", "--mend", "--yes", check=False)
        assert gantry.cli("verify", "--json", check=False).returncode == 0, verified.stdout


@pytest.mark.timeout(300)
def test_each_process_is_killed_once_under_load(
    gantry_process: Callable[..., GantryProcess], free_port: Callable[[], int]
) -> None:
    gantry = gantry_process(settle_quiet_seconds=1, receivers=1, retry_first_seconds=0.3, retry_max_seconds=2)
    gantry.start()
    _torment(gantry, rounds=5, seed=1, port=free_port())


@pytest.mark.torture
@pytest.mark.timeout(3600)
def test_fifty_rounds(gantry_process: Callable[..., GantryProcess], free_port: Callable[[], int]) -> None:
    gantry = gantry_process(settle_quiet_seconds=1, receivers=1, retry_first_seconds=0.3, retry_max_seconds=2)
    gantry.start()
    _torment(gantry, rounds=50, seed=int(time.time()), port=free_port())


@pytest.mark.timeout(120)
def test_kill_of_the_supervisor_itself_and_start_again(gantry_process: Callable[..., GantryProcess]) -> None:
    gantry = gantry_process(settle_quiet_seconds=1, receivers=1)
    gantry.start()
    load = Load(gantry.dicom_port, senders=2).start()
    gantry.until(lambda: len(load) > 100)
    assert gantry.process is not None
    gantry.process.kill()
    gantry.process.wait(60)
    load.stop()
    gantry.start()
    assert_nothing_lost(gantry, load.acknowledged)
