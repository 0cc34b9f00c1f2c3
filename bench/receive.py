"""C-STORE receive: Gantry and the peers in turns, on the same data, from the same sender.

    python -m bench.receive [--only ct1,ct4,ct16,small1,small4,multi1] [--rounds 3] [--peers a,b]

Each run has a fresh process and a fresh folder; 50 other small instances go first, then memory is warmed,
then the clock runs. For Gantry the wait for the index is measured too, and its digests and bytes are checked.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from bench import data, fastscu, summary
from bench.machine import NOISY_CORES, WARM_MB, Outside, Workplace, end_cleanly, note, report, warm_memory
from bench.ours import OURS, Gantry
from bench.peers import PEERS, Peer, PeerError

WORKLOADS = {
    "ct1": ("ct", 1),
    "ct4": ("ct", 4),
    "ct16": ("ct", 16),
    "small1": ("small", 1),
    "small4": ("small", 4),
    "multi1": ("multiframe", 1),
}
MAKERS = {**OURS, **PEERS}
#: storescp+B is only DCMTK's byte-exact mode in its plain form; ask for it with --peers.
DEFAULT_PEERS = ("gantry", "gantry-os", "storescp", "storescp-best", "orthanc", "pynetdicom")


def _prelude(peer: Peer, prelude: fastscu.Loaded) -> None:
    sent = fastscu.send(peer.address, prelude, called=peer.called, limit=60)
    if sent.errors:
        raise PeerError(f"prelude: {sent.errors[0]}")
    if isinstance(peer, Gantry):
        peer.wait_indexed(len(prelude.views), sent.last_at)


def _timed(peer: Peer, loaded: fastscu.Loaded, associations: int, options: argparse.Namespace) -> dict[str, Any]:
    """The measured part: send, and for Gantry wait for the index, under the eyes of Watch."""
    count = len(loaded.views)
    before = peer.stored() or 0
    newest = peer.newest() if isinstance(peer, Gantry) else 0
    row: dict[str, Any] = {}
    sent = fastscu.Sent()

    def last_answer() -> None:
        if isinstance(peer, Gantry):
            row["index_lag_s"] = peer.wait_indexed(count, sent.last_at, after=newest)

    warm_memory(options.warm_mb)
    outside = Outside()
    with peer.watch() as watch:
        result = fastscu.send(
            peer.address,
            loaded,
            associations=associations,
            called=peer.called,
            limit=options.limit,
            into=sent,
            at_last_answer=last_answer,
        )
    row["outside_cores"] = outside.cores(watch.cpu + result.cpu_seconds)
    row = {**result.row(), **row}
    row["cpu_s_per_1000"] = round(watch.cpu / max(1, result.instances) * 1000, 3)
    peaks = watch.peaks()
    row["rss_sum_mb"] = peaks.pop("sum")
    row.update({f"rss_{role}_mb": peak for role, peak in peaks.items()})
    stored = (peer.stored() or 0) - before
    if not result.errors and stored != count:
        result.errors.append(f"{stored} of {count} are stored")
    if isinstance(peer, Gantry) and not result.errors:
        result.errors += peer.check(loaded.dataset.items)
        row.update(peer.index_delays(newest))
    row["errors"] = result.errors[:5]
    return row


def run(
    name: str, folder: Path, sets: tuple[fastscu.Loaded, ...], associations: int, options: argparse.Namespace
) -> dict[str, Any]:
    """One peer, one workload, once. What goes wrong is in `errors`."""
    loaded, prelude = sets
    try:
        with MAKERS[name](folder) as peer:
            _prelude(peer, prelude)
            return _timed(peer, loaded, associations, options)
    except (PeerError, OSError) as error:
        return {"errors": [f"{type(error).__name__}: {error}"[:600]]}


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Measure C-STORE receive.")
    parser.add_argument("--only", default=",".join(WORKLOADS), help="workloads, comma separated")
    parser.add_argument("--peers", default=",".join(DEFAULT_PEERS), help=f"of {', '.join(MAKERS)}")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--scale", type=float, default=1.0, help="below 1: to try the script, not to measure")
    parser.add_argument("--limit", type=float, default=300.0, help="seconds one run may take")
    parser.add_argument("--warm-mb", type=int, default=WARM_MB)
    return parser.parse_args()


def main() -> None:
    """All workloads, all rounds, one JSON line."""
    end_cleanly()
    options = _arguments()
    peers = options.peers.split(",")
    rows: list[dict[str, Any]] = []
    prelude = fastscu.Loaded(data.load("prelude"))
    with Workplace() as place:
        for workload in options.only.split(","):
            name, associations = WORKLOADS[workload]
            loaded = fastscu.Loaded(data.load(name, options.scale))
            for number in range(options.rounds):
                for peer in summary.in_turns(peers, number):
                    folder = place.fresh(peer.replace("+", ""))
                    row = run(peer, folder, (loaded, prelude), associations, options)
                    row = {"workload": workload, "peer": peer, "round": number, **row}
                    row["noisy"] = row.get("outside_cores", 0.0) >= NOISY_CORES
                    rows.append(row)
                    place.drain(folder)
                    note(
                        f"{workload} round {number} {peer}: {row.get('inst_s')}/s {row.get('mb_s')} MB/s "
                        f"p50 {row.get('p50_ms')} ms lag {row.get('index_lag_s')} {row['errors'] or ''}"
                    )
            del loaded
    ours = [name for name in peers if name in OURS]
    report(
        "receive",
        options,
        medians=summary.medians(rows, ["workload", "peer"], "inst_s"),
        ratios=summary.ratios(rows, case=["workload"], who="peer", ours=ours, value="inst_s"),
        runs=rows,
    )


if __name__ == "__main__":
    main()
