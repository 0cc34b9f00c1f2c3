"""A study as a ZIP: the browser knows how long it is, a real unzip takes it, and what breaks off is told as broken."""

from __future__ import annotations

import shutil
import subprocess
import urllib.request
from pathlib import Path
from typing import Any

from tests.support import part10_files
from tests.web.test_studies import delivered

UID = f"{part10_files.ROOT}.93.1"
FILES = 3


def stored(stage: Any, folder: Path) -> list[Path]:
    """A study of some files, indexed; where they lie."""
    for number in range(FILES):
        instance = f"{UID}.1.{number + 1}"
        dataset = part10_files.ct_dataset(
            number=number + 1, study=UID, series=f"{UID}.1", instance=instance, patient_id="ZIP-1", patient_name="Paket^Ganz"
        )
        content = part10_files.part10(dataset, sop_class=part10_files.CT_IMAGE_STORAGE, instance=instance)
        (folder / f"{number}.dcm").write_bytes(content)
    stage.gantry.cli("import", str(folder))

    def whole() -> bool:
        return any(one["study_instance_uid"] == UID and one["instance_count"] == FILES for one in stage.gantry.json("studies"))

    stage.gantry.until(whole, 60)
    delivered(stage, UID)  # nobody else reads the files then
    return sorted((stage.gantry.home / "objects").glob(f"*/{UID}/*/*.dcm"))


def test_a_download_is_whole_or_told_as_broken(page: Any, stage: Any, tmp_path: Path) -> None:
    folder = tmp_path / "in"
    folder.mkdir()
    files = stored(stage, folder)
    assert len(files) == FILES
    page.goto(f"/studies/{UID}")

    def download() -> Any:
        page.get_by_role("button", name="More actions").click()
        with page.expect_download() as coming:
            page.get_by_role("menuitem", name="Download").click()
        return coming.value

    whole = download()
    assert whole.failure() is None
    path = tmp_path / "whole.zip"
    whole.save_as(path)
    cookies = "; ".join(f"{one['name']}={one['value']}" for one in stage.cookies["administrator"])
    request = urllib.request.Request(f"{stage.url}/api/v1/studies/{UID}/archive", headers={"Cookie": cookies})
    with urllib.request.urlopen(request, timeout=30) as answer:
        assert int(answer.headers["Content-Length"]) == path.stat().st_size == len(answer.read())
    if unzip := shutil.which("unzip"):
        ran = subprocess.run([unzip, "-q", str(path), "-d", str(tmp_path / "out")], capture_output=True, check=False)
        assert (ran.returncode, ran.stderr) == (0, b"")
        assert {one.read_bytes() for one in (tmp_path / "out").rglob("*.dcm")} == {one.read_bytes() for one in files}
    away = tmp_path / "away.dcm"
    shutil.move(files[1], away)
    try:
        assert download().failure()
    finally:
        shutil.move(away, files[1])
