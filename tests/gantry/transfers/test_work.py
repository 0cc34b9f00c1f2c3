"""The queue runs deliveries: order, and a real worker process sends them."""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap
from pathlib import Path

import psycopg
import pytest
from tests.gantry.nodes.destination import Destination
from tests.gantry.transfers.seed import add_node, order_all, seed_study
from tests.gantry.transfers.test_deliver import statuses

pytestmark = pytest.mark.django_db(transaction=True)
WORKER = """
    import asyncio
    import django
    django.setup()
    from procrastinate.contrib.django import app

    async def work():
        worker = app.with_connector(app.connector.get_worker_connector())
        async with worker.open_async():
            await worker.run_worker_async(queues=["transfers"], wait=False, install_signal_handlers=False)

    asyncio.run(work())
    from gantry.transfers.work import stop_deliveries
    stop_deliveries()
"""


def test_a_worker_delivers_what_was_ordered(tmp_path: Path, connection: psycopg.Connection) -> None:
    with Destination() as destination:
        study, node = seed_study(tmp_path, 5), add_node("archive", destination.port)
        order_all(study, node)
        done = subprocess.run(
            [sys.executable, "-c", textwrap.dedent(WORKER)],
            env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path), "GANTRY_HOME": str(tmp_path)},
            timeout=50,
            check=False,
            capture_output=True,
            text=True,
        )
        assert done.returncode == 0, done.stderr
        assert len(destination.received) == 5
    assert statuses(node) == {"confirmed": 5}
    found = connection.execute("SELECT status::text FROM procrastinate_jobs WHERE queueing_lock LIKE 'deliver%'").fetchall()
    assert found == [("succeeded",)]
