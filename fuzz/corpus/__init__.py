"""The kept inputs: NAME.hex, one input a line, hexadecimal; sorted, so that a change is easy to read."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from types import FrameType
from typing import Any

from fuzz.targets import load

#: Steps from line to line in the code under test are what counts as reached.
_COUNTED = ("/dimse/", "/gantry/dataset/")
_FOLDER = Path(__file__).parent


def read_corpus(target: str) -> list[bytes]:
    """The kept inputs of a target, and its seeds."""
    path = _FOLDER / f"{target}.hex"
    kept = [bytes.fromhex(line) for line in path.read_text().splitlines()] if path.exists() else []
    return list(dict.fromkeys([*kept, *load(target).seeds()]))


def write_corpus(target: str, inputs: list[bytes]) -> None:
    """Keep these and no others."""
    lines = sorted({data.hex() for data in inputs if data}, key=lambda line: (len(line), line))
    (_FOLDER / f"{target}.hex").write_text("".join(f"{line}\n" for line in lines))


def smallest(target: str, inputs: list[bytes]) -> list[bytes]:
    """A small set that takes every step that all of them take; short inputs go first."""
    one = load(target).one
    taken: set[tuple[str, int, int]] = set()
    kept = []
    for data in sorted(set(inputs), key=lambda item: (len(item), item)):
        steps = _steps(one, data)
        if not steps <= taken:
            taken |= steps
            kept.append(data)
    return kept


def _steps(one: Callable[[bytes], None], data: bytes) -> set[tuple[str, int, int]]:
    """(file, line, line after it) of a run."""
    steps: set[tuple[str, int, int]] = set()
    last: dict[FrameType, int] = {}

    def line(frame: FrameType, event: str, _: Any) -> Any:
        if event == "line":
            steps.add((frame.f_code.co_filename, last.get(frame, 0), frame.f_lineno))
            last[frame] = frame.f_lineno
        elif event == "return":
            last.pop(frame, None)
        return line

    def call(frame: FrameType, event: str, _: Any) -> Any:
        return line if any(part in frame.f_code.co_filename for part in _COUNTED) else None

    before = sys.gettrace()
    sys.settrace(call)
    try:
        one(data)
    finally:
        sys.settrace(before)
    return steps
