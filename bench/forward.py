"""Sending: Gantry against storescu, dcmsend and pynetdicom, in turns, to the same fast sink.

    python -m bench.forward [--only ct-16k,ct-128k,small-16k,small-128k] [--rounds 3] [--scale 0.01]

`gantry-send` is `gantry send FOLDER --to AET@HOST:PORT`. `gantry-ledger` is the product's own way: the set is
imported, a rule orders every instance to the sink when the study has settled, and the time runs from the
first row in the ledger to the last confirmed one, digests compared. For programs: `seconds` is the whole
process with its start; `wire_seconds` is what the sink saw, from the first association to the last answer.
"""

from __future__ import annotations

import argparse
import os
import resource
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from bench import data, ours, summary
from bench.fastsink import FastSink
from bench.machine import WARM_MB, Workplace, dcmtk, end_cleanly, note, report, warm_memory
from bench.ours import Gantry
from bench.peers import PeerError

PDUS = {"16k": 16384, "128k": 131072}
CASES = ("ct-16k", "ct-128k", "small-16k", "small-128k")
_LEDGER = """
SELECT count(*), count(*) FILTER (WHERE status = 'confirmed'),
       count(*) FILTER (WHERE status IN ('failed', 'dead')),
       extract(epoch FROM max(confirmed_at) - min(created_at)),
       extract(epoch FROM max(confirmed_at) - (SELECT min(settled_at) FROM catalogue_study))
  FROM transfers_delivery
"""
Row = dict[str, Any]


def _dcmtk(name: str, *options: str) -> Callable[[int, Path], list[str]]:
    return lambda port, folder: [dcmtk(name), *options, "127.0.0.1", str(port), "+sd", str(folder)]


def _pynetdicom(port: int, folder: Path) -> list[str]:
    return [sys.executable, "-m", "pynetdicom", "storescu", "-q", "-cx", "127.0.0.1", str(port), str(folder)]


def _gantry_send(port: int, folder: Path) -> list[str]:
    return [sys.executable, "-m", "gantry.main.cli", "send", str(folder), "--to", f"SINK@127.0.0.1:{port}"]


PROGRAMS: dict[str, tuple[Callable[[int, Path], list[str]], dict[str, str]]] = {
    "storescu": (_dcmtk("storescu"), {}),
    "storescu-nodelay": (_dcmtk("storescu"), {"TCP_NODELAY": "1"}),
    "dcmsend": (_dcmtk("dcmsend"), {}),
    "dcmsend-nodelay": (_dcmtk("dcmsend"), {"TCP_NODELAY": "1"}),
    "pynetdicom": (_pynetdicom, {}),
    "gantry-send": (_gantry_send, {}),
}
OURS = ("gantry-send", "gantry-ledger")


def _result(count: int, size: int, seconds: float) -> Row:
    return {
        "inst_s": round(count / seconds, 1),
        "mb_s": round(size / seconds / 1e6, 1),
        "seconds": round(seconds, 4),
    }


def _program(name: str, folder: Path, dataset: data.DataSet, sink: FastSink, options: argparse.Namespace) -> Row:
    make, variables = PROGRAMS[name]
    environment = ours.environment({"GANTRY_HOME": str(folder / "h"), **variables})
    command = make(sink.port, dataset.folder)
    with (folder / "sender.log").open("wb") as log:
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        begun = time.perf_counter()
        done = subprocess.run(
            command,
            stdout=log,
            stderr=log,
            stdin=subprocess.DEVNULL,
            env=environment,
            timeout=options.limit,
            check=False,
        )
    seconds = time.perf_counter() - begun
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    if done.returncode != 0:
        return {"errors": [f"exit {done.returncode}: {_tail(folder / 'sender.log')}"]}
    counts = sink.counts()
    count = len(dataset.items)
    row = _result(count, dataset.dataset_bytes, seconds)
    if counts.seconds > 0:
        row["wire_seconds"] = round(counts.seconds, 4)
        row["wire_inst_s"] = round(count / counts.seconds, 1)
        row["wire_mb_s"] = round(dataset.dataset_bytes / counts.seconds / 1e6, 1)
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    row["cpu_s_per_1000"] = round(cpu / count * 1000, 3)
    return row


def _tail(path: Path) -> str:
    return path.read_text(encoding="utf-8", errors="replace")[-400:]


