"""Does receiving and indexing get slower while the catalogue grows? The same load at each size of the catalogue.

    python -m bench.slope [--instances 0,1000000,2500000,5000000] [--count 3000] [--associations 4] [--rounds 5]

The catalogue is filled as in `bench.find` (ten instances a study, straight into the tables); then each round sends new
small instances (10.9 KB) and waits until the last one is in the index. `inst_s` is to the last answer, `indexed_s` to the
last row. The ratio compares the medians with those of the smallest catalogue.
"""

from __future__ import annotations

import argparse
import os
import statistics
import time
from collections.abc import Callable
from typing import Any

from bench import data, fastscu
from bench.find import fill
from bench.machine import Outside, Workplace, end_cleanly, note, report, warm_memory
from bench.ours import Gantry


def _loaded(name: str, count: int) -> fastscu.Loaded:
    """A set of its own for every round: what was sent before would be a duplicate."""
    data.PLANS[name] = data.Plan(name, count, max(1, count // 200), data.MR, "MR", 64, 64, 1)
    return fastscu.Loaded(data.load(name))


def _round(gantry: Gantry, loaded: fastscu.Loaded, associations: int) -> dict[str, Any]:
    newest = gantry.newest()
    warm_memory(400)
    outside = Outside()
    begun = time.monotonic()
    with gantry.watch() as watch:
        sent = fastscu.send(gantry.address, loaded, associations=associations, called=gantry.called, limit=300)
        lag = gantry.wait_indexed(len(loaded.views), sent.last_at, after=newest)
    seconds = time.monotonic() - begun
    row = sent.row()
    return {
        "inst_s": row["inst_s"], "indexed_s": round(len(loaded.views) / seconds, 1), "index_lag_s": lag,
        "cpu_s_per_1000": round(watch.cpu / max(1, len(loaded.views)) * 1000, 3),
        "outside_cores": outside.cores(watch.cpu + sent.cpu_seconds), "errors": sent.errors[:3],
    }  # fmt: skip


def _calm(gantry: Gantry, seconds: float = 300.0) -> None:
    """Until nothing vacuums or analyses what was filled in: of a hospital's years that work is long done."""
    until = time.monotonic() + seconds
    quiet = 0
    while quiet < 3 and time.monotonic() < until:
        busy = gantry.query("SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'autovacuum worker'")[0][0]
        quiet = 0 if busy else quiet + 1
        time.sleep(1)


def main() -> None:
    """Grow, measure, one JSON line."""
    end_cleanly()
    parser = argparse.ArgumentParser(description="Measure receiving while the catalogue grows.")
    parser.add_argument("--instances", default="0,1000000,2500000,5000000", help="sizes, ascending, multiples of 500")
    parser.add_argument("--count", type=int, default=3000, help="instances of a round")
    parser.add_argument("--associations", type=int, default=4)
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    sizes = sorted(int(size) for size in options.instances.split(","))
    rows: list[dict[str, Any]] = []
    with Workplace() as place, Gantry("gantry", place.fresh("slope")) as gantry:
        assert gantry._connection is not None
        execute: Callable[[str, dict[str, int]], Any] = gantry._connection.execute
        execute("SET synchronous_commit = off", {})
        _round(gantry, _loaded("slope-warm", max(200, options.count // 5)), options.associations)
        there = 0
        for size in sizes:
            fill(execute, there, size // 10)
            there = max(there, size // 10)
            execute("CHECKPOINT", {})
            os.sync()
            _calm(gantry)
            for number in range(options.rounds):
                row = _round(gantry, _loaded(f"slope-{size}-{number}-{options.count}", options.count), options.associations)
                rows.append({"instances": size, "round": number, **row})
                note(f"slope {size} round {number}: {row['inst_s']}/s, indexed {row['indexed_s']}/s {row['errors'] or ''}")
    medians = [
        {
            "instances": size,
            **{key: statistics.median(row[key] for row in rows if row["instances"] == size) for key in ("inst_s", "indexed_s")},
        }
        for size in sizes
    ]
    first = medians[0]
    ratios = [
        {"instances": row["instances"], **{key: round(row[key] / first[key], 3) for key in ("inst_s", "indexed_s")}}
        for row in medians
    ]
    report("slope", options, medians=medians, ratios=ratios, runs=rows)


if __name__ == "__main__":
    main()
