"""How many associations serve a node best: more while that makes it faster, fewer when it refuses or does not answer."""

from __future__ import annotations

import threading
import time

FIRST = 2
WINDOW_SECONDS = 0.4
#: What is kept of an attempt: a growth that brought less is taken back, and not tried again for a while.
_WORTH, _WORSE = 1.05, 0.85
_PATIENCE_SECONDS, _AFTER_REFUSAL_SECONDS = 5.0, 30.0
#: An instance costs the node as much as so many bytes, whatever its size.
_INSTANCE_BYTES = 20_000


class Parallel:
    """The number of associations of one run. Thread-safe; `limit` is the number now, 1 to `ceiling`."""

    def __init__(self, ceiling: int, start: int | None = None) -> None:
        self.ceiling = max(1, ceiling)
        self.limit = max(1, min(self.ceiling, start or FIRST))
        self._lock = threading.Lock()
        self._began = time.monotonic()
        self._done = 0.0
        self._before: float | None = None  # the speed before we grew
        self._quiet_until = 0.0

    def answered(self, size: int, now: float | None = None) -> bool:
        """An instance was answered; True when the limit has just grown."""
        now = time.monotonic() if now is None else now
        with self._lock:
            self._done += size + _INSTANCE_BYTES
            took = now - self._began
            if took < WINDOW_SECONDS:
                return False
            speed, self._done, self._began = self._done / took, 0.0, now
            return self._judge(speed, now)

    def refused(self, working: int | None = None, now: float | None = None) -> None:
        """The node wants less: it refused an association, has no resources, or did not answer in time. `working`:
        so many associations it has given."""
        with self._lock:
            self.limit = max(1, min(self.limit // 2, working) if working else self.limit // 2)
            self._before = None
            self._quiet_until = (time.monotonic() if now is None else now) + _AFTER_REFUSAL_SECONDS

    def _judge(self, speed: float, now: float) -> bool:
        before, self._before = self._before, None
        if before is not None and speed < before * _WORTH:
            if speed < before * _WORSE or self.limit > FIRST:
                self.limit = max(1, self.limit - 1)
            self._quiet_until = now + _PATIENCE_SECONDS
            return False
        if now < self._quiet_until or self.limit >= self.ceiling:
            return False
        self._before = speed
        self.limit += 1
        return True
