"""Traffic to a healthy destination while another is dead and a third one slow.

    python -m bench.isolation [--rounds 6] [--passes 4] [--scale 1] [--slow-ms 200]

One instance with three destinations: a fast sink; a port where nothing listens; a sink that takes so many milliseconds for
each answer. A study of 5 000 small instances goes to the fast sink again and again. `alone`: nothing is ordered to the
other two; `beside`: both have the whole study before them. The cases take turns in the same processes (fresh ones scatter
by a fifth). The time of a pass runs from its first instance sent to its last confirmed. `loss` is what the healthy one loses, by
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

_PASS = """
SELECT count(*), count(*) FILTER (WHERE d.status = 'confirmed'), extract(epoch FROM max(d.confirmed_at) - min(d.sent_at))
FROM transfers_delivery d JOIN nodes_node n ON n.id = d.node_id WHERE n.name = 'healthy' AND d.id > %s
"""
_OF = "SELECT count(*) FROM transfers_delivery d JOIN nodes_node n ON n.id = d.node_id WHERE n.name = %s AND d.status = %s"
_LAST = "SELECT coalesce(max(id), 0) FROM transfers_delivery"
_STUDY = "SELECT study_instance_uid FROM catalogue_study"
_SICK = ("dead", "slow")
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


class _Pair:
    """One instance with a healthy destination and two sick ones, and one study in the ledger of all three."""

    def __init__(self, peer: Gantry, limit: float) -> None:
        self._peer, self._limit = peer, limit

    def fill(self, folder: Path, ports: dict[str, int]) -> None:
        """The study comes in and goes once to the healthy one: all is warm then."""
        for name, port in ports.items():
            self._peer.cli("node", "add", name, f"SINK@127.0.0.1:{port}")
            self._peer.cli("rule", "add", name, "--to", name, "--on", "settled")
        before = self._newest()
        self._peer.cli("import", str(folder), seconds=self._limit)
        self._confirmed(before)
        self.study = str(self._peer.query(_STUDY)[0][0])

    def steer(self, act: str, node: str) -> None:
        """Recall from, or send again to, one destination."""
        sure = ("--yes",) if act == "recall" else ()
        self._peer.cli("deliveries", act, self.study, "--node", node, "--reason", "bench", *sure, seconds=self._limit)

    def sick_ones(self, *, busy: bool) -> None:
        """Beside: both have the whole study before them. Alone: nothing is ordered to them."""
        for name in _SICK:
            self.steer("resend" if busy else "recall", name)
        until = time.monotonic() + self._limit
        while not busy and any(self._peer.query(_OF, (name, state))[0][0] for name in _SICK for state in ("waiting", "sent")):
            if time.monotonic() > until:
                raise PeerError(f"the sick destinations are not empty; {self._peer.log()}")
            time.sleep(0.1)
        time.sleep(1)

    def once(self) -> tuple[int, float]:
        """The whole study to the healthy one: how many, in how many seconds."""
        before = self._newest()
        self.steer("resend", "healthy")
        return self._confirmed(before)

    def counts(self) -> Row:
        """How far the sick ones got in all."""
        return {f"{name}_confirmed": self._peer.query(_OF, (name, "confirmed"))[0][0] for name in _SICK}

    def _newest(self) -> int:
        return int(self._peer.query(_LAST)[0][0])

    def _confirmed(self, after: int) -> tuple[int, float]:
        until = time.monotonic() + self._limit
        while time.monotonic() < until:
            ordered, confirmed, seconds = self._peer.query(_PASS, (after,))[0]
            if ordered and confirmed == ordered:
                return int(ordered), float(seconds)
            time.sleep(0.05)
        raise PeerError(f"{ordered} ordered, {confirmed} confirmed; {self._peer.log()}")


def _measure(folder: Path, options: argparse.Namespace) -> list[Row]:
    dataset = data.load("small", options.scale)
    rows: list[Row] = []
    with (
        FastSink(max_pdu=131072) as sink,
        _Slow(options.slow_ms / 1000) as slow,
        Gantry("gantry-ledger", folder, GANTRY_SETTLE_QUIET_SECONDS="2") as peer,
    ):
        warm_memory(options.warm_mb)
        pair = _Pair(peer, options.limit)
        pair.fill(dataset.folder, {"dead": _dead_port(), "slow": slow.port, "healthy": sink.port})
        for number in range(options.rounds):
            for case in ("alone", "beside") if number % 2 == 0 else ("beside", "alone"):
                pair.sick_ones(busy=case == "beside")
                passes = [pair.once() for _ in range(options.passes)]
                rate = sum(count for count, _ in passes) / sum(seconds for _, seconds in passes)
                single = [round(count / seconds, 1) for count, seconds in passes]
                rows.append({"case": case, "round": number, "inst_s": round(rate, 1), "passes": single, **pair.counts()})
                note(f"{case} round {number}: {rate:.0f}/s, passes {single}")
    return rows


def main() -> None:
    """Both cases in turns, one JSON line."""
    end_cleanly()
    parser = argparse.ArgumentParser(description="Measure what a sick destination costs a healthy one.")
    parser.add_argument("--rounds", type=int, default=6)
    parser.add_argument("--passes", type=int, default=4)
    parser.add_argument("--scale", type=float, default=1.0)
    parser.add_argument("--slow-ms", type=float, default=200.0)
    parser.add_argument("--limit", type=float, default=180.0)
    parser.add_argument("--warm-mb", type=int, default=WARM_MB)
    options = parser.parse_args()
    with Workplace() as place:
        rows = _measure(place.fresh("isolation"), options)
    found = {case: [row["inst_s"] for row in rows if row["case"] == case] for case in ("alone", "beside")}
    pairs = [
        {"round": number, "alone": alone, "beside": beside, "loss": round(1 - beside / alone, 4)}
        for number, (alone, beside) in enumerate(zip(found["alone"], found["beside"], strict=True))
    ]
    loss = round(1 - median(found["beside"]) / median(found["alone"]), 4)
    report("isolation", options, loss=loss, by_round=pairs, runs=rows)


if __name__ == "__main__":
    main()