def _ledger(folder: Path, dataset: data.DataSet, sink: FastSink, options: argparse.Namespace) -> Row:
    count = len(dataset.items)
    settings = {"GANTRY_SETTLE_QUIET_SECONDS": "2"}
    with Gantry("gantry-ledger", folder, **settings) as peer:
        peer.cli("node", "add", "sink", f"SINK@127.0.0.1:{sink.port}")
        peer.cli("rule", "add", "everything", "--to", "sink", "--on", "settled")
        peer.cli("import", str(dataset.folder), seconds=options.limit)
        until = time.monotonic() + options.limit
        with peer.watch() as watch:
            while True:
                ordered, confirmed, failed, seconds, settled = peer.query(_LEDGER)[0]
                if confirmed == count:
                    break
                if failed or time.monotonic() > until:
                    raise PeerError(f"{ordered} ordered, {confirmed} confirmed, {failed} failed of {count}; {peer.log()}")
                time.sleep(0.05)
        row = _result(count, dataset.dataset_bytes, float(seconds))
        row["since_settled_s"] = round(float(settled or 0), 4)
        wire = sink.counts().seconds
        row["wire_seconds"] = round(wire, 4)
        row["wire_inst_s"] = round(count / wire, 1)
        row["wire_mb_s"] = round(dataset.dataset_bytes / wire / 1e6, 1)
        row["cpu_s_per_1000"] = round(watch.cpu / count * 1000, 3)
        row["rss_worker_mb"] = watch.peaks().get("worker")
    return row


def _check(name: str, dataset: data.DataSet, sink: FastSink, *, digests: bool) -> list[str]:
    counts = sink.counts()
    wrong = []
    if counts.instances != len(dataset.items):
        wrong.append(f"the sink got {counts.instances} of {len(dataset.items)} instances")
    if name in OURS:  # others may write sequences and group lengths anew; that is their right
        if counts.dataset_bytes != dataset.dataset_bytes:
            wrong.append(f"the sink got {counts.dataset_bytes} of {dataset.dataset_bytes} bytes")
        if digests and sink.digests() != {item.sop_instance: item.sha256 for item in dataset.items}:
            wrong.append("bytes at the sink differ")
    return wrong


def run(name: str, case: str, folder: Path, options: argparse.Namespace) -> Row:
    """One sender, one case, once."""
    kind, _, pdu = case.partition("-")
    dataset = data.load(kind, options.scale)
    digests = folder / "digests"
    digests.mkdir()
    try:
        with FastSink(max_pdu=PDUS[pdu], digests=digests if options.digests else None) as sink:
            warm_memory(options.warm_mb)
            if name == "gantry-ledger":
                row = _ledger(folder, dataset, sink, options)
            else:
                row = _program(name, folder, dataset, sink, options)
            row.setdefault("errors", _check(name, dataset, sink, digests=options.digests))
            return row
    except (PeerError, OSError, subprocess.TimeoutExpired) as error:
        return {"errors": [f"{type(error).__name__}: {error}"[:600]]}


def main() -> None:
    """All cases, all rounds, one JSON line."""
    end_cleanly()
    parser = argparse.ArgumentParser(description="Measure sending.")
    parser.add_argument("--only", default=",".join(CASES))
    parser.add_argument("--peers", default=",".join((*PROGRAMS, "gantry-ledger")))
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--scale", type=float, default=1.0)
    parser.add_argument("--limit", type=float, default=180.0, help="seconds one run may take")
    parser.add_argument("--digests", action="store_true", help="the sink hashes: checks our bytes, slows everybody")
    parser.add_argument("--warm-mb", type=int, default=WARM_MB)
    options = parser.parse_args()
    os.environ.pop("TCP_NODELAY", None)
    names = options.peers.split(",")
    rows: list[Row] = []
    with Workplace() as place:
        for case in options.only.split(","):
            for number in range(options.rounds):
                for name in summary.in_turns(names, number):
                    folder = place.fresh(name)
                    row = {"case": case, "peer": name, "round": number, **run(name, case, folder, options)}
                    rows.append(row)
                    place.drain(folder)
                    note(
                        f"{case} round {number} {name}: {row.get('inst_s')}/s {row.get('mb_s')} MB/s "
                        f"on the wire {row.get('wire_inst_s')}/s {row['errors'] or ''}"
                    )
    mine = [name for name in names if name in OURS]
    report(
        "forward",
        options,
        medians=summary.medians(rows, ["case", "peer"], "inst_s"),
        ratios=summary.ratios(rows, case=["case"], who="peer", ours=mine, value="inst_s"),
        wire_ratios=summary.ratios(rows, case=["case"], who="peer", ours=mine, value="wire_inst_s"),
        runs=rows,
    )


if __name__ == "__main__":
    main()
