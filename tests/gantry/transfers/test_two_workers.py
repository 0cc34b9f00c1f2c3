"""Two workers on two homes with one PostgreSQL: no delivery twice, files found, a killed worker's work taken up."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psycopg
import pytest
from tests.gantry.nodes.destination import Destination
from tests.gantry.transfers.seed import add_node, order_all, seed_study
from tests.gantry.transfers.test_deliver import statuses

from dimse.acceptance import StoreAnswer, StoreRequest
from gantry.main import home as homes
from gantry.transfers.models import Delivery
from gantry.transfers.order import order

pytestmark = [pytest.mark.django_db(transaction=True)]


class Workers:
    """`gantry serve worker` on homes of their own, with the database of this test."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.homes = [homes.open_home(folder / name).path for name in ("one", "two")]
        self.processes: list[subprocess.Popen[bytes]] = []

    def start(self, number: int) -> subprocess.Popen[bytes]:
        variables = {name: value for name, value in os.environ.items() if not name.startswith(("GANTRY_", "PROMETHEUS_"))}
        variables |= {
            "GANTRY_HOME": str(self.homes[number]), "GANTRY_DATABASE_URL": os.environ["GANTRY_DATABASE_URL"],
            "PYTHONPATH": os.pathsep.join(sys.path), "GANTRY_RETRY_FIRST_SECONDS": "0.5",
        }  # fmt: skip
        with open(self.folder / f"worker-{number}.log", "ab") as log:
            process = subprocess.Popen(
                [sys.executable, "-m", "gantry.main.cli", "serve", "worker"], env=variables, stdout=log, stderr=log
            )
        self.processes.append(process)
        return process

    def logs(self) -> str:
        return "\n".join(path.read_text(errors="replace")[-3000:] for path in self.folder.glob("worker-*.log"))

    def until(self, condition: Callable[[], object], seconds: float = 60) -> None:
        deadline = time.monotonic() + seconds
        while not condition():
            assert all(process.poll() in {None, -signal.SIGKILL} for process in self.processes), self.logs()
            assert time.monotonic() < deadline, self.logs()
            time.sleep(0.1)


@pytest.fixture
def workers(tmp_path: Path, connection: psycopg.Connection) -> Iterator[Workers]:
    made = Workers(tmp_path)
    yield made
    for process in made.processes:
        process.terminate()
    for process in made.processes:
        try:
            process.wait(20)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def test_nothing_twice_and_every_file_found(workers: Workers, connection: psycopg.Connection) -> None:
    with Destination() as destination:
        here, there = seed_study(workers.homes[0], 120), seed_study(workers.homes[1], 120)
        node = add_node("archive", destination.port)
        for number in (0, 1):
            workers.start(number)
        workers.until(lambda: connection.execute("SELECT count(*) FROM transfers_workerhome").fetchone() == (2,))
        order_all(here, node)
        order_all(there, node)
        workers.until(lambda: statuses(node) == {"confirmed": 240})
        assert all(len(copies) == 1 for copies in destination.received.values()), "no delivery twice"
        for stored in (*here.instances, *there.instances):
            assert destination.received[stored.uid] == [stored.dataset]
        # A file that no home has is told so, and does not wander for ever.
        lost = seed_study(workers.homes[0], 1)
        lost.instances[0].path.unlink()
        order_all(lost, node)
        workers.until(lambda: Delivery.objects.get(study_id=lost.id).status == "dead")


@pytest.mark.slow
def test_the_work_of_a_killed_worker_is_taken_up_within_a_minute(workers: Workers, connection: psycopg.Connection) -> None:
    slow = threading.Event()

    def behave(_command: StoreRequest) -> StoreAnswer:
        if not slow.is_set():
            time.sleep(0.05)
        return StoreAnswer()

    with Destination(behave) as destination:
        # Both homes show the same files, as two hosts with one share do.
        study = seed_study(workers.homes[0], 150)
        (workers.homes[1] / "objects").rmdir()
        (workers.homes[1] / "objects").symlink_to(workers.homes[0] / "objects")
        node = add_node("archive", destination.port, max_associations=2)
        order(connection, study.version_ids, [node.pk], "rule")
        first = workers.start(0)
        workers.until(lambda: statuses(node).get("confirmed", 0) >= 10)
        first.send_signal(signal.SIGKILL)
        killed = time.monotonic()
        assert statuses(node).get("sent", 0) > 0
        confirmed = dict(Delivery.objects.filter(status="confirmed").values_list("id", "confirmed_at"))
        slow.set()
        workers.start(1)
        workers.until(lambda: statuses(node) == {"confirmed": 150}, 90)
        assert time.monotonic() - killed < 60
    for key, when in confirmed.items():
        assert Delivery.objects.get(pk=key).confirmed_at == when, "confirmed is never written again"
