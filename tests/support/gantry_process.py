"""A whole instance in its own processes, as a user runs it."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.support.commands import Commands

#: What says who a patient is in the data that tests send (part10_files, and pydicom's real files).
PATIENT_MARKS = ("Test^Anna", "TEST-1", "CompressedSamples^", "ACC-1", "Test study")
_COMMAND = [sys.executable, "-m", "gantry.main.cli"]
COMMANDS = Commands()


@dataclass
class GantryProcess:
    """`gantry up` on free ports; `settings` become GANTRY_* variables. `furnish` puts a ready database into a new home."""

    home: Path
    http_port: int
    dicom_port: int
    settings: dict[str, str] = field(default_factory=dict)
    aet: str = "GANTRY"
    process: subprocess.Popen[bytes] | None = None
    furnish: Callable[[Path], None] | None = None

    @property
    def base_url(self) -> str:
        return f"http://127.0.0.1:{self.http_port}"

    @property
    def environment(self) -> dict[str, str]:
        own = {name: value for name, value in os.environ.items() if not name.startswith(("GANTRY_", "DJANGO_", "PROMETHEUS_"))}
        own["GANTRY_HOME"] = str(self.home)
        own["GANTRY_HTTP"] = f"127.0.0.1:{self.http_port}"
        own["GANTRY_DICOM"] = f"127.0.0.1:{self.dicom_port}"
        own["GANTRY_AET"] = self.aet
        own["GANTRY_UNKNOWN_CALLERS"] = "allow"
        source = str(Path(__file__).parents[2] / "src")
        own["PYTHONPATH"] = os.pathsep.join([source, *filter(None, [own.get("PYTHONPATH")])])
        if own.pop("PYTHONDONTWRITEBYTECODE", ""):
            # Without compiled modules every process and command takes three times as long to start.
            own["PYTHONPYCACHEPREFIX"] = str(Path(__file__).parents[2] / ".cache" / "pycache")
        return own | {f"GANTRY_{key.upper()}": value for key, value in self.settings.items()}

    @property
    def output(self) -> str:
        """What `gantry up` has printed."""
        path = self.home.with_name(self.home.name + ".output")
        return path.read_text(encoding="utf-8", errors="replace") if path.exists() else ""

    def start(self, timeout: float = 60) -> None:
        """Start it and wait until it is ready."""
        self.prepare()
        with open(self.home.with_name(self.home.name + ".output"), "ab") as output:
            self.process = subprocess.Popen(
                [*_COMMAND, "up"], env=self.environment, stdin=subprocess.DEVNULL, stdout=output, stderr=output
            )
        self.wait_ready(timeout)

    def prepare(self) -> None:
        """Make the home, with tables, where that saves time and nothing else is there."""
        if self.furnish is not None and "database_url" not in self.settings and not (self.home / "postgres").exists():
            self.furnish(self.home)

    def wait_ready(self, timeout: float = 60) -> None:
        """Wait until /health/ready answers 200."""

        def ready() -> bool:
            assert self.process is not None
            assert self.process.poll() is None, f"gantry up ended with {self.process.returncode}:\n{self.output}"
            try:
                with urllib.request.urlopen(f"{self.base_url}/health/ready", timeout=5) as response:
                    return bool(response.status == 200)
            except (urllib.error.URLError, ConnectionError, TimeoutError):
                return False

        self.until(ready, timeout)

    def until(self, condition: Callable[[], object], timeout: float = 30) -> None:
        """Wait for a condition, or fail with the output of the instance."""
        deadline = time.monotonic() + timeout
        while not condition():
            assert time.monotonic() < deadline, f"not within {timeout} s:\n{self.output}"
            time.sleep(0.05)

    def cli(self, *arguments: str, check: bool = True, timeout: float = 60) -> subprocess.CompletedProcess[str]:
        """Run a command of ours on this home."""
        done = COMMANDS.run(arguments, self.environment, timeout)
        assert not check or done.returncode == 0, f"{arguments}: {done.returncode}\n{done.stdout}\n{done.stderr}"
        return done

    def json(self, *arguments: str, check: bool = True) -> Any:
        """Run a reading command with --json."""
        return json.loads(self.cli(*arguments, "--json", check=check).stdout)

    def pid(self, name: str) -> int:
        """The process `name` (receiver-r0, indexer, worker, web, postgres)."""
        if name == "postgres":
            return int((self.home / "postgres" / "postmaster.pid").read_text().split("\n")[0])
        return int((self.home / "run" / f"{name}.pid").read_text())

    def kill(self, name: str) -> int:
        """kill -9; gives the process id that is gone."""
        pid = self.pid(name)
        os.kill(pid, signal.SIGKILL)
        return pid

    def leaks(self, *marks: str) -> list[str]:
        """Lines of logs, and paths, that hold one of the marks: what only the database and the objects may know."""
        wanted = [mark.lower() for mark in marks]
        found = [
            f"path {path}" for path in self.home.rglob("*") if any(mark in path.name.lower() for mark in wanted)
        ]  # fmt: skip
        places = [*self.home.glob("logs/*"), *self.home.glob("run/**/*"), self.home.with_name(self.home.name + ".output")]
        for path in places:
            if path.is_file():
                lines = path.read_text(encoding="utf-8", errors="replace").lower().splitlines()
                found += [f"{path.name}: {line[:300]}" for line in lines if any(mark in line for mark in wanted)]
        return found

    def stop(self, timeout: float = 45) -> int | None:
        """Ctrl-C, and wait; gives the exit status. Does nothing when it does not run. No patient may be in its logs."""
        if self.process is None:
            return None
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGINT)
            try:
                self.process.wait(timeout)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait(10)
                raise AssertionError(f"gantry up did not stop within {timeout} s:\n{self.output}") from None
        status = self.process.returncode
        self.process = None
        assert not (found := self.leaks(*PATIENT_MARKS)), f"patient data outside the database and the objects: {found[:10]}"
        return status
