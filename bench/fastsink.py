"""A C-STORE receiver that is faster than anything that sends to it: it counts and answers 0000.

    python -m bench.fastsink --port 20104 --max-pdu 131072 [--no-quickack] [--digests DIR]

Several processes share one listening socket, one thread per association, data set bytes are looked at only
when digests are wanted. Counters lie in shared memory: reading them costs the sink nothing.
"""

from __future__ import annotations

import argparse
import contextlib
import hashlib
import json
import mmap
import multiprocessing
import os
import signal
import socket
import struct
import threading
import time
from dataclasses import dataclass
from multiprocessing.process import BaseProcess
from pathlib import Path
from types import TracebackType

from bench import wire

_SLOT = struct.Struct("<QQQdd")  # instances, data set bytes, associations, first association at, last answer at
_BUFFER = 1 << 20


@dataclass(frozen=True, slots=True)
class Counts:
    """What arrived so far. Times are of the monotonic clock, 0 when nothing came."""

    instances: int
    dataset_bytes: int
    associations: int
    first_at: float
    last_at: float

    @property
    def seconds(self) -> float:
        """From the first association to the last answer: what a sender costs without its own start."""
        return max(0.0, self.last_at - self.first_at)


class _Slot:
    """The counters of one sink process."""

    def __init__(self, memory: mmap.mmap, number: int) -> None:
        self._memory = memory
        self._at = number * _SLOT.size
        self._lock = threading.Lock()

    def add(self, *, instances: int = 0, dataset_bytes: int = 0, associations: int = 0, opened_at: float = 0.0) -> None:
        with self._lock:
            old = _SLOT.unpack_from(self._memory, self._at)
            first = old[3] or opened_at
            last = time.perf_counter() if instances else old[4]
            counted = (old[0] + instances, old[1] + dataset_bytes, old[2] + associations)
            _SLOT.pack_into(self._memory, self._at, *counted, first, last)


class Receiving:
    """An association read from one reused buffer; PDUs may end anywhere in it. What comes is told to two methods."""

    def __init__(self, sock: socket.socket, *, quickack: bool = True) -> None:
        self.sock = sock
        self._quickack = quickack
        self._buffer = memoryview(bytearray(_BUFFER))
        self._start = self._end = 0
        self._command = b""
        self._request: dict[int, bytes] = {}
        self._size = 0

    def commanded(self, context: int, request: dict[int, bytes]) -> None:
        """A command set is complete; a data set may follow."""

    def passed(self, view: memoryview) -> None:
        """A piece of a data set."""

    def stored(self, context: int, request: dict[int, bytes], size: int) -> None:
        """The data set of `request` is complete."""

    def _fill(self) -> None:
        if self._start == self._end:
            self._start = self._end = 0
        if self._quickack:
            wire.quickack(self.sock)
        count = self.sock.recv_into(self._buffer[self._end :])
        if not count:
            raise wire.WireError("closed")
        self._end += count

    def take(self, count: int) -> memoryview:
        """The next `count` bytes in one piece (small parts only)."""
        if self._start + count > _BUFFER:
            left = self._end - self._start
            self._buffer[:left] = bytes(self._buffer[self._start : self._end])
            self._start, self._end = 0, left
        while self._end - self._start < count:
            if self._start == self._end:
                self._start = self._end = 0
            self._fill()
        piece = self._buffer[self._start : self._start + count]
        self._start += count
        return piece

    def _pass_by(self, count: int) -> None:
        self._size += count
        while count:
            if self._start == self._end:
                self._fill()
            here = min(count, self._end - self._start)
            self.passed(self._buffer[self._start : self._start + here])
            self._start += here
            count -= here

    def _fragment(self) -> int:
        """One PDV; gives its length with its length field."""
        length, context, control = struct.unpack(">IBB", self.take(6))
        body = length - 2
        if control & 1:
            self._command += bytes(self.take(body))
            if control & 2:
                self._request, self._command = wire.read_command(self._command), b""
                self.commanded(context, self._request)
        else:
            self._pass_by(body)
            if control & 2:
                size, self._size = self._size, 0
                self.stored(context, self._request, size)
        return int(length) + 4

    def one_pdu(self) -> int:
        """Read one PDU; gives its type. One that is not P-DATA-TF is left for the caller: `body_length` bytes."""
        kind, _, length = struct.unpack(">BBI", self.take(6))
        if kind == wire.P_DATA:
            while length > 0:
                length -= self._fragment()
        self.body_length = int(length)
        return int(kind)


