"""What a stock `storescu` gets, which leaves Nagle on, from receivers that do and do not ask for quick ACKs.

    python -m bench.nagle [--instances 100] [--rounds 3]

The whole `storescu` process is timed (its start is about 20 ms). `engine-*` is our wire
engine alone, keeping nothing, `sink-*` the benchmark's own receiver, each with the switch on and off: the
same code, so the difference is TCP_QUICKACK alone.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from bench import data, summary
from bench.engine import Engine
from bench.fastsink import FastSink
from bench.machine import WARM_MB, Workplace, dcmtk, end_cleanly, note, report, warm_memory
from bench.ours import OURS
from bench.peers import PEERS, PeerError, Storescp

Opener = Callable[[Path], contextlib.AbstractContextManager[int]]


def _peer(name: str) -> Opener:
    @contextlib.contextmanager
    def opened(folder: Path) -> Iterator[int]:
        with {**OURS, **PEERS}[name](folder) as peer:
            yield peer.port

    return opened


@contextlib.contextmanager
def _storescp_nodelay(folder: Path) -> Iterator[int]:
    with Storescp("storescp-nodelay", folder, variables={"TCP_NODELAY": "1"}) as peer:
        yield peer.port


def _engine(quick: bool) -> Opener:
    @contextlib.contextmanager
    def opened(folder: Path) -> Iterator[int]:
        with Engine("engine", folder, quick_ack=quick) as peer:
            yield peer.port

    return opened


def _sink(quick: bool) -> Opener:
    @contextlib.contextmanager
    def opened(folder: Path) -> Iterator[int]:
        del folder
        with FastSink(max_pdu=131072, quickack=quick) as sink:
            yield sink.port

    return opened


RECEIVERS: dict[str, Opener] = {
    "gantry": _peer("gantry"),
    "gantry-os": _peer("gantry-os"),
    "engine-quickack": _engine(True),
    "engine-plain": _engine(False),
    "storescp": _peer("storescp"),
    "storescp-nodelay": _storescp_nodelay,
    "orthanc": _peer("orthanc"),
    "pynetdicom": _peer("pynetdicom"),
    "sink-quickack": _sink(True),
    "sink-plain": _sink(False),
}


def _run(name: str, folder: Path, dataset: data.DataSet, options: argparse.Namespace) -> dict[str, Any]:
    command = [dcmtk("storescu"), "-aec", "GANTRY"]
    variables = {key: value for key, value in os.environ.items() if key != "TCP_NODELAY"}
    try:
        with RECEIVERS[name](folder) as port:
            warm_memory(options.warm_mb)
            begun = time.perf_counter()
            done = subprocess.run(
                [*command, "127.0.0.1", str(port), "+sd", str(dataset.folder)],
                capture_output=True,
                text=True,
                env=variables,
                timeout=options.limit,
                check=False,
            )
            seconds = time.perf_counter() - begun
    except (PeerError, OSError, subprocess.TimeoutExpired) as error:
        return {"errors": [f"{type(error).__name__}: {error}"[:600]]}
    if done.returncode != 0:
        return {"errors": [f"storescu: exit {done.returncode}: {(done.stderr or done.stdout)[-400:]}"]}
    count = len(dataset.items)
    return {"seconds": round(seconds, 3), "inst_s": round(count / seconds, 1), "errors": []}


def main() -> None:
    """All receivers in turns, one JSON line."""
    end_cleanly()
    parser = argparse.ArgumentParser(description="Measure what Nagle costs a stock storescu.")
    parser.add_argument("--instances", type=int, default=100, help="CT of 527 KB; 100 take storescp 5 s")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--peers", default=",".join(RECEIVERS))
    parser.add_argument("--limit", type=float, default=120.0, help="seconds one run may take")
    parser.add_argument("--warm-mb", type=int, default=WARM_MB)
    options = parser.parse_args()
    dataset = data.load("ct", options.instances / data.PLANS["ct"].instances)
    rows: list[dict[str, Any]] = []
    names = options.peers.split(",")
    with Workplace() as place:
        for number in range(options.rounds):
            for name in summary.in_turns(names, number):
                folder = place.fresh(name)
                rows.append({"peer": name, "round": number, **_run(name, folder, dataset, options)})
                place.drain(folder)
                note(f"nagle round {number} {name}: {rows[-1].get('inst_s')}/s {rows[-1]['errors'] or ''}")
    ours = [name for name in names if name in OURS]
    report(
        "nagle",
        options,
        medians=summary.medians(rows, ["peer"], "inst_s"),
        ratios=summary.ratios(rows, case=[], who="peer", ours=ours, value="inst_s"),
        runs=rows,
    )


if __name__ == "__main__":
    main()
