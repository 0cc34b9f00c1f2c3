"""Everything, one script after the other, into results/latest.json and the tables of README.md.

    python -m bench [--only receive,forward,...] [--rounds 3] [--try]

`--try` runs everything at a hundredth of the size into results/try.json and leaves README.md alone: it shows
that the scripts work, its numbers mean nothing.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from bench import table
from bench.machine import REPOSITORY, end_cleanly, note

SCRIPTS = (
    "receive", "forward", "retrieve", "find", "stack", "nagle", "startup",
    "rules", "isolation", "slope", "scrub", "access", "dicomweb", "viewer", "scroll",
)  # fmt: skip
RESULTS = Path(__file__).parent / "results"
_TRY = {
    "receive": ["--scale", "0.01", "--warm-mb", "16"],
    "forward": ["--scale", "0.01", "--warm-mb", "16", "--digests"],
    "retrieve": ["--scale", "0.01", "--warm-mb", "16"],
    "find": ["--studies", "1000", "--askers", "1", "--seconds", "0.3"],
    "stack": ["--seconds", "0.2"],
    "nagle": ["--instances", "10", "--warm-mb", "16"],
    "startup": ["--cold-rounds", "0"],
    "rules": ["--try"],
    "isolation": ["--scale", "0.02", "--warm-mb", "16"],
    "slope": ["--instances", "5000", "--count", "100"],
    "scrub": ["--scale", "0.01", "--warm-mb", "16"],
    "access": ["--try"],
    "dicomweb": ["--try"],
    "viewer": ["--try"],
    "scroll": ["--try"],
}


def _run(name: str, rounds: int, extra: list[str], work: str) -> dict[str, Any] | None:
    """One script in a process of its own, so that the memory it holds is given back."""
    command = [sys.executable, "-m", f"bench.{name}", "--rounds", str(rounds), *extra]
    environment = {**os.environ, "BENCH_WORK": work}
    script = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=REPOSITORY, env=environment)
    try:
        output, _ = script.communicate()
    except BaseException:
        script.terminate()  # it stops its servers; a kill would leave them
        script.wait(timeout=120)
        raise
    lines = output.strip().splitlines()
    if script.returncode != 0 or not lines:
        note(f"{name}: ended with {script.returncode} and no result")
        return None
    result: dict[str, Any] = json.loads(lines[-1])
    return result


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m bench", description="Measure Gantry and its peers.")
    parser.add_argument("--only", default=",".join(SCRIPTS))
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--try", dest="attempt", action="store_true", help="tiny sizes, one round")
    return parser.parse_args()


def main() -> None:
    """Run, write, render. Exit 1 when a script gave nothing."""
    options = _arguments()
    end_cleanly()
    path = RESULTS / ("try.json" if options.attempt else "latest.json")
    RESULTS.mkdir(exist_ok=True)
    found: dict[str, Any] = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
    missing = 0
    # One folder for all scripts, removed at the very end: see machine.Workplace.
    work = tempfile.mkdtemp(prefix="gb-")
    try:
        for name in options.only.split(","):
            begun = time.monotonic()
            rounds = 1 if options.attempt else options.rounds
            result = _run(name, rounds, _TRY[name] if options.attempt else [], work)
            note(f"{name}: {time.monotonic() - begun:.0f} s")
            if result is None:
                missing += 1
                continue
            found[name] = result
            path.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
    finally:
        shutil.rmtree(work, ignore_errors=True)
    if not options.attempt:
        table.update_readme(found)
    raise SystemExit(1 if missing else 0)


if __name__ == "__main__":
    main()
