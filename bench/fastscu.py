"""A C-STORE sender that is faster than anything it measures.

    python -m bench.fastscu HOST PORT --set ct --associations 4

Data sets lie in memory (large ones are mapped), every PDU header is made before the clock starts, an instance
leaves in as few sendmsg calls as the kernel allows, TCP_QUICKACK is armed before each receive (without it a
DCMTK server looks 80 times slower than it is), one process per association. The clock runs from the common
start, before the connections are made, to the last answer; releases are outside. All answers must be 0000.
"""

from __future__ import annotations

import argparse
import json
import mmap
import multiprocessing
import os
import socket
import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from multiprocessing.connection import Connection
from pathlib import Path

from bench import wire
from bench.data import DataSet, Item, load

_MAP_FROM = 8 << 20  # larger files are mapped, not copied
_IOVECS = 1000  # IOV_MAX is 1024
_CONTEXT = 1


@dataclass(slots=True)
class Sent:
    """What came of one run. Times in seconds of the monotonic clock; `cpu_seconds` of all senders."""

    instances: int = 0
    dataset_bytes: int = 0
    seconds: float = 0.0
    first_at: float = 0.0
    last_at: float = 0.0
    cpu_seconds: float = 0.0
    latencies: list[float] = field(default_factory=list)
    max_pdu: int = 0
    errors: list[str] = field(default_factory=list)

    def row(self) -> dict[str, object]:
        """The numbers people read."""
        ordered = sorted(self.latencies)
        wall = self.seconds or float("inf")
        return {
            "instances": self.instances,
            "inst_s": round(self.instances / wall, 2),
            "mb_s": round(self.dataset_bytes / wall / 1e6, 1),
            "seconds": round(self.seconds, 4),
            "p50_ms": round(statistics.median(ordered) * 1000, 3) if ordered else None,
            "p95_ms": round(ordered[int(len(ordered) * 0.95)] * 1000, 3) if ordered else None,
            "max_pdu": self.max_pdu,
            "sender_cpu_s": round(self.cpu_seconds, 3),
            "errors": self.errors[:5],
        }


class Loaded:
    """The data sets of a set, in memory once, for all senders."""

    def __init__(self, dataset: DataSet) -> None:
        self.dataset = dataset
        self._maps: list[mmap.mmap] = []
        self.views = [self._view(dataset.folder / item.path, item) for item in dataset.items]

    def _view(self, path: Path, item: Item) -> memoryview:
        if item.length < _MAP_FROM:
            return memoryview(path.read_bytes())[item.offset :]
        with path.open("rb") as file:
            mapped = mmap.mmap(file.fileno(), 0, flags=mmap.MAP_PRIVATE, prot=mmap.PROT_READ)
        self._maps.append(mapped)
        return memoryview(mapped)[item.offset :]

    def touch(self) -> None:
        """Bring every mapped page into memory, so that no run pays for the disk."""
        for view in self.views:
            if view.nbytes >= _MAP_FROM:
                for at in range(0, view.nbytes, mmap.PAGESIZE):
                    view[at]


Vector = list[bytes | memoryview]


def _vectors(loaded: Loaded, numbers: Sequence[int], max_pdu: int, sop_context: dict[str, int]) -> list[Vector]:
    """For each instance the pieces that go out: command PDU, then header and fragment in turn."""
    room = (max_pdu or 131072) - 6
    full = {number: wire.pdata_header(number, room, command=False, last=False) for number in sop_context.values()}
    vectors = []
    for message, number in enumerate(numbers, start=1):
        item, view = loaded.dataset.items[number], loaded.views[number]
        context = sop_context[item.sop_class]
        command = wire.store_request(message & 0xFFFF, item.sop_class, item.sop_instance)
        pieces: Vector = [wire.command_pdu(context, command)]
        at = 0
        while view.nbytes - at > room:
            pieces += (full[context], view[at : at + room])
            at += room
        pieces += (wire.pdata_header(context, view.nbytes - at, command=False, last=True), view[at:])
        vectors.append(pieces)
    return vectors


def _send(sock: socket.socket, pieces: Vector) -> None:
    """Gathered writes without a copy: what a call left over leads the next one."""
    at = 0
    while at < len(pieces):
        batch = pieces[at : at + _IOVECS]
        sent = sock.sendmsg(batch)
        for piece in batch:
            if sent < len(piece):
                break
            sent -= len(piece)
            at += 1
        if sent:
            sock.sendall(memoryview(pieces[at])[sent:])
            at += 1


def _contexts(dataset: DataSet) -> list[wire.Context]:
    classes = sorted({item.sop_class for item in dataset.items})
    return [wire.Context(2 * at + _CONTEXT, name, (wire.EXPLICIT_LE,)) for at, name in enumerate(classes)]


def _open(address: tuple[str, int], called: str, contexts: list[wire.Context]) -> tuple[socket.socket, int]:
    sock, answer = wire.associate(address, contexts, called=called)
    refused = [context.number for context in answer.contexts if context.result != 0]
    if refused:
        sock.close()
        raise wire.WireError(f"presentation contexts refused: {refused}")
    return sock, answer.max_pdu


@dataclass(frozen=True, slots=True)
class _Order:
    address: tuple[str, int]
    called: str
    loaded: Loaded
    numbers: Sequence[int]
    max_pdu: int


