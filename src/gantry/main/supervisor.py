"""`gantry up`: everything on one machine, under one small supervisor.

It makes the database ready, opens the DICOM port itself (so a receiver that dies refuses nobody: the
connection waits in the socket until its successor takes it), starts the processes, starts again what dies,
and stops all of it in order.
"""

from __future__ import annotations

import contextlib
import json
import logging
import os
import selectors
import signal
import socket
import sys
import threading
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

from dimse.errors import TlsError
from gantry import config as settings
from gantry.config import Config
from gantry.main import home as homes
from gantry.main import migrate, ports, postgres, session, setting_origins
from gantry.main.child import Child, forget_pid, write_pid
from gantry.main.errors import SetupError
from gantry.main.home import write_private
from gantry.main.leftovers import await_leftovers
from gantry.main.postgres import Postgres

log = logging.getLogger("gantry.supervisor")
#: How long each kind may take to stop, seconds; stopped in this order.
STOP_SECONDS = {"web": 12.0, "receiver": 12.0, "indexer": 20.0, "worker": 15.0}
_TICK = 1.0
_POSTGRES_DELAYS = (0.0, 0.1, 0.5, 1.0, 2.0, 5.0, 10.0)
_MAX_AUTO_RECEIVERS = 4


class Supervisor:
    """One run of `gantry up`. `quiet`: the processes log to files only."""

    def __init__(self, config: Config, *, quiet: bool = False) -> None:
        self.config = config
        self.home = homes.open_home(Path(config.home))
        self.children: list[Child] = []
        #: The password of the first administrator, when this run made one; to be shown once.
        self.first_password: str | None = None
        self._quiet = quiet
        self._claim = homes.claim(self.home)
        self._postgres = None if config.database_url else Postgres(self.home)
        self._postgres_claim: int | None = None
        self._postgres_restarts = 0
        self._stopping = threading.Event()
        self._asked = False
        self._guard: threading.Thread | None = None
        self._listener: socket.socket | None = None
        self._tls_listener: socket.socket | None = None
        self._started_at = datetime.now(UTC)

    def start(self, progress: Callable[[str], None] = lambda _: None) -> None:
        """Bring everything up; gives back when the processes are started. Raises SetupError; then all is stopped."""
        try:
            self._start(progress)
        except BaseException:
            self.stop()
            raise

    def _start(self, progress: Callable[[str], None]) -> None:
        settings.use(self.config)
        await_leftovers(self.home.run)
        ports.check_free(self.config.http, "http")
        self._listener = ports.listen(self.config.dicom, "dicom")
        if self.config.dicom_tls_address:
            check_tls(self.config)
            self._tls_listener = ports.listen(self.config.dicom_tls_address, "dicom-tls")
        progress("database")
        self._start_database()
        progress("tables")
        session.set_up_django()
        migrate.migrate()
        from gantry.accounts.bootstrap import ensure_administrator

        self.first_password = ensure_administrator()
        from django.db import connections

        connections.close_all()
        progress("processes")
        self._empty_metrics()
        self.children = self._plan()
        for child in self.children:
            child.start()
        self.write_status()

    def _start_database(self) -> None:
        if self._postgres is None:
            os.environ["GANTRY_DATABASE_URL"] = self.config.database_url
            migrate.check_server()
            return
        self._postgres_claim = self._postgres.hold()
        self._postgres.start(die_with_parent=True)
        os.environ["GANTRY_DATABASE_URL"] = postgres.url(self.home)
        write_pid(self.home.run, "postgres", self._postgres.pid or 0)
        self._guard = threading.Thread(target=self._guard_postgres, name="postgres-guard", daemon=True)
        self._guard.start()

    def _guard_postgres(self) -> None:
        """Start PostgreSQL again when it is gone. This thread lives as long as the supervisor: its death is the
        death signal of the server it starts."""
        assert self._postgres is not None
        failures = 0
        while not self._stopping.wait(0.1):
            if self._postgres.alive():
                failures = 0
                continue
            log.error("PostgreSQL is gone; starting it again")
            if self._stopping.wait(_POSTGRES_DELAYS[min(failures, len(_POSTGRES_DELAYS) - 1)]):
                return
            failures += 1
            self._postgres_restarts += 1
            try:
                self._postgres.start(die_with_parent=True)
            except (SetupError, OSError) as error:
                log.error("PostgreSQL cannot be started: %s", error)
                continue
            write_pid(self.home.run, "postgres", self._postgres.pid or 0)
            log.warning("PostgreSQL is back")

    def _empty_metrics(self) -> None:
        folder = self.home.run / "metrics"
        for entry in folder.iterdir():
            entry.unlink()

    def _plan(self) -> list[Child]:
        listener = self._listener
        assert listener is not None
        environment = self._environment()
        receivers = self.config.receivers or min(_MAX_AUTO_RECEIVERS, len(os.sched_getaffinity(0)))
        sockets = [listener.fileno(), *([self._tls_listener.fileno()] if self._tls_listener is not None else [])]
        plan = [(f"receiver-r{index}", ["receiver", "--slot", f"r{index}"], sockets) for index in range(receivers)]
        plan = [("indexer", ["indexer"], []), *plan, ("worker", ["worker"], []), ("web", ["web"], [])]
        children = []
        for name, arguments, descriptors in plan:
            names = ("GANTRY_LISTEN_FD", "GANTRY_LISTEN_TLS_FD")
            extra = {variable: str(number) for variable, number in zip(names, descriptors, strict=False)}
            children.append(
                Child(
                    name,
                    [sys.executable, "-m", "gantry.main.cli", "serve", *arguments],
                    {**environment, **extra},
                    self.home.run,
                    STOP_SECONDS[name.split("-")[0]],
                    descriptors,
                    self._child_stderr(),
                )
            )
        return children

    def _child_stderr(self) -> int | None:
        if not self._quiet:
            return sys.stderr.fileno() if sys.stderr else None
        return os.open(self.home.logs / "stderr.log", os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)

    def _environment(self) -> dict[str, str]:
        own = {name: value for name, value in os.environ.items() if not name.startswith("GANTRY_")}
        own |= settings.as_variables(self.config)
        own |= setting_origins.as_variable(self.config)
        own["GANTRY_DATABASE_URL"] = os.environ["GANTRY_DATABASE_URL"]
        own["GANTRY_SUPERVISED"] = "1"
        own["GANTRY_PARENT"] = str(os.getpid())
        own["PROMETHEUS_MULTIPROC_DIR"] = str(self.home.run / "metrics")
        if os.environ.get("GANTRY_CONFIG"):
            own["GANTRY_CONFIG"] = os.environ["GANTRY_CONFIG"]
        return own

    def request_stop(self) -> None:
        """End run(); may be called from a signal handler."""
        # No lock is taken here: a second signal may interrupt the handler of the first. run() is woken by the signal.
        self._asked = True

    def run(self) -> None:
        """Tend the processes until request_stop(); wakes at once when one of them ends."""
        reader, writer = socket.socketpair()
        reader.setblocking(False)
        writer.setblocking(False)
        before = signal.set_wakeup_fd(writer.fileno(), warn_on_full_buffer=False)
        old = signal.signal(signal.SIGCHLD, lambda *_: None)
        try:
            with selectors.DefaultSelector() as selector:
                selector.register(reader, selectors.EVENT_READ)
                while not (self._asked or self._stopping.is_set()):
                    self.tend()
                    waits = [wait for child in self.children if (wait := child.seconds_to_start(time.monotonic())) is not None]
                    if selector.select(min([_TICK, *waits])):
                        with contextlib.suppress(BlockingIOError):
                            reader.recv(4096)
        finally:
            signal.signal(signal.SIGCHLD, old)
            signal.set_wakeup_fd(before)
            reader.close()
            writer.close()

    def tend(self) -> None:
        """Restart what has ended and is due."""
        before = [(child.pid, child.restarts) for child in self.children]
        for child in self.children:
            ended = child.tend(time.monotonic())
            if ended is None:
                continue
            pid, status = ended
            log.error("%s (process %s) ended: %s; starting it again", child.name, pid, _ending(status))
            self._forget_gauges(pid)
        if [(child.pid, child.restarts) for child in self.children] != before:
            self.write_status()

    def _forget_gauges(self, pid: int) -> None:
        from prometheus_client.multiprocess import mark_process_dead

        with contextlib.suppress(OSError):
            mark_process_dead(pid, str(self.home.run / "metrics"))  # type: ignore[no-untyped-call]  # no types there

    def write_status(self) -> None:
        """run/status.json, for `gantry doctor` and people."""
        status = {
            "pid": os.getpid(),
            "started_at": self._started_at.isoformat(timespec="seconds"),
            "http": self.config.http,
            "dicom": self.config.dicom,
            "dicom_tls": self.config.dicom_tls_address,
            "aet": self.config.aet,
            "postgres_restarts": self._postgres_restarts,
            "processes": {
                child.name: {"pid": child.pid, "restarts": child.restarts, "last_exit": child.last_exit}
                for child in self.children
            },
        }
        with contextlib.suppress(OSError):
            write_private(self.home.run / "status.json", json.dumps(status, indent=1) + "\n")

    def stop(self, *, hurry: bool = False) -> None:
        """Stop all in order: web, receivers, indexer, worker, PostgreSQL. `hurry`: one second each."""
        self._stopping.set()
        for kind in STOP_SECONDS:
            began = time.monotonic()
            group = [child for child in self.children if child.name.split("-")[0] == kind]
            for child in group:
                child.ask_to_stop()
            for child in group:
                if not child.stopped(1.0 if hurry else None):
                    log.error("%s did not stop in time and was killed", child.name)
            log.info("%s stopped after %.1f s", kind, time.monotonic() - began)
        self.children = []
        for listener in filter(None, (self._listener, self._tls_listener)):
            listener.close()
        self._listener = self._tls_listener = None
        if self._guard is not None:
            self._guard.join(postgres.START_SECONDS)
            self._guard = None
        if self._postgres is not None and self._postgres_claim is not None:
            self._postgres.stop()
            os.close(self._postgres_claim)
            self._postgres_claim = None
            forget_pid(self.home.run, "postgres")
        if self._claim >= 0:
            with contextlib.suppress(OSError):
                (self.home.run / "status.json").unlink(missing_ok=True)
                (self.home.run / "indexer.alive").unlink(missing_ok=True)
            os.close(self._claim)
            self._claim = -1


def check_tls(config: Config) -> None:
    """Raises SetupError when the files of the TLS port do not do: better now than in processes that end at once. A
    certificate that is out of date closes that port only: it is read anew when it was renewed."""
    from gantry.receiver.secure import BY_TIME, tls_context

    try:
        tls_context(config)
    except TlsError as error:
        if error.kind in BY_TIME:
            log.error("no caller gets in over TLS: %s: %s", error.cause, error.remedy)
            return
        raise SetupError(error.cause, error.remedy) from error


def _ending(status: int) -> str:
    if status >= 0:
        return f"exit status {status}"
    try:
        return signal.Signals(-status).name
    except ValueError:
        return f"signal {-status}"