class _Association(Receiving):
    """The sink's side: counts instances, hashes them when wanted, answers 0000."""

    def __init__(self, sock: socket.socket, slot: _Slot, options: _Options) -> None:
        super().__init__(sock, quickack=options.quickack)
        self._slot, self._options = slot, options
        self._digest = hashlib.sha256()

    def commanded(self, context: int, request: dict[int, bytes]) -> None:
        if int.from_bytes(request[0x0100], "little") == wire.C_ECHO_RQ:
            self._answer(context, wire.C_ECHO_RSP, request, None)

    def passed(self, view: memoryview) -> None:
        if self._options.digests is not None:
            self._digest.update(view)

    def stored(self, context: int, request: dict[int, bytes], size: int) -> None:
        instance = request[0x1000]
        if self._options.digests is not None:
            name = instance.rstrip(b"\0 ").decode()
            self._options.note(f"{name} {self._digest.hexdigest()} {size}\n")
            self._digest = hashlib.sha256()
        self._slot.add(instances=1, dataset_bytes=size)
        self._answer(context, wire.C_STORE_RSP, request, instance)

    def _answer(self, context: int, command: int, request: dict[int, bytes], instance: bytes | None) -> None:
        answer = wire.response(command, request[0x0110], request[0x0002], instance, wire.SUCCESS)
        self.sock.sendall(wire.command_pdu(context, answer))

    def serve(self) -> None:
        """Until release, abort or a closed connection."""
        while True:
            kind = self.one_pdu()
            if kind == wire.ASSOCIATE_RQ:
                body = bytes(self.take(self.body_length))
                accept = wire.associate_accept(body, wire.read_associate(body), self._options.max_pdu)
                self.sock.sendall(accept)
            elif kind == wire.RELEASE_RQ_TYPE:
                self.sock.sendall(wire.RELEASE_RP)
                return
            elif kind != wire.P_DATA:
                return


@dataclass(frozen=True, slots=True)
class _Options:
    max_pdu: int
    quickack: bool
    digests: Path | None

    def note(self, line: str) -> None:
        """Append to this process's list; a short O_APPEND write is whole."""
        assert self.digests is not None
        descriptor = os.open(self.digests / f"{os.getpid()}.txt", os.O_WRONLY | os.O_CREAT | os.O_APPEND)
        os.write(descriptor, line.encode())
        os.close(descriptor)


def _serve_one(sock: socket.socket, slot: _Slot, options: _Options) -> None:
    with contextlib.suppress(OSError, wire.WireError, KeyError, struct.error), sock:
        sock.settimeout(120)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        slot.add(associations=1, opened_at=time.perf_counter())
        _Association(sock, slot, options).serve()


def _process(listener: socket.socket, slot: _Slot, options: _Options) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    while True:
        sock, _ = listener.accept()
        threading.Thread(target=_serve_one, args=(sock, slot, options), daemon=True).start()


class FastSink:
    """The sink as a context manager; `port` is free to choose (0)."""

    def __init__(
        self,
        *,
        max_pdu: int = 131072,
        quickack: bool = True,
        processes: int = 2,
        port: int = 0,
        digests: Path | None = None,
    ) -> None:
        self._options = _Options(max_pdu, quickack, digests)
        self._count = processes
        self._listener = socket.create_server(("127.0.0.1", port), backlog=128)
        self.port: int = self._listener.getsockname()[1]
        self._memory = mmap.mmap(-1, _SLOT.size * processes)
        self._processes: list[BaseProcess] = []

    def __enter__(self) -> FastSink:
        fork = multiprocessing.get_context("fork")
        for number in range(self._count):
            arguments = (self._listener, _Slot(self._memory, number), self._options)
            process = fork.Process(target=_process, args=arguments, daemon=True)
            process.start()
            self._processes.append(process)
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        for process in self._processes:
            process.kill()
            process.join()
        self._listener.close()

    @property
    def pids(self) -> list[int]:
        """The sink's processes."""
        return [process.pid for process in self._processes if process.pid]

    def counts(self) -> Counts:
        """What arrived so far, over all processes."""
        slots = [_SLOT.unpack_from(self._memory, number * _SLOT.size) for number in range(self._count)]
        first = min((slot[3] for slot in slots if slot[3]), default=0.0)
        last = max(slot[4] for slot in slots)
        instances, size, associations = (sum(slot[at] for slot in slots) for at in range(3))
        return Counts(instances, size, associations, first, last)

    def reset(self) -> None:
        """Forget everything; call it while nothing is being sent."""
        self._memory[:] = bytes(len(self._memory))

    def digests(self) -> dict[str, str]:
        """SOP Instance UID to SHA-256 of the data set, of all that arrived."""
        found: dict[str, str] = {}
        assert self._options.digests is not None
        for path in self._options.digests.glob("*.txt"):
            for line in path.read_text(encoding="ascii").splitlines():
                name, digest, _ = line.split()
                found[name] = digest
        return found


def main() -> None:
    """Run a sink until Ctrl-C and print what came."""
    parser = argparse.ArgumentParser(description="Receive as fast as possible, keep nothing.")
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--max-pdu", type=int, default=131072)
    parser.add_argument("--no-quickack", action="store_true")
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument("--digests", type=Path)
    arguments = parser.parse_args()
    sink = FastSink(
        max_pdu=arguments.max_pdu,
        quickack=not arguments.no_quickack,
        processes=arguments.processes,
        port=arguments.port,
        digests=arguments.digests,
    )
    with sink:
        print(json.dumps({"port": sink.port}), flush=True)
        with contextlib.suppress(KeyboardInterrupt):
            signal.pause()
        counts = sink.counts()
        print(json.dumps({"instances": counts.instances, "bytes": counts.dataset_bytes, "seconds": counts.seconds}))


if __name__ == "__main__":
    main()
