"""CPU seconds and peak memory of a process and everything below it, from /proc (Linux only)."""

from __future__ import annotations

import contextlib
import os
import threading
from collections import defaultdict
from collections.abc import Callable, Iterable
from types import TracebackType

_TICK = os.sysconf("SC_CLK_TCK")
_EVERY_SECONDS = 0.1


def _read(path: str) -> bytes:
    try:
        with open(path, "rb") as file:
            return file.read()
    except OSError:
        return b""


def command_line(pid: int) -> str:
    """The words of a process's command, or nothing when it is gone."""
    return _read(f"/proc/{pid}/cmdline").replace(b"\0", b" ").decode("utf-8", "replace").strip()


def all_pids() -> list[int]:
    """Every process now."""
    return [int(name) for name in os.listdir("/proc") if name.isdigit()]


def tree(roots: Iterable[int]) -> list[int]:
    """`roots` and all that descend from them, zombies included."""
    children: dict[int, list[int]] = defaultdict(list)
    for pid in all_pids():
        fields = _read(f"/proc/{pid}/stat").rpartition(b")")[2].split()
        if fields:
            children[int(fields[1])].append(pid)
    found: dict[int, None] = {}
    waiting = list(roots)
    while waiting:
        pid = waiting.pop()
        if pid not in found:
            found[pid] = None
            waiting += children[pid]
    return list(found)


def cpu_seconds(pids: Iterable[int]) -> float:
    """User and system time of living processes and zombies, and of their children that were waited for."""
    ticks = 0
    for pid in pids:
        fields = _read(f"/proc/{pid}/stat").rpartition(b")")[2].split()
        if len(fields) > 14:
            ticks += sum(int(field) for field in fields[11:15])
    return ticks / _TICK


def peak_rss(pid: int) -> float | None:
    """The most memory a process ever had resident, MB (VmHWM)."""
    for line in _read(f"/proc/{pid}/status").splitlines():
        if line.startswith(b"VmHWM:"):
            return int(line.split()[1]) / 1024
    return None


class Watch:
    """Watches while something is measured. `roots` is asked at the start and at the end.

    Children that come and go (fork per association) are seen when they live for a tenth of a second; their
    CPU time is counted in any case, when their parent has waited for them or they are still zombies.
    """

    def __init__(self, roots: Callable[[], list[int]], role: Callable[[str], str]) -> None:
        self._roots, self._role = roots, role
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._peaks: dict[int, float] = {}
        self._roles: dict[int, str] = {}
        self._cpu_before = 0.0
        self.cpu = 0.0

    def __enter__(self) -> Watch:
        pids = tree(self._roots())
        self._look(pids)
        self._cpu_before = cpu_seconds(pids)
        self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._stop.set()
        self._thread.join()
        pids = tree(self._roots())
        self._look(pids)
        self.cpu = round(max(0.0, cpu_seconds(pids) - self._cpu_before), 2)

    def _look(self, pids: Iterable[int]) -> None:
        for pid in pids:
            peak = peak_rss(pid)
            if peak is not None:
                self._peaks[pid] = max(peak, self._peaks.get(pid, 0.0))
                if pid not in self._roles:
                    self._roles[pid] = self._role(command_line(pid))

    def _below(self, pids: Iterable[int]) -> set[int]:
        found = set(pids)
        for pid in list(found):
            with contextlib.suppress(OSError, ValueError):
                for task in os.listdir(f"/proc/{pid}/task"):
                    found |= {int(word) for word in _read(f"/proc/{pid}/task/{task}/children").split()}
        return found

    def _run(self) -> None:
        while not self._stop.wait(_EVERY_SECONDS):
            self._look(self._below(self._peaks))

    def peaks(self) -> dict[str, float]:
        """Role to the largest peak of one process in it, MB; `sum`: all peaks together (an upper bound)."""
        found: dict[str, float] = {"sum": round(sum(self._peaks.values()), 1)}
        for pid, peak in self._peaks.items():
            role = self._roles[pid]
            found[role] = round(max(peak, found.get(role, 0.0)), 1)
        return found
