"""A TCP or TLS connection for asyncio (and uvloop): one reused buffer, reading paused while they are worked on.

Sending goes straight to the kernel with `sendmsg` where it can: nothing is copied but what the kernel has no room
for, so the caller's memory may change as soon as `write` is done. TLS has to copy.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
import ssl
from collections.abc import Sequence
from typing import cast

from dimse.acceptance import FIRST_BUFFER
from dimse.errors import AssociationFailure, ConnectionLost, TimedOut
from dimse.tls_failures import explain_tls, failure

Buffer = bytes | memoryview
#: What is handed to the event loop at once, bytes: the rest waits with its owner.
_PIECE = 262144
#: Most buffers of one `sendmsg` (IOV_MAX of Linux).
_IOV_MAX = 1024


class Wire(asyncio.BufferedProtocol):
    """Bytes in with `read`, out with `write`. While nobody reads, the peer is held back by TCP."""

    def __init__(self, sock: socket.socket, buffer_size: int, *, quick_ack: bool, tls: bool = False) -> None:
        self._sock = sock
        self._view = memoryview(bytearray(min(FIRST_BUFFER, buffer_size)))
        self._wanted = buffer_size
        self._quick_ack = quick_ack
        self._tls = tls
        self._transport: asyncio.Transport | None = None
        self._size = 0
        self._filled = False
        self._ended = False
        self._paused = False
        self._reader: asyncio.Future[None] | None = None
        self._writers: list[asyncio.Future[None]] = []
        self._writable = True
        self._cause: Exception | None = None
        self._through = False  # the event loop has bytes that are not sent yet
        #: When bytes came last, by the clock of the event loop.
        self.heard = 0.0

    # --- called by the event loop ---

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """The connection is open."""
        self._transport = cast("asyncio.Transport", transport)
        self._transport.set_write_buffer_limits(_PIECE if self._tls else 0)

    def get_buffer(self, sizehint: int) -> memoryview:
        """Where the next bytes go. What was read before is worked off."""
        if self._filled:
            self._filled = False
            self._view = memoryview(bytearray(self._wanted))
        return self._view

    def buffer_updated(self, nbytes: int) -> None:
        """Bytes came: no more until they are worked off."""
        self._size = nbytes
        self._filled = nbytes == len(self._view) < self._wanted
        self._paused = True
        assert self._transport is not None  # connection_made comes first
        self._transport.pause_reading()
        self._wake(self._reader)

    def eof_received(self) -> bool:
        """The peer sends no more; what it asked may still be answered (not in TLS)."""
        self._ended = True
        self._wake(self._reader)
        return not self._tls

    def connection_lost(self, exc: Exception | None) -> None:
        """The connection is gone."""
        self._ended = True
        self._cause = exc
        self._wake(self._reader)
        self.resume_writing()

    def pause_writing(self) -> None:
        """Too much is waiting to be sent."""
        self._writable = False

    def resume_writing(self) -> None:
        """There is room again."""
        self._writable = True
        for writer in self._writers:
            self._wake(writer)

    @staticmethod
    def _wake(waiter: asyncio.Future[None] | None) -> None:
        if waiter is not None and not waiter.done():
            waiter.set_result(None)

    # --- called by the driver ---

    @property
    def ended(self) -> bool:
        """True once the peer has ended its side; bytes that came before may still be there."""
        return self._ended

    @property
    def certificate(self) -> bytes | None:
        """DER of the peer's certificate; None without TLS or when it showed none."""
        transport = self._transport
        found = transport.get_extra_info("ssl_object") if transport is not None else None
        if not isinstance(found, ssl.SSLObject | ssl.SSLSocket):
            return None
        return found.getpeercert(binary_form=True)

    def end(self, text: str) -> AssociationFailure:
        """The error for a connection that has ended: what TLS says of it, or `ConnectionLost` with `text`."""
        if isinstance(self._cause, ssl.SSLError):
            return explain_tls(self._cause)
        if self._tls and not self.heard:  # a server of TLS 1.3 judges our certificate after our handshake is done
            return failure("closed")
        return ConnectionLost(text)

    async def read(self, seconds: float | None) -> memoryview | None:
        """What came, valid until the next `read`; empty at the end of the stream, None after `seconds` (None: waits
        for ever)."""
        self.listen()
        if self._quick_ack and not self._ended:
            self._sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_QUICKACK, 1)
        loop = asyncio.get_running_loop()
        if not self._size and not self._ended:
            self._reader = waiter = loop.create_future()
            timer = loop.call_later(seconds, self._wake, waiter) if seconds is not None else None
            try:
                await waiter
            finally:
                if timer is not None:
                    timer.cancel()
                if self._reader is waiter:  # a cancelled reader ends after its successor began
                    self._reader = None
        size, self._size = self._size, 0
        if size:
            self.heard = loop.time()
        elif not self._ended:
            return None
        return self._view[:size]

    def listen(self) -> None:
        """Let more bytes come; the view of the last `read` is void."""
        if self._paused and not self._size and not self._ended:
            self._paused = False
            assert self._transport is not None  # connection_made comes first
            self._transport.resume_reading()

    async def write(self, data: Buffer | Sequence[Buffer], seconds: float) -> None:
        """Send; waits while the peer is slow. `TimedOut` when it takes nothing for `seconds`, `ConnectionLost`.

        One writer at a time for what must stay together. When cancelled, a part may have been sent.
        """
        rest: Sequence[Buffer] = (data,) if isinstance(data, bytes | memoryview) else data
        while rest:
            transport = self._open_transport()
            if not (self._tls or self._through):
                rest = self._send_now(rest)
                if not rest:
                    return
                for _ in range(2):  # what the peer has said is read first: writing may find that it hung up
                    await asyncio.sleep(0)
                transport = self._open_transport()
            piece, rest = _cut(rest)
            transport.write(piece)
            self._through = True
            await self._drain(seconds)

    def write_now(self, data: bytes) -> None:
        """Send something small without waiting for room; says nothing when the connection is gone."""
        transport = self._transport
        if transport is None or transport.is_closing():
            return
        rest: Sequence[Buffer] = (data,)
        if not (self._tls or self._through):
            try:
                rest = self._send_now(rest)
            except ConnectionLost:
                return
        if rest:
            transport.write(_cut(rest)[0])
            self._through = True

    def _open_transport(self) -> asyncio.Transport:
        transport = self._transport
        if transport is None or transport.is_closing():
            raise self.end("the connection is closed")
        return transport

    def _send_now(self, data: Sequence[Buffer]) -> Sequence[Buffer]:
        """Give the kernel what it takes at once; what is left."""
        try:
            sent = self._sock.sendmsg(data[:_IOV_MAX])
        except BlockingIOError:
            return data
        except OSError as error:
            raise ConnectionLost(f"the connection broke while sending: {error.strerror}") from None
        for number, piece in enumerate(data):
            if sent < len(piece):
                return [memoryview(piece)[sent:], *data[number + 1 :]]
            sent -= len(piece)
        return ()

    async def room(self, seconds: float) -> None:
        """Wait until what was given to `write_now` is on its way. `TimedOut`, `ConnectionLost`."""
        if self._through:
            await self._drain(seconds)

    def nudge(self) -> None:
        """Let a `read` that waits return None."""
        self._wake(self._reader)

    async def _drain(self, seconds: float) -> None:
        """Wait until the event loop has sent what it was given."""
        if self._through and not self._tls:
            await asyncio.sleep(0)  # uvloop takes what is written at the end of a turn
        if not self._writable:
            loop = asyncio.get_running_loop()
            waiter = loop.create_future()
            self._writers.append(waiter)
            timer = loop.call_later(seconds, self._wake, waiter)
            try:
                await waiter
            finally:
                timer.cancel()
                self._writers.remove(waiter)
        transport = self._transport
        if transport is None or transport.is_closing():
            raise self.end("the connection broke while sending")
        if not self._writable:
            raise TimedOut("the peer takes no bytes")
        self._through = bool(transport.get_write_buffer_size())

    async def close(self, seconds: float = 0.0) -> None:
        """Close; with `seconds`, first wait so long for the peer's end, so that our last PDU is not lost."""
        transport = self._transport
        if transport is None:
            return
        if seconds and not self._ended and not transport.is_closing():
            loop = asyncio.get_running_loop()
            deadline = loop.time() + seconds
            if transport.can_write_eof():
                with contextlib.suppress(OSError):  # the peer is gone already
                    transport.write_eof()
            while not self._ended and (left := deadline - loop.time()) > 0:
                await self.read(left)
        if self._writable:
            transport.close()
        else:
            transport.abort()

    def abort(self) -> None:
        """Close at once; what was not sent yet is thrown away."""
        if self._transport is not None:
            self._transport.abort()


def _cut(data: Sequence[Buffer]) -> tuple[bytes, Sequence[Buffer]]:
    """A copy of the first bytes of `data`, at most `_PIECE`, and what follows."""
    taken: list[Buffer] = []
    size = 0
    for number, piece in enumerate(data):
        room = _PIECE - size
        if len(piece) > room:
            view = memoryview(piece)
            taken.append(view[:room])
            return b"".join(taken), [view[room:], *data[number + 1 :]]
        taken.append(piece)
        size += len(piece)
    return b"".join(taken), ()
