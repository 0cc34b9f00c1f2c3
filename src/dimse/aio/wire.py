"""A TCP connection for asyncio (and uvloop): one reused buffer, reading paused while they are worked on."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Sequence
from typing import cast

from dimse.errors import ConnectionLost, TimedOut

Buffer = bytes | memoryview


class Wire(asyncio.BufferedProtocol):
    """Bytes in with `read`, out with `write`. While nobody reads, the peer is held back by TCP."""

    def __init__(self, sock: socket.socket, buffer_size: int, *, quick_ack: bool) -> None:
        self._sock = sock
        self._view = memoryview(bytearray(buffer_size))
        self._quick_ack = quick_ack
        self._transport: asyncio.Transport | None = None
        self._size = 0
        self._ended = False
        self._paused = False
        self._reader: asyncio.Future[None] | None = None
        self._writer: asyncio.Future[None] | None = None
        self._writable = True

    # --- called by the event loop ---

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """The connection is open."""
        self._transport = cast("asyncio.Transport", transport)

    def get_buffer(self, sizehint: int) -> memoryview:
        """Where the next bytes go."""
        return self._view

    def buffer_updated(self, nbytes: int) -> None:
        """Bytes came: no more until they are worked off."""
        self._size = nbytes
        self._paused = True
        assert self._transport is not None  # connection_made comes first
        self._transport.pause_reading()
        self._wake(self._reader)
        self._wake(self._writer)

    def eof_received(self) -> bool:
        """The peer sends no more; what it asked may still be answered."""
        self._ended = True
        self._wake(self._reader)
        return True

    def connection_lost(self, exc: Exception | None) -> None:
        """The connection is gone."""
        self._ended = True
        self._writable = True
        self._wake(self._reader)
        self._wake(self._writer)

    def pause_writing(self) -> None:
        """Too much is waiting to be sent."""
        self._writable = False

    def resume_writing(self) -> None:
        """There is room again."""
        self._writable = True
        self._wake(self._writer)

    @staticmethod
    def _wake(waiter: asyncio.Future[None] | None) -> None:
        if waiter is not None and not waiter.done():
            waiter.set_result(None)

    # --- called by the driver ---

    async def read(self, seconds: float) -> memoryview | None:
        """What came, valid until the next `read`; empty at the end of the stream, None after `seconds`."""
        self.listen()
        if self._quick_ack and not self._ended:
            self._sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_QUICKACK, 1)
        if not self._size and not self._ended:
            loop = asyncio.get_running_loop()
            self._reader = waiter = loop.create_future()
            timer = loop.call_later(seconds, self._wake, waiter)
            try:
                await waiter
            finally:
                timer.cancel()
                self._reader = None
        size, self._size = self._size, 0
        if size or self._ended:
            return self._view[:size]
        return None

    def listen(self) -> None:
        """Let more bytes come; the view of the last `read` is void."""
        if self._paused and not self._size and not self._ended:
            self._paused = False
            assert self._transport is not None  # connection_made comes first
            self._transport.resume_reading()

    def look(self) -> memoryview | None:
        """What came already, without waiting."""
        if not self._size:
            return None
        size, self._size = self._size, 0
        return self._view[:size]

    async def write(self, data: Buffer | Sequence[Buffer], seconds: float) -> None:
        """Send; waits while the peer is slow, unless it says something. `TimedOut`, `ConnectionLost`."""
        await self._drain(seconds)
        transport = self._transport
        if transport is None or transport.is_closing():
            raise ConnectionLost("the connection is closed")
        if isinstance(data, bytes | memoryview):
            transport.write(data)
        else:
            transport.writelines(data)
        await self._drain(seconds)

    async def _drain(self, seconds: float) -> None:
        """Wait until there is room, or until the peer says something."""
        if self._writable:
            return
        self._writer = asyncio.get_running_loop().create_future()
        try:
            async with asyncio.timeout(seconds):
                await self._writer
        except TimeoutError:
            raise TimedOut("the peer takes no bytes") from None
        finally:
            self._writer = None
        if self._transport is None or self._transport.is_closing():
            raise ConnectionLost("the connection broke while sending")

    async def close(self, seconds: float = 0.0) -> None:
        """Close; with `seconds`, first wait so long for the peer's end, so that our last PDU is not lost."""
        transport = self._transport
        if transport is None:
            return
        if seconds and not self._ended and not transport.is_closing():
            loop = asyncio.get_running_loop()
            deadline = loop.time() + seconds
            if transport.can_write_eof():
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
