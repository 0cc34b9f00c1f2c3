"""Association churn against a receiver of its own: python tools/churn.py [--associations 100000]

Opens and ends associations in every way there is (released, aborted, cut, never asked for, nonsense), most of them
storing, and counts descriptors, threads and memory of the receiver process before and after. Exit status 1
when something leaked. With --concurrent N it first opens N associations at once and stores over all of them.
Everything is on 127.0.0.1 and in a temporary home.
"""

from __future__ import annotations

import argparse
import json
import logging
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parent.parent
sys.path[:0] = [str(ROOT / "src"), str(ROOT)]

from tests.support.part10_files import CT_IMAGE_STORAGE, EXPLICIT_LITTLE_ENDIAN, ct_dataset  # noqa: E402

from dimse.blocking import ClientAssociation, connect  # noqa: E402
from dimse.errors import DimseError  # noqa: E402
from dimse.negotiation import ContextProposal  # noqa: E402

CONTEXTS = [ContextProposal(CT_IMAGE_STORAGE, (EXPLICIT_LITTLE_ENDIAN,)), ContextProposal("1.2.840.10008.1.1")]
ENDS = ("released", "released", "released", "aborted", "cut", "cut inside", "silent", "nonsense")
SERIES = "1.2.826.0.1.3680043.10.1338.7"
#: What may be more at the end than after the first tenth.
DESCRIPTORS, THREADS, MEMORY_KIB = 4, 2, 16 * 1024


def serve(home: Path, max_associations: int, durability: str) -> None:
    """The receiver process: until standard input ends."""
    from gantry.config import Config
    from gantry.receiver import listen

    logging.basicConfig(level=logging.ERROR)
    settings = {"max_associations": max_associations, "disk_reserve_mb": 0, "association_seconds": 5, "unknown_callers": "store"}
    config = Config(home=home, durability=durability, **settings)
    stop = threading.Event()
    with socket.create_server(("127.0.0.1", 0), backlog=1024) as listener:
        thread = threading.Thread(target=listen, args=(listener, config, "r0", stop))
        thread.start()
        sys.stdout.write(f"{listener.getsockname()[1]}\n")
        sys.stdout.flush()
        sys.stdin.read()
        stop.set()
        thread.join()


class Receiver:
    """The process, and what it holds."""

    def __init__(self, home: Path, max_associations: int, durability: str) -> None:
        (home / "run").mkdir(parents=True)
        options = ["--serve", str(home), "--places", str(max_associations), "--durability", durability]
        command = [sys.executable, __file__, *options]
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        assert self.process.stdout is not None
        self.port = int(self.process.stdout.readline())
        self._proc = Path(f"/proc/{self.process.pid}")
        _until_served(self.port)

    def counts(self) -> dict[str, int]:
        """Descriptors, threads, resident memory in KiB."""
        lines = dict(line.split(":", 1) for line in (self._proc / "status").read_text().splitlines())
        return {
            "descriptors": len(list((self._proc / "fd").iterdir())),
            "threads": int(lines["Threads"]),
            "memory_kib": int(lines["VmRSS"].split()[0]),
        }

    def settled(self) -> dict[str, int]:
        """The counts once all associations have ended."""
        before = self.counts()
        for _ in range(100):
            time.sleep(0.1)
            now = self.counts()
            if now["threads"] == before["threads"] and now["descriptors"] == before["descriptors"] and now["threads"] < 12:
                return now
            before = now
        return before

    def stop(self) -> int:
        """End it; its exit status."""
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.close()
        status = self.process.wait(60)
        self.process.stdout.close()
        return status


def _until_served(port: int) -> None:
    deadline = time.monotonic() + 15
    while True:
        try:
            with join(port) as association:
                association.echo()
            return
        except DimseError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.05)


def join(port: int) -> ClientAssociation:
    """An association."""
    return connect(
        "127.0.0.1", port, called_aet="GANTRY", calling_aet="CHURN", contexts=CONTEXTS, connect_timeout=30, response_timeout=120
    )


def store(association: ClientAssociation, number: int) -> int:
    """Store a small CT; the status."""
    uid = f"{SERIES}.{number}"
    data = ct_dataset(number=number % 60_000, series=SERIES, instance=uid, side=8)
    return association.store(
        sop_class_uid=CT_IMAGE_STORAGE, sop_instance_uid=uid, transfer_syntax_uid=EXPLICIT_LITTLE_ENDIAN, data=data
    ).status


def visit(port: int, number: int) -> str:
    """One association, ended in one of the ways."""
    end = ENDS[number % len(ENDS)]
    if end in {"silent", "nonsense"}:
        with socket.create_connection(("127.0.0.1", port), 30) as sock:
            sock.sendall(b"GET / HTTP/1.1\r\n\r\n" if end == "nonsense" else b"\1\0\0")
        return end
    association = join(port)
    if number % 3:
        status = store(association, number)
        if status:
            association.abort()
            return f"status {status:04X}"
    if end == "released":
        association.release()
    elif end == "aborted":
        association.abort()
    else:
        if end == "cut inside":
            association._sock.sendall(b"\x04\0\0\0\1\0\0\0\0\xf0\1\3half")
        association.close()
    return end


