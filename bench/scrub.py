"""What the scrubber costs receiving: C-STORE of the same CT set with the scrubber off, at its default pace, and unbridled.

    python -m bench.scrub [--rounds 3] [--scale 1.0] [--only off,paced,unbridled]

Each round starts a fresh instance for each case, stores the set once (so that there is something to compare), starts the
scrubber in a process of its own as the worker does, and stores a second set (same size, other UIDs). One JSON line.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from bench import data, fastscu, summary
from bench.machine import NOISY_CORES, REPOSITORY, WARM_MB, Outside, Workplace, end_cleanly, note, report, warm_memory
from bench.ours import Gantry, environment
from bench.peers import PeerError

CASES = ("off", "paced", "unbridled")
_CHECKED = "SELECT coalesce(sum(checked_bytes), 0)::bigint, coalesce(sum(passes), 0)::bigint FROM intake_scrub"


def scrub_for_ever(home: Path, *, unbridled: bool) -> None:
    """One pass after the other, until the process is ended."""
    from gantry.main import cli_context

    cli_context.choose_home(home)
    with cli_context.connected(create=False) as connection:
        from gantry.transfers.heal import scrub_home

        while True:
            scrub_home(connection, home, begin=True, unbridled=unbridled)


@contextmanager
def _scrubbing(peer: Gantry, case: str) -> Iterator[None]:
    if case == "off":
        yield
        return
    command = [sys.executable, "-m", "bench.scrub", "--child", str(peer.home), "--only", case]
    with open(peer.home.parent / "scrub.log", "wb") as log:
        child = subprocess.Popen(
            command, env=environment({"GANTRY_HOME": str(peer.home)}), stdout=log, stderr=log, cwd=REPOSITORY
        )
    try:
        peer.until_scrubbing()  # type: ignore[attr-defined]
        yield
        if child.poll() is not None:
            raise PeerError(f"the scrubber ended: {(peer.home.parent / 'scrub.log').read_text()[-300:]}")
    finally:
        child.terminate()
        child.wait(30)


class _Peer(Gantry):
    def until_scrubbing(self) -> None:
        """Wait until it has compared something."""
        import time

        until = time.monotonic() + 60
        while self.query(_CHECKED)[0][0] == 0:
            if time.monotonic() > until:
                raise PeerError("the scrubber does not begin")
            time.sleep(0.05)


def run(case: str, folder: Path, sets: tuple[fastscu.Loaded, fastscu.Loaded], options: argparse.Namespace) -> dict[str, Any]:
    """One case once."""
    first, second = sets
    try:
        # The worker's own scrubber stays off: this script runs it.
        with _Peer("gantry", folder, GANTRY_SCRUB_MB_PER_SECOND="0") as peer:
            filled = fastscu.send(peer.address, first, associations=options.associations, called=peer.called, limit=options.limit)
            peer.wait_indexed(len(first.views), filled.last_at)
            with _scrubbing(peer, case):
                before = peer.query(_CHECKED)[0]
                warm_memory(options.warm_mb)
                outside = Outside()
                with peer.watch() as watch:
                    sent = fastscu.send(
                        peer.address, second, associations=options.associations, called=peer.called, limit=options.limit
                    )
                    lag = peer.wait_indexed(len(first.views) + len(second.views), sent.last_at)
                after = peer.query(_CHECKED)[0]
            errors = [*filled.errors, *sent.errors]
            return {
                **sent.row(), "index_lag_s": lag, "cpu_s_per_1000": round(watch.cpu / max(1, sent.instances) * 1000, 3),
                "passes": after[1] - before[1], "outside_cores": outside.cores(watch.cpu + sent.cpu_seconds), "errors": errors[:5],
            }  # fmt: skip
    except (PeerError, OSError) as error:
        return {"errors": [f"{type(error).__name__}: {error}"[:600]]}


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Measure what the scrubber costs receiving.")
    parser.add_argument("--only", default=",".join(CASES))
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--scale", type=float, default=1.0, help="below 1: to try the script, not to measure")
    parser.add_argument("--associations", type=int, default=4)
    parser.add_argument("--limit", type=float, default=300.0, help="seconds one run may take")
    parser.add_argument("--warm-mb", type=int, default=WARM_MB)
    parser.add_argument("--child", default="", help=argparse.SUPPRESS)
    return parser.parse_args()


def main() -> None:
    """All cases in turns, one JSON line."""
    options = _arguments()
    if options.child:
        sys.path[:0] = [str(REPOSITORY / "src")]
        scrub_for_ever(Path(options.child), unbridled=options.only == "unbridled")
        return
    end_cleanly()
    cases = options.only.split(",")
    sets = fastscu.Loaded(data.load("small", options.scale)), fastscu.Loaded(data.load("ct", options.scale))
    rows: list[dict[str, Any]] = []
    with Workplace() as place:
        for number in range(options.rounds):
            for case in summary.in_turns(cases, number):
                folder = place.fresh(case)
                row = {"case": case, "round": number, **run(case, folder, sets, options)}
                row["noisy"] = row.get("outside_cores", 0.0) >= NOISY_CORES
                rows.append(row)
                place.drain(folder)
                note(f"round {number} {case}: {row.get('inst_s')}/s p50 {row.get('p50_ms')} ms {row['errors'] or ''}")
    report("scrub", options, medians=summary.medians(rows, ["case"], "inst_s"), runs=rows)


if __name__ == "__main__":
    main()
