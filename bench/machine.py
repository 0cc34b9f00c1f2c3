"""The machine under the benchmark: fresh folders, warm memory, free ports, who else is busy."""

from __future__ import annotations

import argparse
import contextlib
import functools
import json
import mmap
import os
import platform
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from importlib import metadata
from pathlib import Path
from types import FrameType, TracebackType

REPOSITORY = Path(__file__).resolve().parent.parent
_TICK = os.sysconf("SC_CLK_TCK")
WARM_MB = 1600
#: More CPU of others than this during a run (cores) makes its numbers doubtful.
NOISY_CORES = 0.4


class Workplace:
    """Folders for runs. Output is emptied after each run and unlinked only at the very end.

    ext4 does not take inodes again that were deleted in the last minutes, which makes the next run's file
    creation ten times slower. So a finished run's files are truncated (the space comes back, and dirty pages
    are dropped), and everything is removed when the whole session is over. With BENCH_WORK set, the folder
    belongs to whoever set it, who also removes it.
    """

    def __init__(self) -> None:
        given = os.environ.get("BENCH_WORK")
        self._mine = not given
        self.root = Path(given) if given else Path(tempfile.mkdtemp(prefix="gb-"))
        self.root.mkdir(parents=True, exist_ok=True)
        self.root.chmod(0o755)  # a database that dropped root must reach its folder below
        self._number = 0

    def __enter__(self) -> Workplace:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        if self._mine and not os.environ.get("BENCH_KEEP"):
            shutil.rmtree(self.root, ignore_errors=True)

    def fresh(self, name: str) -> Path:
        """A folder that never existed before; short, because unix sockets lie in it."""
        while True:
            self._number += 1
            folder = self.root / f"{name}.{os.getpid()}.{self._number}"
            with contextlib.suppress(FileExistsError):
                folder.mkdir()
                return folder

    def drain(self, folder: Path) -> None:
        """Give back the space of a finished run without unlinking anything (logs stay)."""
        if os.environ.get("BENCH_KEEP"):
            return
        for path, _, names in os.walk(folder):
            for name in names:
                full = os.path.join(path, name)
                if not name.endswith(".log") and not os.path.islink(full) and os.path.isfile(full):
                    with contextlib.suppress(OSError):
                        os.truncate(full, 0)


def warm_memory(megabytes: int = WARM_MB) -> None:
    """Touch memory, for a virtual machine to have it at hand: cold pages cost 3.5 us, warm ones last 2 s."""
    os.sync()  # the run before shall not be written back during this one
    if megabytes <= 0:
        return
    with mmap.mmap(-1, megabytes << 20) as memory:
        for at in range(0, megabytes << 20, mmap.PAGESIZE):
            memory[at] = 1


def free_port() -> int:
    """A TCP port of 127.0.0.1, 20000 or higher, that nobody listens on now."""
    while True:
        with socket.socket() as sock:
            sock.bind(("127.0.0.1", 0))
            port: int = sock.getsockname()[1]
        if port >= 20000:
            return port


def busy_seconds() -> float:
    """CPU seconds of the whole machine so far: user, nice, system, interrupts, stolen by the host."""
    with open("/proc/stat", encoding="ascii") as file:
        user, nice, system, _, _, irq, softirq, steal, *_ = (int(word) for word in file.readline().split()[1:])
    return (user + nice + system + irq + softirq + steal) / _TICK


class Outside:
    """How much CPU others took during a run: cores, on average. Kernel write-back counts as outside."""

    def __init__(self) -> None:
        self._busy, self._wall = busy_seconds(), time.monotonic()

    def cores(self, ours: float) -> float:
        """`ours`: CPU seconds of the peer and of the senders since this object was made."""
        wall = max(0.01, time.monotonic() - self._wall)
        return round(max(0.0, busy_seconds() - self._busy - ours) / wall, 2)


@functools.cache
def dcmtk(name: str) -> str:
    """The path of a DCMTK program. pynetdicom installs programs of the same names, often earlier in PATH."""
    folders = [os.environ.get("DCMTK_BIN", ""), *os.environ.get("PATH", "").split(os.pathsep), "/usr/bin"]
    for folder in folders:
        path = Path(folder) / name
        if folder and path.is_file() and os.access(path, os.X_OK) and "dcmtk" in _first_line([str(path), "--version"]):
            return str(path)
    raise FileNotFoundError(f"DCMTK's {name} is not in PATH; install dcmtk or set DCMTK_BIN")


def _first_line(command: list[str]) -> str:
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=20, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return (done.stdout or done.stderr).strip().partition("\n")[0]


def _package(name: str) -> str:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return "absent"


def _cpu_model() -> str:
    with contextlib.suppress(OSError):
        for line in Path("/proc/cpuinfo").read_text(encoding="ascii", errors="replace").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.machine()


def describe() -> dict[str, object]:
    """What a reader must know beside the numbers."""
    try:
        storescp = _first_line([dcmtk("storescp"), "--version"])
    except FileNotFoundError:
        storescp = "absent"
    return {
        "cpu": _cpu_model(),
        "cores": os.cpu_count(),
        "memory_gb": round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30, 1),
        "kernel": platform.release(),
        "python": platform.python_version(),
        "dcmtk": storescp.strip("$ "),
        "orthanc": _first_line([shutil.which("Orthanc") or "/usr/sbin/Orthanc", "--version"]) or "absent",
        "pynetdicom": _package("pynetdicom"),
        "commit": _first_line(["git", "-C", str(REPOSITORY), "describe", "--always", "--dirty"]),
        "load_average": os.getloadavg()[0],
    }


def report(bench: str, arguments: argparse.Namespace, **parts: object) -> None:
    """The one JSON line that every script ends with."""
    started = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
    options = {key: str(value) for key, value in vars(arguments).items()}
    line = {"bench": bench, "finished": started, "options": options, "machine": describe(), **parts}
    print(json.dumps(line), flush=True)


def end_cleanly() -> None:
    """Make SIGTERM an ordinary end of the script, so that it stops its servers and removes its folders."""

    def end(number: int, frame: FrameType | None) -> None:
        raise SystemExit(128 + number)

    signal.signal(signal.SIGTERM, end)


def note(text: str) -> None:
    """Progress, to stderr: stdout is for the JSON line."""
    print(text, file=sys.stderr, flush=True)
