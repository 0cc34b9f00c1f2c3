"""The places of one or several servers, and what callers hear when all are taken: A-ASSOCIATE-RJ, transient, local limit
exceeded.

One thread for all who are turned away, a bounded number at a time and a deadline for each: it costs a slow or silent
caller nothing to hang here, and nothing to us. On a TLS listener the same is said after the handshake, nothing in plain.
What does not fit is closed without a word.
"""

from __future__ import annotations

import selectors
import socket
import ssl
import threading
from collections import deque
from contextlib import suppress
from time import monotonic
from typing import Protocol

from dimse.acceptance import LOCAL_LIMIT_EXCEEDED, MAX_TURNED_AWAY, Limits

#: An association request is read and thrown away up to this size, a handshake up to it too, bytes.
_MAX_READ = 1 << 20
_PIECE = 65536


class Guest(Protocol):
    """A connection that has a place."""

    began: float
    requested: bool

    def evict(self) -> None:
        """Make room (other thread): no request came in time."""


class Doorkeeper:
    """Give one to several servers and they share `Limits.max_associations`. Thread-safe."""

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._lock = threading.Lock()
        self._inside: dict[Guest, None] = {}
        self._new: deque[_Waiting] = deque()
        self._thread: threading.Thread | None = None
        self._busy = 0
        self.closed = False

    # --- places ---

    def enter(self, guest: Guest) -> bool:
        """Take a place; False when there is none. The oldest connection that has not asked for an association in its
        time of grace gives way."""
        with self._lock:
            if len(self._inside) >= self._limits.max_associations and not self._make_room():
                return False
            self._inside[guest] = None
            return True

    def leave(self, guest: Guest) -> None:
        """Give the place back; one that has given way has none any more."""
        with self._lock:
            self._inside.pop(guest, None)

    def _make_room(self) -> bool:
        now = monotonic()
        for guest in self._inside:
            if now - guest.began < self._limits.request_grace_seconds:
                return False
            if not guest.requested:
                del self._inside[guest]
                guest.evict()
                return True
        return False

    # --- who has none ---

    def turn_away(self, sock: socket.socket, tls: ssl.SSLContext | None = None) -> None:
        """Take the socket over: answered once its request arrives, closed after the deadline."""
        with self._lock:
            if self.closed or self._busy >= MAX_TURNED_AWAY:
                sock.close()
                return
            self._busy += 1
            self._new.append(_Waiting(sock, tls, monotonic() + self._limits.close_seconds))
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="dimse-doorkeeper", daemon=True)
                try:
                    self._thread.start()
                except RuntimeError:  # no thread to be had: these callers learn nothing
                    self._thread = None
                    self._busy = 0
                    while self._new:
                        self._new.pop().sock.close()

    def close(self) -> None:
        """Close what still waits."""
        self.closed = True

    def _run(self) -> None:
        waiting: set[_Waiting] = set()
        with selectors.DefaultSelector() as selector:
            while True:
                with self._lock:
                    fresh = list(self._new)
                    self._new.clear()
                    if not fresh and not waiting:
                        self._thread = None
                        return
                for caller in fresh:
                    caller.sock.setblocking(False)
                    selector.register(caller.sock, selectors.EVENT_READ, caller)
                    waiting.add(caller)
                for key, _ in selector.select(0.05):
                    key.data.hear()
                now = monotonic()
                for done in [caller for caller in waiting if caller.over or caller.deadline <= now or self.closed]:
                    selector.unregister(done.sock)
                    done.sock.close()
                    waiting.remove(done)
                    with self._lock:
                        self._busy -= 1


class _Waiting:
    """A caller that is being turned away."""

    def __init__(self, sock: socket.socket, tls: ssl.SSLContext | None, deadline: float) -> None:
        self.sock = sock
        self.deadline = deadline
        self.over = False
        self._answered = self._shaken = False
        self._read = 0
        self._incoming, self._outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self._tls = tls.wrap_bio(self._incoming, self._outgoing, server_side=True) if tls is not None else None

    def hear(self) -> None:
        """Bytes came, or the end."""
        try:
            data = self.sock.recv(_PIECE)
            self._read += len(data)
            if not data or self._read > _MAX_READ:
                self.over = True
            elif self._answered:
                return  # thrown away, until the caller closes: then our last words were not lost
            elif self._tls is None:
                self._say(LOCAL_LIMIT_EXCEEDED)
            else:
                self._hear_secured(self._tls, data)
        except OSError:  # ssl.SSLError among them: no handshake with us
            self.over = True

    def _hear_secured(self, tls: ssl.SSLObject, data: bytes) -> None:
        self._incoming.write(data)
        try:
            if not self._shaken:
                tls.do_handshake()
                self._shaken = True
            if tls.read(_PIECE):
                tls.write(LOCAL_LIMIT_EXCEEDED)
                with suppress(ssl.SSLError):
                    tls.unwrap()  # our half of the goodbye; theirs is not waited for
                self._say(self._outgoing.read())
            else:
                self.over = True
        except ssl.SSLWantReadError:
            pass
        finally:
            if said := self._outgoing.read():
                self.sock.send(said)

    def _say(self, last_words: bytes) -> None:
        self.sock.send(last_words)
        self.sock.shutdown(socket.SHUT_WR)
        self._answered = True
