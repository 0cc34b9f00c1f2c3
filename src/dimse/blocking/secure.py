"""TLS on a blocking socket whose time-outs are the kernel's.

OpenSSL works on memory here, not on the socket: then one system call moves many records of 16 KB, time-outs stay
those of `set_timeouts`, and another thread may shut the socket down at any time.
"""

from __future__ import annotations

import socket
import ssl
import struct
from collections.abc import Sequence
from contextlib import suppress
from time import monotonic

from dimse.errors import TlsError
from dimse.tls import check_certificate, explain_tls, failure, is_plain, server_name

#: Bytes read from the socket at once, and joined for one encryption: large enough to save system calls, small enough
#: to stay in the processor's cache and to let the peer decrypt while we encrypt on.
_READ = 128 << 10
_WRITE = 128 << 10
#: A handshake that takes more bytes than this is none (certificates of 100 KB are the limit of OpenSSL).
_MAX_HANDSHAKE = 1 << 20
_LINGER_SECONDS = 0.3
_TIMEVAL = struct.Struct("ll")


def secure_server(sock: socket.socket, context: ssl.SSLContext, seconds: float) -> TlsSocket:
    """The handshake of a connection that was accepted, in at most `seconds`. `TlsError`; then `sock` is closed.

    Another thread may end it with `sock.shutdown`.
    """
    return _secure(TlsSocket(sock, context, server_side=True), seconds)


def secure_client(sock: socket.socket, context: ssl.SSLContext, host: str, seconds: float) -> TlsSocket:
    """The handshake with `host` over a connection that is open, in at most `seconds`; its certificate is judged.
    `TlsError`; then `sock` is closed."""
    return _secure(TlsSocket(sock, context, host=host), seconds)


def _secure(wire: TlsSocket, seconds: float) -> TlsSocket:
    try:
        wire.handshake(seconds)
    except BaseException as error:
        wire.close_after_failure()
        if isinstance(error, OSError):
            raise explain_tls(error) from error
        raise
    return wire


