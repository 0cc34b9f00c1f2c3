"""From a clean clone to the demo's receipt, with a warm and with an empty package cache.

    python -m bench.startup [--rounds 3] [--cold-rounds 1]

Each round clones the last commit into a fresh folder, runs `make setup` and then `make demo ONCE=1`. With the
empty cache the packages come from the registry: that round measures the network too.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import time
from pathlib import Path
from typing import Any

from bench import summary
from bench.machine import REPOSITORY, Workplace, end_cleanly, note, report


def _environment(cache: Path | None) -> dict[str, str]:
    left_out = ("VIRTUAL_ENV", "PYTHONPATH", "PYTHONHOME", "MAKEFLAGS", "MAKELEVEL")
    clean = {key: value for key, value in os.environ.items() if key not in left_out and not key.startswith("GANTRY_")}
    virtual = os.environ.get("VIRTUAL_ENV")
    if virtual:  # the clone makes its own
        inside = os.path.join(virtual, "bin")
        clean["PATH"] = os.pathsep.join(part for part in clean["PATH"].split(os.pathsep) if part != inside)
    if cache is not None:
        clean |= {
            "UV_CACHE_DIR": str(cache / "uv"),
            "PIP_CACHE_DIR": str(cache / "pip"),
            "PIP_NO_CACHE_DIR": "0",
        }
    return clean


def _step(command: list[str], folder: Path, environment: dict[str, str], options: argparse.Namespace) -> float:
    begun = time.perf_counter()
    with (folder / "step.log").open("ab") as log:
        subprocess.run(
            command,
            cwd=folder,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            timeout=options.limit,
            check=True,
        )
    return time.perf_counter() - begun


def run(folder: Path, *, cold: bool, options: argparse.Namespace) -> dict[str, Any]:
    """One clone, one setup, one demo; seconds of each."""
    environment = _environment(folder / "cache" if cold else None)
    clone = folder / "gantry"
    try:
        cloned = _step(
            ["git", "clone", "--quiet", "--no-hardlinks", str(REPOSITORY), str(clone)],
            folder,
            environment,
            options,
        )
        setup = _step(["make", "setup"], clone, environment, options)
        demo = _step(["make", "demo", "ONCE=1"], clone, environment, options)
    except (OSError, subprocess.SubprocessError) as error:
        logs = [path for path in (clone / "step.log", folder / "step.log") if path.exists()]
        tail = logs[0].read_text(encoding="utf-8", errors="replace")[-600:] if logs else ""
        return {"errors": [f"{type(error).__name__}: {error} {tail}"]}
    total = cloned + setup + demo
    parts = {"clone_s": cloned, "setup_s": setup, "demo_s": demo, "total_s": total}
    return {**{name: round(seconds, 2) for name, seconds in parts.items()}, "errors": []}


def main() -> None:
    """Warm rounds, cold rounds, one JSON line."""
    end_cleanly()
    parser = argparse.ArgumentParser(description="Measure from a clean clone to the receipt.")
    parser.add_argument("--rounds", type=int, default=3, help="with the machine's package cache")
    parser.add_argument("--cold-rounds", type=int, default=1, help="with an empty cache: downloads everything")
    parser.add_argument("--limit", type=float, default=900.0, help="seconds one step may take")
    options = parser.parse_args()
    rows: list[dict[str, Any]] = []
    plan = [("cold", number) for number in range(options.cold_rounds)]
    plan += [("warm", number) for number in range(options.rounds)]
    with Workplace() as place:
        for cache, number in plan:
            row = run(place.fresh(f"clone-{cache}"), cold=cache == "cold", options=options)
            rows.append({"cache": cache, "round": number, **row})
            note(f"startup {cache} {number}: {row.get('total_s')} s {row['errors'] or ''}")
    report("startup", options, medians=summary.medians(rows, ["cache"], "total_s"), runs=rows)


if __name__ == "__main__":
    main()
