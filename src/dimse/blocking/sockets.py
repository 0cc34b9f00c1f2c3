"""Socket options, reads with a clock and gathered writes for the blocking driver (Linux); with TLS or without.

`Socket` is either kind: a `TlsSocket` has those methods of a socket that the driver uses, with the same results.

Time-outs are SO_RCVTIMEO and SO_SNDTIMEO: a read stays one system call, where `settimeout` would make it two.
"""

from __future__ import annotations

import socket
import struct
from collections.abc import Sequence
from time import monotonic, sleep

from dimse.blocking.secure import TlsSocket, secure_client, secure_server
from dimse.errors import ConnectionLost, TimedOut

_TIMEVAL = struct.Struct("ll")
#: Most bytes that are thrown away while a connection is being closed politely.
_LINGER_BYTES = 64 << 20
Buffer = bytes | memoryview
Socket = socket.socket | TlsSocket

__all__ = [
    "Socket",
    "TlsSocket",
    "bare_host",
    "close_politely",
    "listen",
    "peer_of",
    "quick_ack",
    "secure_client",
    "secure_server",
    "send_all",
    "send_batch",
    "set_no_delay",
    "set_timeouts",
]


def listen(
    host: str, port: int, *, backlog: int = 1024, reuse_port: bool = False, dual_stack: bool | None = None
) -> socket.socket:
    """A listening socket (IPv4 or IPv6 by the host, which may stand in brackets). Port 0 takes a free one.

    `dual_stack`: an IPv6 socket takes IPv4 callers as well, or does not; None leaves it to the system (Linux: it
    does). `peer_of` gives the address of such callers as IPv4. `OSError` when it cannot be had.
    """
    found = socket.getaddrinfo(bare_host(host) or None, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    family, kind, protocol, _, address = found[0]
    sock = socket.socket(family, kind, protocol)
    try:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if reuse_port:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        if dual_stack is not None and family == socket.AF_INET6:
            sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, not dual_stack)
        sock.bind(address)
        sock.listen(backlog)
    except BaseException:
        sock.close()
        raise
    return sock


def bare_host(host: str) -> str:
    """A host without the brackets that an IPv6 address has before a port."""
    return host[1:-1] if host.startswith("[") and host.endswith("]") else host


def peer_of(address: tuple[str, int] | tuple[str, int, int, int]) -> tuple[str, int]:
    """Host and port of a caller, as `accept` gives them: an IPv4 caller of a dual stack socket has its IPv4 address,
    not `::ffff:10.0.0.1`, so that host checks see the same either way."""
    host = str(address[0])
    return host.removeprefix("::ffff:") if host.startswith("::ffff:") and "." in host else host, int(address[1])


def set_timeouts(sock: Socket, receive: float, send: float | None = None) -> None:
    """Kernel time-outs of a blocking socket, seconds (at least one millisecond: zero would mean for ever)."""
    sock.setblocking(True)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVTIMEO, _timeval(receive))
    if send is not None:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDTIMEO, _timeval(send))


def _timeval(seconds: float) -> bytes:
    micros = max(1000, int(seconds * 1_000_000))
    return _TIMEVAL.pack(micros // 1_000_000, micros % 1_000_000)


def set_no_delay(sock: Socket) -> None:
    """Send at once."""
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)


def quick_ack(sock: Socket) -> None:
    """Acknowledge at once; the kernel forgets it, so it is set again after each read."""
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_QUICKACK, 1)


def send_all(sock: Socket, data: bytes) -> None:
    """One small write. `TimedOut` or `ConnectionLost`."""
    try:
        sock.sendall(data)
    except BlockingIOError:
        raise TimedOut("the peer takes no bytes") from None
    except OSError as error:
        raise ConnectionLost(f"the connection broke while sending: {error.strerror}") from None


def send_batch(sock: Socket, batch: Sequence[Buffer]) -> None:
    """Many buffers in as few writes as the kernel takes. `TimedOut` or `ConnectionLost`."""
    total = sum(len(piece) for piece in batch)
    try:
        sent = sock.sendmsg(batch)
        while sent < total:
            total -= sent
            batch = _rest(batch, sent)
            sent = sock.sendmsg(batch)
    except BlockingIOError:
        raise TimedOut("the peer takes no bytes") from None
    except OSError as error:
        raise ConnectionLost(f"the connection broke while sending: {error.strerror}") from None


def _rest(batch: Sequence[Buffer], sent: int) -> list[Buffer]:
    """What is left of a batch after `sent` bytes."""
    for number, piece in enumerate(batch):
        if sent < len(piece):
            return [memoryview(piece)[sent:], *batch[number + 1 :]]
        sent -= len(piece)
    return []


def _peer_sends(sock: Socket) -> bool:
    """True while the peer has not ended its stream (FIN_WAIT1, FIN_WAIT2 after our own end); for plain sockets."""
    if isinstance(sock, TlsSocket) or sock.family not in {socket.AF_INET, socket.AF_INET6}:
        return False
    return sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 1)[0] in {4, 5}


def close_politely(sock: Socket, seconds: float) -> None:
    """Wait for the peer's end of the stream, throwing bytes away, so that our last PDU is not lost to a
    reset."""
    deadline = monotonic() + seconds
    scratch = bytearray(8192)
    left = _LINGER_BYTES
    try:
        if isinstance(sock, TlsSocket):
            set_timeouts(sock, seconds, seconds)
            sock.say_goodbye()
        receive = sock.recv_raw_into if isinstance(sock, TlsSocket) else sock.recv_into
        sock.shutdown(socket.SHUT_WR)
        while left > 0 and (rest := deadline - monotonic()) > 0:
            set_timeouts(sock, rest)
            size = receive(scratch)
            if not size and not _peer_sends(sock):
                break
            if not size:  # we had stopped listening (`Connection.abort_now`): what comes now would reset the connection
                sleep(0.005)
            left -= size
    except OSError:
        pass  # reset or time-out: closed either way
    finally:
        sock.close()
