"""PostgreSQL stops under load: receiving goes on from the durable spool, afterwards everything is indexed."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

import pytest

from gantry.main import home as homes
from gantry.main import postgres
from tests.path.index import assert_nothing_lost, query
from tests.path.load import Load
from tests.support.gantry_process import GantryProcess


@pytest.mark.timeout(240)
def test_receiving_goes_on_while_the_database_is_away(gantry_process: Callable[..., GantryProcess], tmp_path: Path) -> None:
    away = 10.0
    elsewhere = homes.open_home(tmp_path / "database")
    server = postgres.Postgres(elsewhere)
    server.start(die_with_parent=True)
    gantry = gantry_process(database_url=postgres.url(elsewhere), settle_quiet_seconds=1, receivers=1)
    gantry.start()
    load = Load(gantry.dicom_port, senders=2, pause=0.005).start()
    gantry.until(lambda: len(load) > 50)
    ours = {name: gantry.pid(name) for name in ("receiver-r0", "indexer", "worker", "web")}
    server.stop()
    before, refused = len(load), dict(load.refused)
    time.sleep(away)
    gantry.until(lambda: len(load) - before > 20 * away, 60)  # receiving goes on
    assert load.refused == refused, "a sender was refused although only the database was away"
    server.start(die_with_parent=True)
    try:
        load.stop()
        assert_nothing_lost(gantry, load.acknowledged)
        # The queue of the same worker settles what came while the database was away.
        open_jobs = "select count(*) from procrastinate_jobs where status in ('doing', 'failed') or task_name like '%%arrived'"
        gantry.until(lambda: query(gantry, open_jobs)[0][0] == 0, 60)
        assert {name: gantry.pid(name) for name in ours} == ours, "they recover without a new start"
    finally:
        gantry.stop()
        server.stop()
