"""Does receiving and indexing get slower while the catalogue grows? The same load at each size of the catalogue.

    python -m bench.slope [--instances 1000000,5000000] [--count 5000] [--associations 4] [--rounds 5]

Two instances run beside each other: `small` begins empty and gets only what is measured; the catalogue of `large` is filled
as in `bench.find` (ten instances a study, straight into the tables). Rounds send the same new small instances (10.9 KB) to
one and to the other in turns, so that the disk and the machine are the same for both, and wait until the last one is in
the index. `inst_s` is to the last answer, `indexed_s` to the last row. The ratio is large by small, by their medians.
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


def _grow(gantry: Gantry, there: int, studies: int) -> int:
    """Fill up to so many studies and wait until the machine is calm again; how many there are now."""
    assert gantry._connection is not None
    execute: Callable[[str, dict[str, int]], Any] = gantry._connection.execute
    execute("SET synchronous_commit = off", {})
    fill(execute, there, studies)
    execute("CHECKPOINT", {})
    os.sync()
    _calm(gantry)
    return max(there, studies)


def _medians(rows: list[dict[str, Any]], size: int, home: str) -> dict[str, float]:
    ours = [row for row in rows if row["instances"] == size and row["home"] == home]
    return {key: statistics.median(row[key] for row in ours) for key in ("inst_s", "indexed_s", "cpu_s_per_1000")}


def main() -> None:
    """Grow one, leave the other, measure both in turns; one JSON line."""
    end_cleanly()
    parser = argparse.ArgumentParser(description="Measure receiving while the catalogue grows.")
    parser.add_argument("--instances", default="1000000,5000000", help="sizes, ascending, multiples of 500")
    parser.add_argument("--count", type=int, default=5000, help="instances of a round")
    parser.add_argument("--associations", type=int, default=4)
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    sizes = sorted(int(size) for size in options.instances.split(","))
    rows: list[dict[str, Any]] = []
    with (
        Workplace() as place,
        Gantry("gantry", place.fresh("small")) as small,
        Gantry("gantry", place.fresh("large")) as large,
    ):
        homes = {"small": small, "large": large}
        for gantry in homes.values():
            _round(gantry, _loaded("slope-warm", max(200, options.count // 5)), options.associations)
        there = 0
        for size in sizes:
            there = _grow(large, there, size // 10)
            for number in range(options.rounds):
                loaded = _loaded(f"slope-{size}-{number}-{options.count}", options.count)
                for home in ("small", "large") if number % 2 == 0 else ("large", "small"):
                    row = _round(homes[home], loaded, options.associations)
                    rows.append({"instances": size, "home": home, "round": number, **row})
                    note(f"{home} {size} round {number}: {row['inst_s']}/s, indexed {row['indexed_s']}/s {row['errors'] or ''}")
    medians: list[dict[str, Any]] = [
        {"instances": size, "home": home, **_medians(rows, size, home)} for size in sizes for home in homes
    ]
    ratios = [
        {
            "instances": one["instances"],
            **{key: round(other[key] / one[key], 3) for key in ("inst_s", "indexed_s", "cpu_s_per_1000")},
        }
        for one, other in zip(medians[::2], medians[1::2], strict=True)
    ]
    report("slope", options, medians=medians, ratios=ratios, runs=rows)


if __name__ == "__main__":
    main()
