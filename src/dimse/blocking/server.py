"""A server with one thread for each association (PS3.8 acceptor, PS3.7 provider)."""

from __future__ import annotations

import errno
import logging
import socket
import ssl
import threading
from time import monotonic, sleep

from dimse.acceptance import Limits, PeerAddress
from dimse.blocking.acceptor import Acceptor
from dimse.blocking.connection import Connection
from dimse.blocking.doorkeeper import Doorkeeper
from dimse.blocking.sockets import peer_of, set_timeouts
from dimse.negotiation import ContextPolicy, policy_for

log = logging.getLogger(__name__)
_OUT_OF_SOMETHING = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM})
_stack_lock = threading.Lock()


class Server:
    """Serves associations that come in on a listening socket, with `tls` over TLS only.

    Without a `policy`, every service is offered that the acceptor has methods for (`negotiation.policy_for`).

    Several processes may share one listening socket (the kernel wakes one of them), or have one each, made
    with `listen(..., reuse_port=True)`. The socket stays the caller's: `stop` does not close it.

    Servers of one process that are given the same `doorkeeper` share the places of its limits (a plain and a TLS
    listener): stop them together.
    """

    def __init__(
        self,
        listen_socket: socket.socket,
        acceptor: Acceptor,
        *,
        limits: Limits | None = None,
        policy: ContextPolicy | None = None,
        tls: ssl.SSLContext | None = None,
        doorkeeper: Doorkeeper | None = None,
    ) -> None:
        self.limits = limits or Limits()
        self._socket = listen_socket
        self._acceptor = acceptor
        self._policy = policy or policy_for(acceptor)
        self._tls = tls
        self._lock = threading.Lock()
        self._live: dict[Connection, threading.Thread] = {}
        self._doorkeeper = doorkeeper or Doorkeeper(self.limits)
        self._stopping = threading.Event()
        self._stopped = threading.Event()
        self._stopped.set()

    @property
    def address(self) -> tuple[str, int]:
        """Host and port that are listened on."""
        host, port = self._socket.getsockname()[:2]
        return str(host), int(port)

    @property
    def associations(self) -> int:
        """Connections that are being served."""
        return len(self._live)

    def serve_forever(self) -> None:
        """Accept until `stop`. `OSError` when the listening socket breaks."""
        self._stopped.clear()
        set_timeouts(self._socket, self.limits.tick_seconds)
        try:
            while not self._stopping.is_set():
                self._accept_one()
        finally:
            self._stopped.set()

    def stop(self, grace_seconds: float = 10.0) -> int:
        """Stop accepting, let messages that are under way end, abort idle associations and, after the grace,
        all.

        Returns how many associations had to be aborted inside a message. Call from another thread than
        `serve_forever`'s.
        """
        deadline = monotonic() + grace_seconds
        self._stopping.set()
        self._stopped.wait()
        self._doorkeeper.close()
        for connection, _ in self._snapshot():
            connection.stopping = True
        self._join(deadline)
        late = self._snapshot()
        for connection, _ in late:
            connection.abort_now()
        self._join(monotonic() + self.limits.close_seconds + self.limits.tick_seconds)
        for connection, _ in self._snapshot():
            connection.evict()
        self._join(monotonic() + self.limits.tick_seconds)
        return len(late)

    def _snapshot(self) -> list[tuple[Connection, threading.Thread]]:
        with self._lock:
            return list(self._live.items())

    def _join(self, deadline: float) -> None:
        for _, thread in self._snapshot():
            thread.join(max(0.0, deadline - monotonic()))

    def _accept_one(self) -> None:
        try:
            sock, address = self._socket.accept()
        except (BlockingIOError, ConnectionAbortedError):
            return
        except OSError as error:
            if error.errno not in _OUT_OF_SOMETHING:
                raise
            log.warning("cannot accept a connection: %s", error.strerror)
            sleep(0.05)
            return
        peer = PeerAddress(*peer_of(address))
        connection = Connection(sock, peer, self._acceptor, self._policy, self.limits, self._tls)
        if self._doorkeeper.enter(connection):
            self._start(sock, connection)
        else:
            log.info("association from %s turned away: all %d places are taken", peer.host, self.limits.max_associations)
            self._doorkeeper.turn_away(sock, self._tls)

    def _start(self, sock: socket.socket, connection: Connection) -> None:
        thread = threading.Thread(target=self._run, args=(connection,), name=f"dimse-{connection.peer.port}", daemon=True)
        with self._lock:
            self._live[connection] = thread
        try:
            with _stack_lock:
                before = threading.stack_size(self.limits.thread_stack)
                try:
                    thread.start()
                finally:
                    threading.stack_size(before)
        except RuntimeError:
            log.warning("no thread for the association from %s", connection.peer.host)
            self._forget(connection)
            self._doorkeeper.turn_away(sock, self._tls)

    def _run(self, connection: Connection) -> None:
        try:
            connection.run()
        finally:
            self._forget(connection)

    def _forget(self, connection: Connection) -> None:
        self._doorkeeper.leave(connection)
        with self._lock:
            self._live.pop(connection, None)
