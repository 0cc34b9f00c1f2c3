"""One process under the supervisor: started, watched, restarted with back-off, stopped."""

from __future__ import annotations

import contextlib
import ctypes
import os
import signal
import subprocess
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

_PR_SET_PDEATHSIG = 1
FIRST_DELAY = 0.1
LONGEST_DELAY = 10.0
#: A process that ran so long is not in a loop of failures.
_STEADY_SECONDS = 10.0


def die_with_parent() -> None:
    """Ask the kernel for SIGTERM when the process in GANTRY_PARENT dies; end at once when it is dead already.

    Without that variable this process stands alone. It is taken out, so that no child of ours believes it.
    """
    parent = os.environ.pop("GANTRY_PARENT", "")
    if not parent.isdigit():
        return
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, ctypes.c_ulong(signal.SIGTERM), 0, 0, 0)
    if os.getppid() != int(parent):
        raise SystemExit(1)


@dataclass(slots=True)
class Child:
    """A process and how often it had to be started. Times are monotonic seconds."""

    name: str
    argv: Sequence[str]
    environment: Mapping[str, str]
    run_folder: Path
    stop_seconds: float
    pass_fds: Sequence[int] = ()
    stderr: int | None = None
    restarts: int = 0
    last_exit: int | None = None
    process: subprocess.Popen[bytes] | None = None
    _started: float = 0.0
    _delay: float = field(default=FIRST_DELAY)
    _due: float = 0.0

    @property
    def pid(self) -> int | None:
        """Its process id while it runs."""
        return self.process.pid if self.process is not None else None

    def start(self) -> None:
        """Start it, away from the terminal's signals; writes run/<name>.pid."""
        self.process = subprocess.Popen(
            self.argv,
            env=self.environment,
            stdin=subprocess.DEVNULL,
            stdout=self.stderr,
            stderr=self.stderr,
            pass_fds=self.pass_fds,
            start_new_session=True,
        )
        self._started = time.monotonic()
        write_pid(self.run_folder, self.name, self.process.pid)

    def tend(self, now: float) -> tuple[int, int] | None:
        """Notice its end and start it again when due; gives (pid, exit status) of one that ended since the last call."""
        ended = None
        if self.process is not None and self.process.poll() is not None:
            ended = (self.process.pid, self.process.returncode)
            self.last_exit = self.process.returncode
            self.process = None
            if now - self._started > _STEADY_SECONDS:
                self._delay = FIRST_DELAY
            self._due = now + self._delay
            self._delay = min(self._delay * 2, LONGEST_DELAY)
        if self.process is None and now >= self._due:
            self.restarts += 1
            self.start()
        return ended

    def seconds_to_start(self, now: float) -> float | None:
        """How long until the next start; None while it runs."""
        return max(0.0, self._due - now) if self.process is None else None

    def ask_to_stop(self) -> None:
        """SIGTERM."""
        if self.process is not None:
            self.process.terminate()

    def stopped(self, timeout: float | None = None) -> bool:
        """Wait for its end after ask_to_stop(); False when it had to be killed."""
        if self.process is None:
            return True
        fine = True
        try:
            self.process.wait(self.stop_seconds if timeout is None else timeout)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
            fine = False
        self.last_exit = self.process.returncode
        self.process = None
        forget_pid(self.run_folder, self.name)
        return fine


def write_pid(run_folder: Path, name: str, pid: int) -> None:
    """run/<name>.pid, whole or not at all."""
    draft = run_folder / f".{name}.pid"
    with contextlib.suppress(OSError):  # a full disk must not stop a restart
        draft.write_text(f"{pid}\n", encoding="ascii")
        os.replace(draft, run_folder / f"{name}.pid")


def forget_pid(run_folder: Path, name: str) -> None:
    """Remove run/<name>.pid."""
    with contextlib.suppress(OSError):
        (run_folder / f"{name}.pid").unlink()
