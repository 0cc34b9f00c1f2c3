"""Names of files in the incoming folder of a slot: they sort by arrival and say how to check the bytes.

    <run>-<order>-<data set offset>-<SHA-256 of the data set>.dcm     complete
    <same>.json                                                       what is known about a file taken in
    <run>-<order>.part                                                being written, or given up
    <complete name>.damaged                                           complete by name, but its bytes are not

`order` counts arrivals and journal records of a run together; no clock is asked, so none can be wrong.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

_COMPLETE = re.compile(r"(\d{8})-(\d{12})-(\d{1,19})-([0-9a-f]{64})\.dcm", re.ASCII)


@dataclass(frozen=True, slots=True)
class IncomingName:
    """What the name of a complete file says."""

    run: int
    order: int
    dataset_offset: int
    sha256: bytes

    @classmethod
    def parse(cls, name: str) -> IncomingName | None:
        match = _COMPLETE.fullmatch(name)
        if not match:
            return None
        return cls(int(match[1]), int(match[2]), int(match[3]), bytes.fromhex(match[4]))


def part_name(run: int, order: int) -> str:
    return f"{run:08d}-{order:012d}.part"


def complete_name(run: int, order: int, dataset_offset: int, sha256: bytes) -> str:
    return f"{run:08d}-{order:012d}-{dataset_offset}-{sha256.hex()}.dcm"


def sidecar_name(complete: str) -> str:
    return f"{complete.removesuffix('.dcm')}.json"
