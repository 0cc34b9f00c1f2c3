"""Runs the fuzz targets with atheris and keeps what widens coverage: python -m fuzz.run [TARGET ...]

The corpus of a target is fuzz/corpus/NAME.hex, one input a line, the smallest set that reaches all that was
reached. A finding ends the run with its input in fuzz/findings/ and exit status 1. Needs atheris, which is in
no lock file: pip install atheris.
"""

from __future__ import annotations

import argparse
import importlib.util
import os
import re
import shutil
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

from fuzz.corpus import read_corpus, smallest, write_corpus
from fuzz.targets import NAMES

FINDINGS = Path(__file__).parent / "findings"
MEMORY_MB = 512
LONGEST_INPUT = 4096
SECONDS_FOR_ONE_INPUT = 5
_DONE = re.compile(rb"Done (\d+) runs in (\d+) second")
_AT = re.compile(rb"#(\d+)\s")


@dataclass(frozen=True, slots=True)
class Result:
    """What a run of one target came to."""

    target: str
    runs: int
    kept: int
    finding: bool


def run(target: str, *, seconds: int, runs: int) -> Result:
    """Fuzz one target; its corpus is minimised afterwards."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        corpus = folder / "corpus"
        corpus.mkdir()
        for number, data in enumerate(read_corpus(target)):
            (corpus / f"{number:05d}").write_bytes(data)
        limits = [f"-max_total_time={seconds}"] if seconds else []
        limits += [f"-runs={runs}"] if runs else []
        process = _atheris(target, folder, [*limits, str(corpus)])
        done = _DONE.search(process.stderr)
        seen = [int(number) for number in _AT.findall(process.stderr)]
        count = int(done[1]) if done else max(seen, default=0)
        if process.returncode:
            _keep_finding(target, folder, process.stderr)
            return Result(target, count, 0, finding=True)
        kept = smallest(target, [path.read_bytes() for path in corpus.iterdir()])
        write_corpus(target, kept)
        return Result(target, count, len(kept), finding=False)


def _atheris(target: str, folder: Path, arguments: list[str]) -> subprocess.CompletedProcess[bytes]:
    options = [
        f"-rss_limit_mb={MEMORY_MB}",
        f"-max_len={LONGEST_INPUT}",
        f"-timeout={SECONDS_FOR_ONE_INPUT}",
        f"-artifact_prefix={folder}/finding-",
        "-verbosity=1",
    ]
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(["src", ".", os.environ.get("PYTHONPATH", "")])}
    command = [sys.executable, "-m", "fuzz.one", target, *options, *arguments]
    return subprocess.run(command, stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, check=False, env=environment)


def _keep_finding(target: str, folder: Path, says: bytes) -> None:
    FINDINGS.mkdir(exist_ok=True)
    for path in folder.glob("finding-*"):
        shutil.move(path, FINDINGS / f"{target}-{path.name.removeprefix('finding-')}")
    sys.stderr.write(says[-6000:].decode("utf-8", "replace"))


def main() -> int:
    """Run what is asked for; the exit status is 1 after a finding."""
    parser = argparse.ArgumentParser(prog="python -m fuzz.run", description=__doc__)
    parser.add_argument("targets", nargs="*", metavar="TARGET", help=f"which: {', '.join(NAMES)}; without, all")
    parser.add_argument("--seconds", type=int, default=30, help="for each target; 0: without limit")
    parser.add_argument("--runs", type=int, default=0, help="for each target; 0: without limit")
    arguments = parser.parse_args()
    if unknown := [name for name in arguments.targets if name not in NAMES]:
        parser.error(f"there is no target {unknown[0]}; there are {', '.join(NAMES)}")
    if importlib.util.find_spec("atheris") is None:
        sys.stderr.write("atheris is not installed here: pip install atheris (wheels for CPython 3.11 to 3.13)\n")
        return 2
    results = []
    for target in arguments.targets or NAMES:
        result = run(target, seconds=arguments.seconds, runs=arguments.runs)
        results.append(result)
        says = "FINDING, see fuzz/findings" if result.finding else f"{result.kept} inputs kept"
        sys.stdout.write(f"{target:14} {result.runs:>12,} runs   {says}\n")
        sys.stdout.flush()
    sys.stdout.write(f"{'total':14} {sum(result.runs for result in results):>12,} runs\n")
    return 1 if any(result.finding for result in results) else 0


if __name__ == "__main__":
    sys.exit(main())
