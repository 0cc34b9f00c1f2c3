"""The indexer process: one per host; takes objects out of the spool into place and into the index."""

from __future__ import annotations

import logging
import threading
from pathlib import Path

from gantry.config import Config
from gantry.main.stopping import stop_event

log = logging.getLogger("gantry.indexer")
_HEARTBEAT_SECONDS = 5.0


def run(config: Config) -> int:
    """Index until SIGTERM or SIGINT, give the exit code."""
    from gantry.intake.serve import run_indexer

    home = Path(config.home)
    stop = stop_event()
    heart = threading.Thread(target=_beat, args=(home / "run" / "indexer.alive", stop), name="heartbeat", daemon=True)
    heart.start()
    try:
        run_indexer(home, stop)
    finally:
        stop.set()
        heart.join()
    return 0


def _beat(mark: Path, stop: threading.Event) -> None:
    """Touch the file the health check looks at (health_api.INDEXER_SILENT_SECONDS)."""
    while True:
        try:
            mark.touch(mode=0o600)
        except OSError as error:
            log.warning("the heartbeat cannot be written: %s", error.strerror)
        if stop.wait(_HEARTBEAT_SECONDS):
            return
