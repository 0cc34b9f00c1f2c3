"""The volume is full: A700, nothing half-written, and it goes on without a restart when space returns."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from gantry.main import home as homes
from gantry.main import postgres
from tests.path.index import assert_nothing_lost
from tests.path.load import Load
from tests.support.gantry_process import GantryProcess


@pytest.fixture
def small_volume(tmp_path: Path) -> Iterator[Path]:
    if os.geteuid() != 0:
        pytest.skip("only root may mount a small volume")
    folder = tmp_path / "volume"
    folder.mkdir()
    done = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=96m", "tmpfs", str(folder)], capture_output=True, text=True, check=False
    )
    if done.returncode:
        if os.environ.get("GANTRY_CI") == "1":
            pytest.fail(f"no small volume: {done.stderr}")
        pytest.skip(f"no small volume: {done.stderr.strip()}")
    yield folder
    subprocess.run(["umount", "-l", str(folder)], check=True)


@pytest.mark.timeout(180)
def test_a_full_volume_refuses_and_recovers(
    gantry_process: Callable[..., GantryProcess], small_volume: Path, tmp_path: Path
) -> None:
    elsewhere = homes.open_home(tmp_path / "database")
    server = postgres.Postgres(elsewhere)
    server.start(die_with_parent=True)
    gantry = gantry_process(
        home=small_volume / "home", database_url=postgres.url(elsewhere), disk_reserve_mb=24, receivers=1, settle_quiet_seconds=1
    )
    gantry.start()
    ballast = small_volume / "ballast"
    load = Load(gantry.dicom_port, senders=2, pause=0.002).start()
    try:
        gantry.until(lambda: len(load) > 20)
        _fill(ballast, small_volume)
        gantry.until(lambda: load.refused.get(0xA700, 0) > 5, 60)
        stopped_at = len(load)
        ballast.unlink()
        gantry.until(lambda: len(load) > stopped_at + 20, 60)
        load.stop()
        assert set(load.refused) == {0xA700}
        assert_nothing_lost(gantry, load.acknowledged)
        gantry.until(lambda: not list((gantry.home / "spool").rglob("*.part")), 60)
    finally:
        load.stop()
        gantry.stop()
        server.stop()


def _fill(path: Path, volume: Path) -> None:
    # Unbuffered, and full is what is wanted: the receiver writes at the same time.
    with open(path, "wb", buffering=0) as file, suppress(OSError):
        while os.statvfs(volume).f_bavail * os.statvfs(volume).f_frsize > 1 << 20:
            file.write(bytes(1 << 20))
            file.flush()
