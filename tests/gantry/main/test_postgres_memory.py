"""The share of the memory that the embedded PostgreSQL keeps for its pages."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from gantry.main.postgres_memory import available, shared_buffers


@pytest.mark.parametrize(
    ("memory", "setting"),
    [(2**29, "128MB"), (2**32, "512MB"), (2**33, "1024MB"), (2**40, "2048MB")],
    ids=["half a gigabyte", "four", "eight", "a terabyte"],
)
def test_an_eighth_within_bounds(memory: int, setting: str) -> None:
    assert shared_buffers(memory) == setting


def test_the_limit_of_a_container_counts(tmp_path: Path) -> None:
    machine = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    limit, none = tmp_path / "memory.max", tmp_path / "none"
    limit.write_text("1073741824\n")
    none.write_text("max\n")
    assert available([limit, none]) == min(2**30, machine)
    assert available([none, tmp_path / "missing"]) == machine
