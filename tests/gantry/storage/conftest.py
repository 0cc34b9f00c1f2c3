"""Fixtures of the storage tests."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from gantry.storage import SpoolReader, SpoolWriter
from gantry.storage.spool_writer import Durability

OpenWriter = Callable[..., SpoolWriter]


@pytest.fixture
def home(tmp_path: Path) -> Path:
    return tmp_path / "home"


@pytest.fixture
def open_writer(home: Path) -> Iterator[OpenWriter]:
    """Opens writers in the home; all are closed at the end."""
    opened: list[SpoolWriter] = []

    def make(slot: str = "r0", durability: Durability = "disk", reserve: int = 0, at: Path | None = None) -> SpoolWriter:
        writer = SpoolWriter(at or home, slot, durability=durability, reserve_bytes=reserve)
        writer.open()
        opened.append(writer)
        return writer

    yield make
    for writer in opened:
        writer.close()


@pytest.fixture
def reader(home: Path) -> Iterator[SpoolReader]:
    home.mkdir(exist_ok=True)
    with SpoolReader(home) as reader:
        yield reader


@pytest.fixture
def small_volume(tmp_path: Path) -> Iterator[Path]:
    """A volume of 12 MB of its own (tmpfs, which refuses O_DIRECT, too)."""
    place = tmp_path / "volume"
    place.mkdir()
    if os.geteuid() != 0:
        pytest.skip("mounting a volume needs root")
    done = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=12m", "gantry-test", place], capture_output=True, check=False)
    if done.returncode != 0:
        pytest.skip(f"this machine mounts nothing: {done.stderr.decode().strip()}")
    try:
        yield place
    finally:
        subprocess.run(["umount", "-l", place], check=True)
