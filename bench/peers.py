"""The peers as context managers: start, wait for the first C-ECHO, count what is stored, stop."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable
from pathlib import Path
from types import TracebackType

from bench import wire
from bench.machine import dcmtk, free_port
from bench.watch import Watch


class PeerError(Exception):
    """A peer did not start or did not do its work."""


class Peer:
    """A DICOM receiver that somebody else wrote, in a process of its own."""

    called = "ANY-SCP"
    ready_seconds = 30.0
    stop_signal = signal.SIGTERM
    stop_seconds = 20.0

    def __init__(self, name: str, folder: Path) -> None:
        self.name, self.folder = name, folder
        self.port = free_port()
        self._process: subprocess.Popen[bytes] | None = None

    def command(self) -> list[str]:
        """The command line; called once, may write a settings file first."""
        raise NotImplementedError

    def environment(self) -> dict[str, str]:
        """Variables of the process."""
        return dict(os.environ)

    def stored(self) -> int | None:
        """How many instances it holds now, by its own storage; None: cannot be asked."""
        output = self.folder / "out"
        return sum(1 for entry in os.scandir(output) if entry.is_file())

    def roots(self) -> list[int]:
        """The processes whose trees are this peer."""
        return [self._process.pid] if self._process else []

    def role(self, command: str) -> str:
        """What a process of the peer is for, by its command line."""
        del command
        return "server"

    def watch(self) -> Watch:
        """CPU and memory of the peer while something runs."""
        return Watch(self.roots, self.role)

    @property
    def address(self) -> tuple[str, int]:
        """Where it listens."""
        return "127.0.0.1", self.port

    def log(self) -> str:
        """The end of what it printed, for error messages."""
        with contextlib.suppress(OSError):
            return (self.folder / "peer.log").read_text(encoding="utf-8", errors="replace")[-1500:]
        return ""

    def __enter__(self) -> Peer:
        (self.folder / "out").mkdir(exist_ok=True)
        command = self.command()
        with (self.folder / "peer.log").open("wb") as log:
            self._process = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                env=self.environment(),
                cwd=self.folder,
                start_new_session=True,
            )
        try:
            self._await_ready()
        except BaseException:
            self.stop()
            raise
        return self

    def _await_ready(self) -> None:
        until = time.monotonic() + self.ready_seconds
        assert self._process is not None
        while True:
            if self._process.poll() is not None:
                raise PeerError(f"{self.name} ended with {self._process.returncode}: {self.log()}")
            try:
                wire.echo(self.address, called=self.called)
                return
            except (OSError, wire.WireError) as error:
                if time.monotonic() > until:
                    raise PeerError(f"{self.name} is not ready: {error}; {self.log()}") from error
                time.sleep(0.05)

    def stop(self) -> None:
        """Ask it to end, then end its process group (it has one of its own)."""
        if self._process is None:
            return
        group = self._process.pid
        if self._process.poll() is None:
            self._process.send_signal(self.stop_signal)
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(timeout=self.stop_seconds)
        with contextlib.suppress(ProcessLookupError):
            os.killpg(group, signal.SIGKILL)
        self._process.wait()
        self._process = None

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.stop()


class Storescp(Peer):
    """DCMTK storescp with the given options."""

    def __init__(self, name: str, folder: Path, *options: str, variables: dict[str, str] | None = None) -> None:
        super().__init__(name, folder)
        self._options, self._variables = options, variables or {}

    def command(self) -> list[str]:
        return [dcmtk("storescp"), *self._options, "-od", str(self.folder / "out"), str(self.port)]

    def environment(self) -> dict[str, str]:
        return {**os.environ, **self._variables}


class Orthanc(Peer):
    """Orthanc with SQLite and its defaults: it syncs, and hashes with MD5. No plugins."""

    stop_signal = signal.SIGINT

    def __init__(self, name: str, folder: Path, **settings: object) -> None:
        super().__init__(name, folder)
        self._settings = settings
        self._http = free_port()

    def command(self) -> list[str]:
        settings = {
            "Name": "bench",
            "StorageDirectory": str(self.folder / "out"),
            "IndexDirectory": str(self.folder / "out"),
            "Plugins": [],
            "DicomPort": self.port,
            "HttpPort": self._http,
            "RemoteAccessAllowed": False,
            "AuthenticationEnabled": False,
            "DicomCheckCalledAet": False,
            "DicomAlwaysAllowStore": True,
            **self._settings,
        }
        path = self.folder / "orthanc.json"
        path.write_text(json.dumps(settings), encoding="utf-8")
        return [shutil.which("Orthanc") or "/usr/sbin/Orthanc", str(path)]

    def stored(self) -> int | None:
        with urllib.request.urlopen(f"http://127.0.0.1:{self._http}/statistics", timeout=30) as answer:
            return int(json.load(answer)["CountInstances"])


class Pynetdicom(Peer):
    """The storescp application that pynetdicom brings."""

    def command(self) -> list[str]:
        options = ["-q", "-ba", "127.0.0.1", "-od", str(self.folder / "out")]
        return [sys.executable, "-m", "pynetdicom", "storescp", *options, str(self.port)]


#: Name to maker, in the order of the tables. The gantry ones are added by `bench.ours`.
PEERS: dict[str, Callable[[Path], Peer]] = {
    "storescp": lambda folder: Storescp("storescp", folder),
    "storescp+B": lambda folder: Storescp("storescp+B", folder, "+B"),
    "storescp-best": lambda folder: Storescp("storescp-best", folder, "+B", "--fork", "-pdu", "131072"),
    "orthanc": lambda folder: Orthanc("orthanc", folder),
    "pynetdicom": lambda folder: Pynetdicom("pynetdicom", folder),
}