class TlsSocket:
    """A connected socket under TLS, with the methods of `socket.socket` that the driver uses; these speak plain bytes.

    A read that meets its time-out raises `BlockingIOError`, as a plain socket with SO_RCVTIMEO does; what TLS itself
    finds wrong is a `TlsError`. One thread reads and writes; others may call `shutdown` and `close`.
    """

    def __init__(self, sock: socket.socket, context: ssl.SSLContext, *, server_side: bool = False, host: str = "") -> None:
        self._sock = sock
        self._context = context
        self._server_side = server_side
        self._incoming, self._outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        name = None if server_side else server_name(context, host)
        self._tls = context.wrap_bio(self._incoming, self._outgoing, server_side, name)
        self._raw = memoryview(bytearray(_READ))
        #: Decrypted bytes may be waiting although the socket has none.
        self._more = False
        self._ready = self._broken = False
        #: What SO_RCVTIMEO says, seconds: also for a record that comes in crumbs.
        self._patience = 1.0

    def handshake(self, seconds: float) -> None:
        """Until keys are agreed and the peer's certificate is judged. `TlsError`, `OSError`. Sets its own time-outs:
        call `set_timeouts` afterwards."""
        deadline = monotonic() + seconds
        got = 0
        while True:
            try:
                self._tls.do_handshake()
            except ssl.SSLWantReadError:
                pass
            else:
                break
            finally:
                self._flush_until(deadline)
            size = self._receive_until(deadline)
            if not size:
                raise failure("closed")
            if not got and is_plain(self._raw[:2]):
                raise failure("peer-plain")
            got += size
            if got > _MAX_HANDSHAKE:
                raise failure("failed", f" (a handshake of more than {_MAX_HANDSHAKE} bytes)")
            self._incoming.write(self._raw[:size])
        check_certificate(self._context, self.certificate)
        self._ready = self._more = True

    @property
    def certificate(self) -> bytes | None:
        """What the peer showed (DER); None for nothing."""
        return self._tls.getpeercert(binary_form=True)

    @property
    def version(self) -> str:
        """What was agreed on, as `TLSv1.3 TLS_AES_256_GCM_SHA384`."""
        cipher = self._tls.cipher()
        return f"{self._tls.version()} {cipher[0] if cipher else ''}"

    # --- as a socket ---

    def recv_into(self, buffer: memoryview | bytearray, nbytes: int = 0, flags: int = 0) -> int:
        """Decrypted bytes, as many as there are without waiting and at least one; 0 at the end of the stream.

        `BlockingIOError` at the time-out, or with MSG_DONTWAIT when there are none.
        """
        view = memoryview(buffer)
        if nbytes:
            view = view[:nbytes]
        waits_until = 0.0
        while True:
            if self._more:
                size = self._decrypt(view)
                if size >= 0:
                    return size
                # Bytes that make no record, or records without data, must not stop the caller's clocks.
                now = monotonic()
                waits_until = waits_until or now + self._patience
                if now > waits_until:
                    raise BlockingIOError("no whole record came in time")
            size = self._sock.recv_into(self._raw, 0, flags)
            if not size:
                return 0
            self._incoming.write(self._raw[:size])
            self._more = True

    def _decrypt(self, view: memoryview) -> int:
        """Fill the view from memory; 0 after the peer's close, -1 when nothing is whole."""
        read, got, room = self._tls.read, 0, len(view)
        try:
            while got < room:
                size: int = read(room - got, view[got:])  # type: ignore[assignment]  # with a buffer it gives the size
                if not size:
                    return got
                got += size
                if not self._incoming.pending and not self._tls.pending():
                    self._more = False  # asking once more would only raise, which is slow
                    break
        except ssl.SSLWantReadError:
            self._more = False
        except (ssl.SSLZeroReturnError, ssl.SSLEOFError):
            return got
        except ssl.SSLError as error:
            if not got:
                self._last_flush()
                raise explain_tls(error) from error
        if self._outgoing.pending:  # a key update is answered
            self._flush()
        return got or -1

    def sendall(self, data: bytes | memoryview) -> None:
        """One write. `BlockingIOError` at the time-out: nothing can be sent after it."""
        if self._broken:
            raise BrokenPipeError("the connection broke while sending")
        try:
            self._tls.write(data)
        except ssl.SSLError as error:
            self._broken = True
            raise explain_tls(error) from error
        self._flush()

    def sendmsg(self, batch: Sequence[bytes | memoryview]) -> int:
        """Many buffers, all of them; joined so that records and writes are large."""
        total = sum(map(len, batch))
        if total <= _WRITE:
            self.sendall(b"".join(batch))
            return total
        held, pieces = 0, []
        for piece in batch:
            at = 0
            while at < len(piece):
                part = memoryview(piece)[at : at + _WRITE - held]
                pieces.append(part)
                held += len(part)
                at += len(part)
                if held == _WRITE:
                    self.sendall(b"".join(pieces))
                    held, pieces = 0, []
        if held:
            self.sendall(b"".join(pieces))
        return total

    def _flush(self) -> None:
        self._broken = True
        data = memoryview(self._outgoing.read())
        while data:
            data = data[self._sock.send(data) :]
        self._broken = False

    def _last_flush(self) -> None:
        with suppress(OSError):
            self._flush()

    def setblocking(self, flag: bool) -> None:
        """As for a socket."""
        self._sock.setblocking(flag)

    def setsockopt(self, level: int, name: int, value: int | bytes) -> None:
        """As for a socket."""
        self._sock.setsockopt(level, name, value)
        if name == socket.SO_RCVTIMEO and level == socket.SOL_SOCKET and isinstance(value, bytes):
            seconds, micros = _TIMEVAL.unpack(value)
            self._patience = seconds + micros / 1_000_000

    def fileno(self) -> int:
        """The descriptor of the socket."""
        return self._sock.fileno()

    def shutdown(self, how: int) -> None:
        """As for a socket, at once and without a word: for other threads."""
        self._sock.shutdown(how)

    def say_goodbye(self) -> None:
        """Tell the peer that no more comes (close_notify), if that can still be said. Never raises."""
        if not self._ready or self._broken:
            return
        self._ready = False
        with suppress(OSError, TlsError, ValueError):
            self._tls.unwrap()
        self._last_flush()

    def close(self) -> None:
        """Close at once; a close_notify that fits is sent."""
        if self._sock.fileno() >= 0:
            with suppress(OSError):
                self._sock.setblocking(False)
            self.say_goodbye()
        self._sock.close()

    def recv_raw_into(self, buffer: memoryview | bytearray) -> int:
        """Encrypted bytes, to be thrown away while the connection is being closed."""
        return self._sock.recv_into(buffer)

    # --- the handshake's clock ---

    def _receive_until(self, deadline: float) -> int:
        self._sock.settimeout(_left(deadline))
        return self._sock.recv_into(self._raw)

    def _flush_until(self, deadline: float) -> None:
        if self._outgoing.pending:
            self._sock.settimeout(_left(deadline))
            self._sock.sendall(self._outgoing.read())

    def close_after_failure(self) -> None:
        """Let the alert reach the peer, then close. Never raises."""
        with suppress(OSError):
            end = monotonic() + _LINGER_SECONDS
            self._sock.shutdown(socket.SHUT_WR)
            while self._receive_until(end):
                continue
        self._sock.close()


def _left(deadline: float) -> float:
    left = deadline - monotonic()
    if left <= 0:
        raise TimeoutError("the handshake took too long")
    return left
