"""Single processes: `gantry serve ...`, under our supervisor or under somebody else's (systemd)."""

from __future__ import annotations

import logging
import os
import signal
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

from gantry import config as settings
from gantry.config import Config
from gantry.main import home as homes
from gantry.main import logs, session
from gantry.main.child import Child, die_with_parent
from gantry.main.errors import SetupError

log = logging.getLogger("gantry")


def web(config: Config) -> int:
    """The web process; gives its exit status. Raises SetupError."""

    def run() -> int:
        from gantry.main import process_web

        return process_web.run(config)

    return _with_house(config, "web", run)


def indexer(config: Config) -> int:
    """The indexer process; gives its exit status. Raises SetupError."""

    def run() -> int:
        from gantry.main import process_indexer

        return process_indexer.run(config)

    return _with_house(config, "indexer", run)


def worker(config: Config) -> int:
    """The worker process; gives its exit status. Raises SetupError."""

    def run() -> int:
        from gantry.main import process_worker

        return process_worker.run(config)

    return _with_house(config, "worker", run)


def receiver(config: Config, slot: str) -> int:
    """The receiver process; gives its exit status. Needs neither database nor Django. Raises SetupError."""
    _set_up(config, f"receiver-{slot}")
    from gantry.main import process_receiver  # after the folder of the metrics is known

    if session.supervised():
        return process_receiver.run(config, slot)
    with _Companion(config):
        return process_receiver.run(config, slot)


def _set_up(config: Config, process: str) -> None:
    die_with_parent()
    settings.use(config)
    home = homes.open_home(Path(config.home))
    os.environ.setdefault("PROMETHEUS_MULTIPROC_DIR", str(home.run / "metrics"))
    logs.set_up(home.logs, process, config.log_level)


def _with_house(config: Config, process: str, run: Callable[[], int]) -> int:
    _set_up(config, process)
    try:
        with session.opened(config):
            return run()
    except (SetupError, KeyboardInterrupt):
        raise
    except Exception:
        log.critical("ended by an error", exc_info=True)
        return 1


class _Companion:
    """The indexer beside a receiver that nobody supervises: started again when it dies, stopped at the end."""

    def __init__(self, config: Config) -> None:
        home = homes.open_home(Path(config.home))
        environment = {name: value for name, value in os.environ.items() if not name.startswith("GANTRY_")}
        environment |= {**settings.as_variables(config), "GANTRY_PARENT": str(os.getpid())}
        self._child = Child("indexer", [sys.executable, "-m", "gantry.main.cli", "serve", "indexer"], environment, home.run, 20.0)
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._tend, name="indexer-companion", daemon=True)

    def _tend(self) -> None:
        self._child.start()
        while not self._stop.wait(0.2):
            if (ended := self._child.tend(time.monotonic())) is not None:
                log.error("the indexer ended with status %s; starting it again", ended[1])

    def __enter__(self) -> None:
        # Ours until the receiver sets its own: a stop in between must not leave the indexer behind.
        signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
        self._thread.start()

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()
        self._child.ask_to_stop()
        self._child.stopped()
