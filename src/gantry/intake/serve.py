"""The indexer as a process: one per home, held by a lock that dies with its holder."""

from __future__ import annotations

import contextlib
import fcntl
import logging
import os
from collections.abc import Iterator
from pathlib import Path
from threading import Event
from typing import Any

import psycopg

from gantry import config, database
from gantry.intake.indexer import Indexer, Settling
from gantry.storage import SpoolReader

log = logging.getLogger(__name__)

#: The indexer yields to the receivers.
NICE = 5
_POLL_SECONDS = 0.2


def take_indexing(home: Path) -> int | None:
    """The right to index this home, as an open descriptor to be closed by `leave_indexing`; None when it is taken."""
    os.makedirs(home / "run", mode=0o700, exist_ok=True)
    descriptor = os.open(home / "run" / "indexer.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(descriptor)
        return None
    return descriptor


def leave_indexing(descriptor: int) -> None:
    """Give the right back."""
    os.close(descriptor)


@contextlib.contextmanager
def indexer(home: Path) -> Iterator[Indexer]:
    """An indexer of this home with the settings of this process; the caller holds the right to index."""
    settings = config.current()
    settling = Settling(settings.settle_quiet_seconds, settings.settle_on_association_end)
    with SpoolReader(home, durable=settings.durability == "disk") as reader:
        made = Indexer(home, reader, connect=_connect, settling=settling)
        try:
            yield made
        finally:
            made.close()


def _connect() -> psycopg.Connection[Any]:
    return database.connect(application="gantry-indexer")


def run_indexer(home: Path, stop: Event) -> None:
    """Index until `stop`. Waits while another process (an import, a former run) indexes this home."""
    with contextlib.suppress(OSError):
        os.nice(NICE)
    waiting = False
    while (right := take_indexing(home)) is None:
        if not waiting:
            log.info("another process indexes this home; waiting for it")
            waiting = True
        if stop.wait(_POLL_SECONDS):
            return
    try:
        with indexer(home) as made:
            made.run(stop)
    finally:
        leave_indexing(right)
