"""Commands of `gantry` in processes of their own, without waiting half a second for each to import what it needs.

One process imports the libraries once and forks for every command: a fresh process with its own environment, its own
output and its own exit status. What reads settings (our apps, Django's) is imported after the fork, as always.
"""

from __future__ import annotations

import atexit
import gc
import importlib
import json
import os
import select
import signal
import socket
import subprocess
import sys
import tempfile
import threading
from collections.abc import Mapping, Sequence

_LIBRARIES = (
    "gantry.main.cli", "gantry.main.session", "gantry.database", "gantry.sealing", "dimse", "cryptography.x509", "yaml", "regex",
    "django.core.management", "django.db.backends.postgresql.base", "django.db.migrations.executor", "django.contrib.postgres.fields",
    "django.forms", "django.template", "psycopg", "psycopg.types.json", "pydantic", "procrastinate", "rich.table", "rich.progress",
    "allauth.core", "django.contrib.auth.hashers", "django.http", "django.urls",
)  # fmt: skip


class Commands:
    """The process that forks; started at the first command, ended with the tests."""

    def __init__(self) -> None:
        self._here: socket.socket | None = None
        self._process: subprocess.Popen[bytes] | None = None
        self._lock = threading.Lock()

    def run(self, arguments: Sequence[str], environment: Mapping[str, str], timeout: float) -> subprocess.CompletedProcess[str]:
        """`gantry ARGUMENTS` in a process forked for it. Raises subprocess.TimeoutExpired after killing it."""
        with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err:
            one, other = socket.socketpair()
            with one:
                with other, self._lock:
                    socket.send_fds(self._server(), [b"x"], [other.fileno(), out.fileno(), err.fileno()])
                one.sendall(json.dumps({"argv": list(arguments), "env": dict(environment), "cwd": os.getcwd()}).encode() + b"\n")
                one.settimeout(timeout)
                try:
                    answer = one.recv(64)
                except TimeoutError:
                    raise subprocess.TimeoutExpired(list(arguments), timeout) from None
            assert answer, "the process that forks is gone"
            texts = []
            for file in (out, err):
                file.seek(0)
                texts.append(file.read().decode("utf-8", "replace").replace("\r\n", "\n"))
        return subprocess.CompletedProcess(list(arguments), int(answer), *texts)

    def _server(self) -> socket.socket:
        if self._process is not None and self._process.poll() is not None:
            self.end()
        if self._here is None:
            here, there = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
            with there:
                clean = {name: value for name, value in os.environ.items() if not name.startswith(("GANTRY_", "DJANGO_"))}
                self._process = subprocess.Popen(
                    [sys.executable, __file__, str(there.fileno())], pass_fds=[there.fileno()], stdin=subprocess.DEVNULL,
                    env={**clean, "PYTHONPATH": os.pathsep.join(sys.path)},
                )  # fmt: skip
            self._here = here
        return self._here

    def end(self) -> None:
        """No more commands."""
        if self._here is not None and self._process is not None:
            self._here.close()
            self._process.wait(30)
            self._here = self._process = None


def serve(listener: socket.socket) -> None:
    """Fork for each request until the tests are gone."""
    for name in _LIBRARIES:
        importlib.import_module(name)
    gc.collect()
    gc.freeze()  # the collector must not touch, and so copy, what the forked ones share
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # nobody waits for those who watch
    while True:
        data, (connection, out, err), _, _ = _receive(listener)
        if not data:
            return
        if os.fork() == 0:
            listener.close()
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)
            _watch(socket.socket(fileno=connection), out, err)
        for descriptor in (connection, out, err):
            os.close(descriptor)


def _receive(listener: socket.socket) -> tuple[bytes, tuple[int, int, int], int, object]:
    data, found, flags, address = socket.recv_fds(listener, 16, 3)
    if not data:
        sys.exit(0)
    return data, (found[0], found[1], found[2]), flags, address


def _watch(connection: socket.socket, out: int, err: int) -> None:
    """Run one command in a child, kill it when who asked has gone, hand on its exit status."""
    with connection.makefile("rb") as lines:
        order = json.loads(lines.readline())
    child = os.fork()
    if child == 0:
        connection.close()
        _become(order, out, err)
    handle = os.pidfd_open(child)
    ready, _, _ = select.select([handle, connection], [], [])
    if handle not in ready:
        signal.pidfd_send_signal(handle, signal.SIGKILL)
    _, status = os.waitpid(child, 0)
    if handle in ready:
        connection.sendall(str(os.waitstatus_to_exitcode(status)).encode())
    os._exit(0)


def _become(order: dict[str, object], out: int, err: int) -> None:
    """This process is the command from here on."""
    environment, arguments = order["env"], order["argv"]
    assert isinstance(environment, dict)
    assert isinstance(arguments, list)
    os.environ.clear()
    os.environ.update(environment)
    os.chdir(str(order["cwd"]))
    nothing = os.open(os.devnull, os.O_RDONLY)
    for source, target in ((nothing, 0), (out, 1), (err, 2)):
        os.dup2(source, target)
    for descriptor in (nothing, out, err):
        os.close(descriptor)
    sys.argv = ["gantry", *arguments]
    from gantry.main import cli

    status = cli.run()
    atexit._run_exitfuncs()  # but not the taking apart of all that was imported: each page of it would be copied first
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(status)


if __name__ == "__main__":
    serve(socket.socket(fileno=int(sys.argv[1])))
