"""Traffic to a healthy destination while another is dead and a third one slow.

    python -m bench.isolation [--rounds 3] [--scale 0.2] [--slow-ms 200]

One instance with three destinations: a fast sink; a port where nothing listens; a sink that takes so many milliseconds for
each answer. `alone`: everything is ordered to the fast sink only; `beside`: to all three, the two sick ones first. The time
runs from the first row of the fast sink in the ledger to its last confirmed one. `loss` is what the healthy one loses, by
the medians of all rounds (a peer's own published figure: 8 588 down to 2 244 objects a second).
"""

from __future__ import annotations

import argparse
import socket
import threading
import time
from contextlib import closing
from pathlib import Path
from statistics import median
from typing import Any

from bench import data
from bench.fastsink import FastSink
from bench.machine import WARM_MB, Workplace, end_cleanly, note, report, warm_memory
from bench.ours import Gantry
from bench.peers import PeerError
from dimse.acceptance import Accept, AssociationInfo, StoreAnswer, StoreRequest
from dimse.blocking import Server, listen

_LEDGER = """
SELECT count(*), count(*) FILTER (WHERE d.status = 'confirmed'), extract(epoch FROM max(d.confirmed_at) - min(d.created_at))
FROM transfers_delivery d JOIN nodes_node n ON n.id = d.node_id WHERE n.name = '{}'
"""
Row = dict[str, Any]


class _Slow:
    """A destination that takes its time for each instance."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._socket = listen("127.0.0.1", 0)
        self.port = int(self._socket.getsockname()[1])
        self._server = Server(self._socket, self)
        self._thread = threading.Thread(target=self._server.serve_forever, daemon=True)

    def __enter__(self) -> _Slow:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.stop(0.1)
        self._thread.join(10)
        self._socket.close()

    def association_requested(self, request: object, peer: object) -> Accept:
        return Accept()

    def echo(self, association: AssociationInfo) -> int:
        return 0

    def store(self, association: AssociationInfo, command: StoreRequest, context: object) -> _Slow:
        return self

    def association_ended(self, association: AssociationInfo, how: str) -> None:
        pass

    # It is the sink of each instance too.

    def write(self, view: memoryview) -> None:
        """Nothing is kept."""

    def finish(self) -> StoreAnswer:
        """Late."""
        time.sleep(self._seconds)
        return StoreAnswer()

    def abort(self) -> None:
        """The peer went away."""


def _dead_port() -> int:
    with closing(socket.socket()) as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _run(case: str, folder: Path, options: argparse.Namespace) -> Row:
    dataset = data.load("small", options.scale)
    count = len(dataset.items)
    with (
        FastSink(max_pdu=131072) as sink,
        _Slow(options.slow_ms / 1000) as slow,
        Gantry("gantry-ledger", folder, GANTRY_SETTLE_QUIET_SECONDS="2") as peer,
    ):
        warm_memory(options.warm_mb)
        others = {"dead": _dead_port(), "slow": slow.port} if case == "beside" else {}
        for name, port in {**others, "healthy": sink.port}.items():
            peer.cli("node", "add", name, f"SINK@127.0.0.1:{port}")
            peer.cli("rule", "add", name, "--to", name, "--on", "settled")
        peer.cli("import", str(dataset.folder), seconds=options.limit)
        until = time.monotonic() + options.limit
        while True:
            ordered, confirmed, seconds = peer.query(_LEDGER.format("healthy"))[0]
            if confirmed == count:
                break
            if time.monotonic() > until:
                raise PeerError(f"{ordered} ordered, {confirmed} confirmed of {count}; {peer.log()}")
            time.sleep(0.1)
        row: Row = {"inst_s": round(count / float(seconds), 1), "seconds": round(float(seconds), 3), "count": count}
        row["wire_inst_s"] = round(count / sink.counts().seconds, 1)
        for name in others:
            row[f"{name}_confirmed"] = peer.query(_LEDGER.format(name))[0][1]
        return row


def main() -> None:
    """Both cases in turns, one JSON line."""
    end_cleanly()
    parser = argparse.ArgumentParser(description="Measure what a sick destination costs a healthy one.")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--scale", type=float, default=0.2)
    parser.add_argument("--slow-ms", type=float, default=200.0)
    parser.add_argument("--limit", type=float, default=180.0)
    parser.add_argument("--warm-mb", type=int, default=WARM_MB)
    options = parser.parse_args()
    rows: list[Row] = []
    with Workplace() as place:
        for number in range(options.rounds):
            for case in ("alone", "beside") if number % 2 == 0 else ("beside", "alone"):
                folder = place.fresh(case)
                try:
                    row = {"case": case, "round": number, **_run(case, folder, options), "errors": []}
                except (PeerError, OSError) as error:
                    row = {"case": case, "round": number, "errors": [f"{type(error).__name__}: {error}"[:600]]}
                rows.append(row)
                place.drain(folder)
                note(
                    f"{case} round {number}: {row.get('inst_s')}/s, on the wire {row.get('wire_inst_s')}/s {row['errors'] or ''}"
                )
    found = {
        case: [row["wire_inst_s"] for row in rows if row["case"] == case and not row["errors"]] for case in ("alone", "beside")
    }
    loss = round(1 - median(found["beside"]) / median(found["alone"]), 4) if all(found.values()) else None
    report("isolation", options, loss=loss, runs=rows)


if __name__ == "__main__":
    main()
