"""A backup made under load restores into an empty home with everything it had; what is damaged, newer or in the way is refused."""

from __future__ import annotations

import dataclasses
import io
import json
import os
import shutil
import subprocess
import tarfile
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from gantry.config import Config
from gantry.main import backup_schedule
from tests.path.load import Load
from tests.support.gantry_process import GantryProcess


@pytest.fixture
def tiny_volume(tmp_path: Path) -> Iterator[Path]:
    place = tmp_path / "tiny"
    place.mkdir()
    if os.geteuid() != 0 or subprocess.run(["mount", "-t", "tmpfs", "-o", "size=96k", "none", place], check=False).returncode:
        pytest.skip("only root may mount a small volume")
    yield place
    subprocess.run(["umount", place], check=True)


def restored(gantry: GantryProcess, home: Path, *arguments: str, check: bool = True) -> Any:
    """`gantry restore` into another home."""
    done = dataclasses.replace(gantry, home=home).cli("restore", *arguments, "--json", check=check)
    return json.loads(done.stdout) if check else done


@pytest.mark.timeout(240)
def test_backed_up_under_load_and_restored(
    gantry_process: Callable[..., GantryProcess], tmp_path: Path, tiny_volume: Path
) -> None:
    gantry = gantry_process(settle_quiet_seconds=1, receivers=1)
    gantry.start()
    load = Load(gantry.dicom_port, senders=2, pause=0.005).start()
    gantry.until(lambda: len(load) > 100)
    target = tmp_path / "backups"
    target.mkdir()
    keys = tmp_path / "keys.tar"
    made = gantry.json("backup", str(target), "--verify", "--keys", str(keys))
    assert made["verified"] is True, made["differences"]
    assert made["tables"]["catalogue_version"]["rows"] > 0
    assert keys.stat().st_mode & 0o777 == 0o600
    load.stop()
    full = gantry.cli("backup", str(tiny_volume), check=False)
    assert full.returncode == 1
    assert list(tiny_volume.iterdir()) == [], "nothing half done stays"
    report = json.loads((gantry.home / "run/backup.json").read_text())
    assert report["last_failure"] >= report["last_success"]
    for _ in range(2):
        newest = gantry.json("backup", str(target), "--keep", "2")
    assert len(newest["removed"]) == 1
    gantry.stop()

    (folder, _) = sorted(target.glob("gantry-backup-*"))
    new = tmp_path / "new"
    done = restored(gantry, new, str(folder), "--keys", str(keys))
    assert (done["ok"], done["differences"], done["notes"]) == (True, [], [])
    shutil.copytree(gantry.home / "objects", new / "objects", dirs_exist_ok=True)
    again = dataclasses.replace(gantry, home=new)
    verified = again.cli("verify", "--json", check=False)
    assert json.loads(verified.stdout)["checked"] >= done["tables"]["catalogue_version"]["rows"], verified.stdout
    assert json.loads((new / "home.json").read_text())["id"] == json.loads((gantry.home / "home.json").read_text())["id"]
    acts = [entry["act"] for entry in again.json("audit", "list")]
    assert acts[0] == "backup.restore"

    occupied = restored(gantry, new, str(folder), check=False)
    assert occupied.returncode == 1
    assert "--replace" in occupied.stderr
    replaced = restored(gantry, new, str(folder), "--replace", "--yes")
    assert replaced["ok"]
    assert len(list(new.glob("postgres.before-restore-*"))) == 1, "the old index is put aside, not removed"

    manifest = json.loads((folder / "manifest.json").read_text())
    newer = dict(manifest, migrations=[*manifest["migrations"], "catalogue.9999_future"])
    (folder / "manifest.json").write_text(json.dumps(newer))
    refused = restored(gantry, tmp_path / "newer", str(folder), check=False)
    assert "catalogue.9999_future" in refused.stderr
    (folder / "manifest.json").write_text(json.dumps(manifest))
    with open(folder / "index.dump", "r+b") as file:
        file.seek(-100, os.SEEK_END)
        file.write(b"damage")
    refused = restored(gantry, tmp_path / "damaged", str(folder), check=False)
    assert "index.dump is damaged" in refused.stderr
    assert not (tmp_path / "damaged").exists()


@pytest.mark.parametrize("name", ["../outside", "/tmp/outside", "a/../../outside"])
def test_keys_only_go_where_keys_lie(name: str, tmp_path: Path) -> None:
    from gantry.main import restore
    from gantry.main.backup_manifest import BackupError
    from gantry.main.home import open_home

    home = open_home(tmp_path / "home")
    with tarfile.open(tmp_path / "keys.tar", "w") as archive:
        member = tarfile.TarInfo(name)
        member.size = 1
        archive.addfile(member, io.BytesIO(b"x"))
    with pytest.raises(BackupError):
        restore.read_keys(tmp_path / "keys.tar", home)
    (tmp_path / "noise").write_bytes(os.urandom(1000))
    with pytest.raises(BackupError, match="cannot be read"):
        restore.read_keys(tmp_path / "noise", home)


@pytest.mark.parametrize(
    ("now", "last", "expected"),
    [
        ("2026-03-01T03:00", {}, True),
        ("2026-03-01T03:00", {"last_success": "2026-03-01T01:40:00+00:00"}, False),
        ("2026-03-01T03:00", {"last_success": "2026-03-01T01:20:00+00:00"}, True),
        ("2026-03-01T01:00", {"last_success": "2026-02-28T02:00:00+00:00"}, False),
        ("2026-03-01T01:00", {"last_success": "2026-02-27T02:00:00+00:00"}, True),
        ("2026-03-01T03:00", {"last_failure": "2026-03-01T02:30:00+00:00"}, False),
        ("2026-03-01T03:00", {"last_failure": "2026-03-01T01:30:00+00:00"}, True),
        ("2026-03-01T03:00", {"last_success": "2030-01-01T00:00:00+00:00"}, True),
        ("2026-03-29T01:00", {"last_success": "2026-03-28T01:31:00+00:00"}, True),
        ("2026-03-01T03:00", {"last_success": "nonsense"}, True),
    ],
)
def test_when_the_daily_backup_is_due(now: str, last: dict[str, str], expected: bool) -> None:
    config = Config(backup_folder="/backups", backup_time="02:30", time_zone="Europe/Berlin")
    moment = datetime.fromisoformat(now).replace(tzinfo=UTC)
    assert backup_schedule.due(config, last, moment) is expected
    assert not backup_schedule.due(Config(), last, moment), "no folder, no backup"


def test_the_worker_makes_it(gantry_process: Callable[..., GantryProcess], tmp_path: Path) -> None:
    target = tmp_path / "daily"
    target.mkdir()
    gantry = gantry_process(receivers=1, backup_folder=str(target))
    gantry.start()
    gantry.until(lambda: list(target.glob("gantry-backup-*/manifest.json")), 60)
    gantry.stop()
