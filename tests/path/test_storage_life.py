"""Storage life as an administrator meets it: volumes filling up under kill -9, the wrong study, a damaged file, by commands."""

from __future__ import annotations

import itertools
import json
import os
import subprocess
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from gantry.nodes.address import DimseAddress
from gantry.nodes.items import SendTarget
from gantry.transfers.send_paths import send_paths
from tests.gantry.intake.qrscp import dcmqrscp
from tests.path.index import assert_nothing_lost, damaged_files, indexed, query
from tests.path.load import Load
from tests.support.gantry_process import GantryProcess
from tests.support.part10_files import ROOT, write_series

STUDY = f"{ROOT}.1"


@pytest.fixture
def small(tmp_path: Path) -> Iterator[Path]:
    """A volume of 3 MB."""
    place = tmp_path / "small"
    place.mkdir()
    if os.geteuid() != 0:
        pytest.skip("mounting a volume needs root")
    done = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=3m", "gantry-test", place], capture_output=True, check=False)
    if done.returncode != 0:
        pytest.skip(f"this machine mounts nothing: {done.stderr.decode().strip()}")
    try:
        yield place
    finally:
        subprocess.run(["umount", "-l", place], check=True)


def anew(gantry: GantryProcess, gone: int) -> bool:
    """The supervisor has started another indexer."""
    with suppress(OSError, ValueError):  # its file is being written
        pid = gantry.pid("indexer")
        return pid != gone and Path(f"/proc/{pid}").exists()
    return False


def test_one_volume_of_two_is_full_and_the_indexer_is_killed(
    gantry_process: Callable[..., GantryProcess], small: Path, tmp_path: Path
) -> None:
    gantry = gantry_process()
    gantry.start()
    (tmp_path / "large").mkdir()
    gantry.cli("storage", "add-volume", "small", str(small))
    gantry.cli("storage", "add-volume", "large", str(tmp_path / "large"))
    gantry.cli("storage", "set", "home", "--state", "readonly")
    numbers = itertools.count(1)

    def away_from_home() -> bool:
        """The indexer has looked at the table of volumes, as it does every five seconds: what is sent now goes there."""
        study = f"{ROOT}.4.{next(numbers)}"
        probe = write_series(tmp_path / study, 1, study=study, series=f"{study}.1")
        send_paths(probe, SendTarget(DimseAddress("GANTRY", "127.0.0.1", gantry.dicom_port), "CT1"), lambda outcome: None)
        gantry.until(lambda: place_of(study))
        return place_of(study)[0][0].startswith("volumes/")

    def place_of(study: str) -> list[tuple[str]]:
        return query(gantry, "SELECT file_path FROM catalogue_version WHERE file_path LIKE %s", f"%/{study}/%")

    gantry.until(away_from_home, 60)
    load = Load(gantry.dicom_port, side=200).start()  # 80 KB records, and files of 320 KB: the small volume is full soon
    for wanted in (12, 40):
        gantry.until(lambda wanted=wanted: len(load) >= wanted, 60)
        gone = gantry.kill("indexer")
        gantry.until(lambda gone=gone: anew(gantry, gone), 60)
    gantry.until(lambda: len(load) >= 80, 60)
    load.stop()
    assert_nothing_lost(gantry, load.acknowledged, 90)
    assert not load.refused, "one volume of two is full: receiving goes on"
    assert damaged_files(gantry) == []
    statement = "SELECT split_part(file_path, '/', 1) FROM catalogue_version JOIN catalogue_instance i ON i.id = instance_id WHERE i.sop_instance_uid = ANY(%s)"
    places = {row[0] for row in query(gantry, statement, list(load.acknowledged))}
    assert places == {"volumes"}
    volumes = {one["name"]: one for one in gantry.json("storage", "volumes")}
    assert min(volumes[name]["used_bytes"] for name in ("small", "large")) > 0
    assert gantry.json("verify", "--mend", "--yes", "--grace", "0")["ok"]


def test_the_wrong_study_and_a_damaged_file(gantry_process: Callable[..., GantryProcess], tmp_path: Path) -> None:
    """Deleted over REST, restored by command; damaged on disk, fetched again by C-MOVE as the node offers no C-GET."""
    gantry = gantry_process()
    files = write_series(tmp_path / "series", 4, side=160)
    gantry.start()
    send_paths(files, SendTarget(DimseAddress("GANTRY", "127.0.0.1", gantry.dicom_port), "CT1"), lambda outcome: None)
    gantry.until(lambda: len(indexed(gantry)) == 4, 60)
    token = json.loads(gantry.cli("token", "create", "--json").stdout)["token"]

    def call(method: str, path: str) -> tuple[int, dict[str, object]]:
        request = urllib.request.Request(
            f"{gantry.base_url}/api/v1{path}", method=method, headers={"Authorization": f"Bearer {token}"}
        )
        with urllib.request.urlopen(request, timeout=30) as answer:
            return answer.status, json.loads(answer.read() or b"{}")

    status, gone = call("DELETE", f"/studies/{STUDY}?reason=wrong")
    assert (status, gone["instance_count"]) == (202, 4)
    assert call("GET", "/studies")[1]["items"] == []
    assert [one["reason"] for one in gantry.json("trash")] == ["wrong"]
    gantry.cli("studies", "restore", STUDY)
    assert [one["instance_count"] for one in gantry.json("studies")] == [4]
    path = query(gantry, "SELECT file_path FROM catalogue_version ORDER BY id LIMIT 1")[0][0]
    with open(gantry.home / path, "r+b") as file:
        file.seek(-3, os.SEEK_END)
        file.write(b"xyz")
    with dcmqrscp(tmp_path / "peer", files, move_port=gantry.dicom_port, options=["--disable-get"]) as target:
        gantry.cli("node", "add", "archive", f"SOURCE@127.0.0.1:{target.address.port}")
        done = gantry.json("storage", "scrub", "--now")
    assert (done["status"]["mended"], done["findings"]) == (1, [])
    assert damaged_files(gantry) == []
    assert gantry.json("verify")["ok"]
