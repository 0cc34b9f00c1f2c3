"""The queue runs deliveries: order, and a real worker sends them."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from gantry import config
from tests.gantry.nodes.destination import Destination
from tests.gantry.transfers.seed import add_node, order_all, seed_study
from tests.gantry.transfers.test_deliver import statuses

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def home_here(tmp_path: Path) -> Iterator[Path]:
    before = config.current()
    config.use(before.model_copy(update={"home": tmp_path}))
    yield tmp_path
    config.use(before)


def test_a_worker_delivers_what_was_ordered(home_here: Path, connection: psycopg.Connection) -> None:
    from procrastinate.contrib.django import app

    from gantry.nodes.pool import shared_pool

    with Destination() as destination:
        study, node = seed_study(home_here, 5), add_node("archive", destination.port)
        order_all(study, node)

        async def work() -> None:
            worker = app.with_connector(app.connector.get_worker_connector())
            async with worker.open_async():
                await worker.run_worker_async(queues=["transfers"], wait=False, install_signal_handlers=False)

        asyncio.run(work())
        shared_pool().close()
        assert len(destination.received) == 5
    assert statuses(node) == {"confirmed": 5}
    found = connection.execute(
        "SELECT status::text FROM procrastinate_jobs WHERE queueing_lock LIKE 'deliver%'"
    ).fetchall()
    assert found == [("succeeded",)]
