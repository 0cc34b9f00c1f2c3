"""Turns connections away when all places are taken: A-ASSOCIATE-RJ, transient, local limit exceeded.

One thread for all of them, a bounded number at a time and a deadline for each: it costs a slow or silent
caller nothing to hang here, and nothing to us. What does not fit is closed without a word.
"""

from __future__ import annotations

import selectors
import socket
import threading
from collections import deque
from time import monotonic

from dimse.acceptance import LOCAL_LIMIT_EXCEEDED, MAX_TURNED_AWAY

#: An association request is read and thrown away up to this size, bytes.
_MAX_READ = 1 << 20


class Doorkeeper:
    """Rejects connections handed over by `turn_away`."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._lock = threading.Lock()
        self._new: deque[socket.socket] = deque()
        self._thread: threading.Thread | None = None
        self._busy = 0
        self.closed = False

    def turn_away(self, sock: socket.socket) -> None:
        """Take the socket over: answered once its request arrives, closed after the deadline."""
        with self._lock:
            if self.closed or self._busy >= MAX_TURNED_AWAY:
                sock.close()
                return
            self._busy += 1
            self._new.append(sock)
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="dimse-doorkeeper", daemon=True)
                try:
                    self._thread.start()
                except RuntimeError:  # no thread to be had: these callers learn nothing
                    self._thread = None
                    self._busy = 0
                    while self._new:
                        self._new.pop().close()

    def close(self) -> None:
        """Close what still waits."""
        self.closed = True

    def _run(self) -> None:
        deadlines: dict[socket.socket, tuple[float, bool, int]] = {}
        with selectors.DefaultSelector() as selector:
            while True:
                with self._lock:
                    fresh = list(self._new)
                    self._new.clear()
                    if not fresh and not deadlines:
                        self._thread = None
                        return
                for new in fresh:
                    new.setblocking(False)
                    selector.register(new, selectors.EVENT_READ)
                    deadlines[new] = (monotonic() + self._seconds, False, 0)
                for key, _ in selector.select(0.05):
                    assert isinstance(key.fileobj, socket.socket)  # nothing else is registered
                    sock = key.fileobj
                    end, answered, read = deadlines[sock]
                    size = _read_and_answer(sock, answered)
                    deadlines[sock] = (
                        end if 0 < read + size <= _MAX_READ and size else 0.0,
                        True,
                        read + size,
                    )
                now = monotonic()
                for done in [s for s, (end, _, _) in deadlines.items() if end <= now or self.closed]:
                    selector.unregister(done)
                    done.close()
                    del deadlines[done]
                    with self._lock:
                        self._busy -= 1


def _read_and_answer(sock: socket.socket, answered: bool) -> int:
    """Bytes thrown away; 0 when the connection is done for."""
    try:
        size = len(sock.recv(65536))
        if size and not answered:
            sock.send(LOCAL_LIMIT_EXCEEDED)
            sock.shutdown(socket.SHUT_WR)
    except OSError:
        return 0
    return size
