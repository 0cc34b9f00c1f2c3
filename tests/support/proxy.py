"""A TCP proxy on loopback that spoils what passes: cuts, delays, throttles, splits, corrupts, closes halves.

It also records, which is how tests/dimse/captures came about.
"""

from __future__ import annotations

import socket
import struct
import threading
import time
from contextlib import suppress
from dataclasses import dataclass, field
from types import TracebackType
from typing import Self

REQUESTOR, ACCEPTOR = "requestor", "acceptor"
_CHUNK = 65536


@dataclass(frozen=True, slots=True)
class Fault:
    """What happens to the bytes of one direction; offsets count from the first byte of the connection.

    `cut_after`: so many bytes pass, then both sides are closed (with `reset` by a TCP reset).
    `half_close_after`: so many pass, then this direction ends; the other one goes on.
    `stall_after`: so many pass, then nothing more, and nothing is closed.
    `delay_seconds`: before each piece. `bytes_per_second`: 0 is without limit. `piece`: longest write, bytes;
    0 is as it comes. `corrupt_at`: the byte there is combined with `mask` by exclusive or.
    """

    cut_after: int | None = None
    reset: bool = False
    half_close_after: int | None = None
    stall_after: int | None = None
    delay_seconds: float = 0.0
    bytes_per_second: float = 0.0
    piece: int = 0
    corrupt_at: int | None = None
    mask: int = 0xFF

    @property
    def end(self) -> int | None:
        """How many bytes pass at most."""
        ends = [end for end in (self.cut_after, self.half_close_after, self.stall_after) if end is not None]
        return min(ends) if ends else None


SOUND = Fault()


@dataclass(eq=False)
class _Passage:
    """One connection through the proxy."""

    near: socket.socket
    far: socket.socket
    #: (who said it, bytes) in the order of arrival.
    said: list[tuple[str, bytes]] = field(default_factory=list)

    def close(self, *, reset: bool = False) -> None:
        for sock in (self.near, self.far):
            with suppress(OSError):
                if reset:  # a close without lingering resets, unless something said goodbye before
                    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                sock.shutdown(socket.SHUT_RD if reset else socket.SHUT_RDWR)  # wakes the thread that reads it
        if reset:
            self.near.close()
            self.far.close()


class Proxy:
    """Listens on `port` and passes on to `target_port`, both on 127.0.0.1. A context manager.

    `forward` spoils what the one who connects sends, `back` the answers. Both may be set anew between
    connections.
    """

    def __init__(self, target_port: int, *, forward: Fault = SOUND, back: Fault = SOUND, record: bool = False) -> None:
        self.target_port = target_port
        self.forward = forward
        self.back = back
        self.passages: list[_Passage] = []
        self._record = record
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=512)
        self.port = int(self._listener.getsockname()[1])
        self._closing = threading.Event()
        self._threads = [threading.Thread(target=self._accept, daemon=True)]

    def __enter__(self) -> Self:
        self._threads[0].start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._closing.set()
        with suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        for passage in self.passages:
            passage.close()
        for thread in self._threads:
            thread.join(10)
        self._listener.close()
        for passage in self.passages:
            passage.near.close()
            passage.far.close()
        assert not any(thread.is_alive() for thread in self._threads)

    def _accept(self) -> None:
        while not self._closing.is_set():
            try:
                near, _ = self._listener.accept()
            except OSError:
                return
            try:
                far = socket.create_connection(("127.0.0.1", self.target_port), 10)
            except OSError:
                near.close()
                continue
            for sock in (near, far):
                sock.settimeout(None)
                sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            passage = _Passage(near, far)
            self.passages.append(passage)
            for who, source, sink, fault in (
                (REQUESTOR, near, far, self.forward),
                (ACCEPTOR, far, near, self.back),
            ):
                thread = threading.Thread(target=self._pump, args=(passage, who, source, sink, fault), daemon=True)
                self._threads.append(thread)
                thread.start()

    def _pump(self, passage: _Passage, who: str, source: socket.socket, sink: socket.socket, fault: Fault) -> None:
        """Pass bytes on until an end comes, from outside or by the fault."""
        passed = 0
        with suppress(OSError):
            while data := source.recv(_CHUNK):
                if self._record:
                    passage.said.append((who, data))
                end = fault.end
                data = data if end is None else data[: max(0, end - passed)]
                self._write(sink, _corrupted(data, passed, fault), fault)
                passed += len(data)
                if end is not None and passed >= end:
                    if fault.cut_after == end:
                        passage.close(reset=fault.reset)
                        return
                    break
            if fault.stall_after is not None and passed >= fault.stall_after:
                self._swallow(source)
                return
            sink.shutdown(socket.SHUT_WR)
            self._swallow(source)

    def _write(self, sink: socket.socket, data: bytes, fault: Fault) -> None:
        step = fault.piece or len(data) or 1
        for start in range(0, len(data), step):
            piece = data[start : start + step]
            pause = fault.delay_seconds + (len(piece) / fault.bytes_per_second if fault.bytes_per_second else 0.0)
            if pause and self._closing.wait(pause):
                return
            sink.sendall(piece)

    def _swallow(self, source: socket.socket) -> None:
        """Keep the direction open without passing anything on."""
        while source.recv(_CHUNK):
            continue


def _corrupted(data: bytes, passed: int, fault: Fault) -> bytes:
    if fault.corrupt_at is None or not passed <= fault.corrupt_at < passed + len(data):
        return data
    spoiled = bytearray(data)
    spoiled[fault.corrupt_at - passed] ^= fault.mask
    return bytes(spoiled)


def wait_for(condition: object, seconds: float = 10.0) -> None:
    """Wait until a callable gives something true."""
    assert callable(condition)
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.01)