def churn(receiver: Receiver, associations: int, parallel: int) -> tuple[Counter[str], list[dict[str, int]]]:
    """Visit; how the visits ended, and the counts after each tenth."""
    ends: Counter[str] = Counter()
    lock = threading.Lock()
    samples = []

    def run(numbers: range) -> None:
        for number in numbers:
            try:
                end = visit(receiver.port, number)
            except (DimseError, OSError) as error:
                end = f"failed: {type(error).__name__}"
            with lock:
                ends[end] += 1

    tenth = max(1, associations // 10)
    for start in range(0, associations, tenth):
        stop = min(start + tenth, associations)
        began = time.monotonic()
        threads = [threading.Thread(target=run, args=(range(start + lane, stop, parallel),)) for lane in range(parallel)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        rate = (stop - start) / (time.monotonic() - began)
        samples.append(receiver.settled())
        sys.stdout.write(f"{stop:>8} associations  {rate:>6.0f}/s  {samples[-1]}\n")
        sys.stdout.flush()
    return ends, samples


def crowd(receiver: Receiver, size: int, rounds: int = 5) -> dict[str, Any]:
    """`size` associations open at once, each of which stores `rounds` times."""
    threading.stack_size(256 * 1024)
    statuses: Counter[str] = Counter()
    seconds: list[float] = []
    lock = threading.Lock()
    all_open = threading.Barrier(size + 1)

    def run(lane: int) -> None:
        try:
            association = join(receiver.port)
        except (DimseError, OSError) as error:
            with lock:
                statuses[f"no association: {type(error).__name__}: {error}"] += 1
            all_open.wait(300)
            return
        all_open.wait(300)
        try:
            for turn in range(rounds):
                began = time.monotonic()
                status = store(association, 1_000_000 + lane * rounds + turn)
                with lock:
                    statuses[f"{status:04X}"] += 1
                    seconds.append(time.monotonic() - began)
            association.release()
        except (DimseError, OSError) as error:
            with lock:
                statuses[f"failed: {type(error).__name__}: {error}"] += 1

    began = time.monotonic()
    threads = [threading.Thread(target=run, args=(lane,)) for lane in range(size)]
    for thread in threads:
        thread.start()
    all_open.wait(300)
    opened = time.monotonic() - began
    while_open = receiver.counts()
    for thread in threads:
        thread.join()
    seconds.sort()
    whole = time.monotonic() - began - opened
    return {
        "statuses": dict(statuses),
        "all_open_after_seconds": round(opened, 2),
        "stored_per_second": round(len(seconds) / whole) if whole else 0,
        "store_seconds_p50": round(seconds[len(seconds) // 2], 3) if seconds else None,
        "store_seconds_max": round(seconds[-1], 3) if seconds else None,
        "while_open": while_open,
        "afterwards": receiver.settled(),
    }


def main() -> int:
    """Run; the exit status says whether something leaked."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--associations", type=int, default=100_000)
    parser.add_argument("--parallel", type=int, default=4)
    parser.add_argument("--concurrent", type=int, default=0, help="so many associations open at once, before the churn")
    parser.add_argument("--places", type=int, default=0, help="max_associations of the receiver")
    parser.add_argument("--durability", choices=["disk", "os"], default="disk")
    parser.add_argument("--serve", type=Path, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    places = arguments.places or max(200, arguments.concurrent + 20)
    if arguments.serve:
        serve(arguments.serve, places, arguments.durability)
        return 0
    with tempfile.TemporaryDirectory(prefix="gantry-churn-") as name:
        receiver = Receiver(Path(name) / "home", places, arguments.durability)
        try:
            if arguments.concurrent:
                sys.stdout.write(json.dumps(crowd(receiver, arguments.concurrent), indent=1) + "\n")
            ends, samples = (
                churn(receiver, arguments.associations, arguments.parallel) if arguments.associations else (Counter(), [])
            )
        finally:
            status = receiver.stop()
    if samples:
        sys.stdout.write(f"{dict(ends)}\n")
    return int(bool(status) or leaked(samples) or any(end.startswith(("failed", "status")) for end in ends))


def leaked(samples: list[dict[str, int]]) -> bool:
    """Whether more is held at the end than after the first tenth."""
    if len(samples) < 2:
        return False
    first, last = samples[0], samples[-1]
    limits = {"descriptors": DESCRIPTORS, "threads": THREADS, "memory_kib": MEMORY_KIB}
    grown = {key: last[key] - first[key] for key in limits}
    sys.stdout.write(f"grown since the first tenth: {grown}\n")
    return any(grown[key] > limits[key] for key in limits)


if __name__ == "__main__":
    sys.exit(main())
