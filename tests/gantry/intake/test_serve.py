"""The indexer as a process: one at a time, killed without loss, answered by its counters."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

import psycopg
from tests.gantry.intake.conftest import Spool, rows, spooled_files, stored_files
from tests.support import part10_files as files

from gantry import metrics
from gantry.catalogue.models import Instance, Study, Version
from gantry.facts.models import Fact
from gantry.intake.indexer import Indexer
from gantry.intake.serve import leave_indexing, run_indexer, take_indexing

_CHILD = """
import sys, threading
from pathlib import Path
import django
django.setup()
from gantry.intake.serve import run_indexer
run_indexer(Path(sys.argv[1]), threading.Event())
"""


def test_one_process_indexes_a_home(home: Path) -> None:
    right = take_indexing(home)
    assert right is not None
    assert take_indexing(home) is None
    stop = threading.Event()
    waiting = threading.Thread(target=run_indexer, args=(home, stop))
    waiting.start()
    stop.set()
    waiting.join(5)
    assert not waiting.is_alive(), "it waits, and it can be stopped while it waits"
    leave_indexing(right)
    again = take_indexing(home)
    assert again is not None
    leave_indexing(again)


def test_kill_9_at_any_moment_loses_nothing(spool: Spool, home: Path, connection: psycopg.Connection) -> None:
    """The process is killed four times while objects of both sizes arrive; what was acknowledged is indexed once."""
    sent: dict[bytes, bytes] = {}
    chance = random.Random(4711)
    for turn in range(5):
        child = subprocess.Popen(
            [sys.executable, "-c", _CHILD, str(home)], env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
        )
        try:
            for number in range(30):
                side = 800 if number % 10 == 0 else 16
                dataset = files.ct_dataset(number=turn * 100 + number, side=side)
                sent[spool.send(dataset)] = dataset
                if number % 7 == 0:
                    spool.send(dataset)
            deadline = time.monotonic() + 60
            if turn < 4:
                before = Version.objects.count()
                while Version.objects.count() == before and time.monotonic() < deadline:
                    time.sleep(0.005)
                time.sleep(chance.uniform(0.0, 0.05))
            else:
                while Version.objects.count() < len(sent) and time.monotonic() < deadline:
                    time.sleep(0.02)
        finally:
            child.send_signal(signal.SIGKILL)
            child.wait()
    finish(home)
    assert Version.objects.count() == Instance.objects.count() == len(sent)
    for version in Version.objects.all():
        assert (home / version.file_path).read_bytes()[version.dataset_offset :] == sent[bytes(version.sha256)]
    assert {path for *_, path, _ in rows(connection)} == set(stored_files(home))
    assert sum(fact.payload["instances"] for fact in Fact.objects.filter(kind="Arrived")) == len(sent)
    assert Study.objects.get().instance_count == len(sent)
    assert spooled_files(home) == []


def finish(home: Path) -> None:
    """What the last kill left to do."""
    from gantry.intake.await_index import await_index

    await_index(home, lambda: True)


def test_what_was_indexed_is_counted(spool: Spool, make_indexer: Callable[..., Indexer]) -> None:
    def value(outcome: str) -> float:
        return metrics.indexed_instances.labels(outcome)._value.get()

    before = {outcome: value(outcome) for outcome in ("new", "version", "duplicate", "quarantined")}
    for dataset in (files.ct_dataset(), files.ct_dataset(), files.ct_dataset(fill=2), files.ct_dataset(study="")):
        spool.send(dataset)
    make_indexer().drain()
    assert {outcome: value(outcome) - count for outcome, count in before.items()} == {
        "new": 1, "version": 1, "duplicate": 1, "quarantined": 1,
    }  # fmt: skip