def _association(order: _Order, talk: Connection) -> None:
    """One sender process: prepare, say ready, wait for go, send everything, report as JSON."""
    latencies: list[float] = []
    report: dict[str, object] = {"error": None}
    sock: socket.socket | None = None
    try:
        contexts = _contexts(order.loaded.dataset)
        numbers = {context.abstract_syntax: context.number for context in contexts}
        vectors = _vectors(order.loaded, order.numbers, order.max_pdu, numbers)
        talk.send_bytes(b"ready")
        talk.recv_bytes()
        cpu = time.process_time()
        sock, max_pdu = _open(order.address, order.called, contexts)
        if max_pdu != order.max_pdu:
            raise wire.WireError(f"max PDU {max_pdu}, the association before had {order.max_pdu}")
        clock = time.perf_counter
        for pieces in vectors:
            begun = clock()
            _send(sock, pieces)
            status = wire.read_response(sock).get(0x0900, b"")
            latencies.append(clock() - begun)
            if status != b"\0\0":
                raise wire.WireError(f"status {int.from_bytes(status, 'little'):04X} at instance {len(latencies)}")
        report["last_at"] = clock()
        report["cpu"] = time.process_time() - cpu
    except (OSError, wire.WireError, EOFError) as error:
        report["error"] = f"{type(error).__name__}: {error}"
    report["latencies"] = latencies
    talk.send_bytes(json.dumps(report).encode())
    if sock is not None:
        wire.release(sock)


def _receive(talk: Connection, until: float) -> bytes:
    if not talk.poll(max(0.0, until - time.monotonic())):
        raise wire.WireError("a sender did not finish in time")
    return talk.recv_bytes()


def _collect(talks: list[Connection], orders: list[_Order], sent: Sent, until: float) -> None:
    for talk, order in zip(talks, orders, strict=True):
        try:
            report = json.loads(_receive(talk, until))
        except (wire.WireError, EOFError, OSError) as error:
            sent.errors.append(str(error) or "a sender died")
            continue
        if report["error"]:
            sent.errors.append(report["error"])
        latencies = report["latencies"]
        sent.latencies += latencies
        sent.instances += len(latencies)
        sent.dataset_bytes += sum(order.loaded.views[number].nbytes for number in order.numbers[: len(latencies)])
        sent.last_at = max(sent.last_at, report.get("last_at", 0.0))
        sent.cpu_seconds += report.get("cpu", 0.0)


def send(
    address: tuple[str, int],
    loaded: Loaded,
    *,
    associations: int = 1,
    called: str = "ANY-SCP",
    limit: float = 300.0,
    into: Sent | None = None,
    at_last_answer: Callable[[], None] | None = None,
) -> Sent:
    """Send the whole set over so many associations, instances dealt out in turns. Errors are in the result.

    `at_last_answer` is called as soon as the last answer is known, before the senders are cleaned up; the
    result is then in `into`.
    """
    sent = into if into is not None else Sent()
    try:
        probe, sent.max_pdu = _open(address, called, _contexts(loaded.dataset))
    except (OSError, wire.WireError) as error:
        sent.errors.append(f"probe: {error}")
        return sent
    wire.release(probe)
    loaded.touch()
    until = time.monotonic() + limit
    fork = multiprocessing.get_context("fork")  # the data sets are shared, not copied
    count = len(loaded.views)
    orders = [
        _Order(address, called, loaded, range(start, count, associations), sent.max_pdu)
        for start in range(min(associations, count))
    ]
    pipes = [fork.Pipe() for _ in orders]
    senders = [
        fork.Process(target=_association, args=(order, child), daemon=True)
        for order, (_, child) in zip(orders, pipes, strict=True)
    ]
    talks = [parent for parent, _ in pipes]
    try:
        for sender in senders:
            sender.start()
        for _, child in pipes:
            child.close()
        for talk in talks:
            _receive(talk, until)
        sent.first_at = time.perf_counter()
        for talk in talks:
            talk.send_bytes(b"go")
        _collect(talks, orders, sent, until)
        sent.seconds = max(0.0, sent.last_at - sent.first_at)
        if at_last_answer is not None and not sent.errors:
            at_last_answer()
    except (wire.WireError, EOFError, OSError) as error:
        sent.errors.append(str(error))
    finally:
        _clean_up(senders)
        for talk in talks:
            talk.close()
    return sent


def _clean_up(senders: Sequence[multiprocessing.process.BaseProcess]) -> None:
    for sender in senders:
        sender.join(timeout=5)
        if sender.is_alive():
            sender.kill()
            sender.join()


def main() -> None:
    """Send one set and print one line."""
    parser = argparse.ArgumentParser(description="Send a set as fast as possible.")
    parser.add_argument("host")
    parser.add_argument("port", type=int)
    parser.add_argument("--set", default="ct", help="ct, small, multiframe or prelude")
    parser.add_argument("--scale", type=float, default=1.0)
    parser.add_argument("--associations", type=int, default=1)
    parser.add_argument("--called", default="ANY-SCP")
    arguments = parser.parse_args()
    loaded = Loaded(load(arguments.set, arguments.scale))
    result = send((arguments.host, arguments.port), loaded, associations=arguments.associations, called=arguments.called)
    print(json.dumps({"set": arguments.set, "pid": os.getpid(), **result.row()}))
    raise SystemExit(1 if result.errors else 0)


if __name__ == "__main__":
    main()
