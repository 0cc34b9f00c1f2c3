"""Videos in the viewer: played as they are stored, or said that this browser cannot."""

from __future__ import annotations

from pathlib import Path

import pydicom
import pytest
from playwright.sync_api import Page, expect
from pydicom.encaps import encapsulate

from tests.web.stage import Stage, until

VIDEO = Path(__file__).parent / "data" / "video-h264.dcm"
pytestmark = pytest.mark.timeout(120)


def test_a_video_plays(stage: Stage, page: Page) -> None:
    study = str(pydicom.dcmread(VIDEO, specific_tags=["StudyInstanceUID"]).StudyInstanceUID)
    stage.gantry.cli("import", str(VIDEO))
    stage.gantry.until(lambda: study in stage.gantry.cli("studies", "--json").stdout, 60)
    page.goto(f"/studies/{study}/view")
    expect(page.locator("[data-part=video] video")).to_be_visible(timeout=30_000)
    until(page, "document.querySelector('video').videoWidth === 160")
    page.locator("video").evaluate("video => { video.muted = true; return video.play() }")
    until(page, "document.querySelector('video').currentTime > 0.5")


def test_a_video_that_cannot_be_played_is_said_and_offered(stage: Stage, page: Page, tmp_path: Path) -> None:
    broken = pydicom.dcmread(VIDEO)
    broken.PixelData = encapsulate([b"no film" * 100])
    for name in ("StudyInstanceUID", "SeriesInstanceUID", "SOPInstanceUID"):
        setattr(broken, name, f"{getattr(broken, name)[:50]}.7")
    broken.file_meta.MediaStorageSOPInstanceUID = broken.SOPInstanceUID
    broken.save_as(tmp_path / "broken.dcm")
    stage.gantry.cli("import", str(tmp_path / "broken.dcm"))
    stage.gantry.until(lambda: broken.StudyInstanceUID in stage.gantry.cli("studies", "--json").stdout, 60)
    page.goto(f"/studies/{broken.StudyInstanceUID}/view")
    expect(page.get_by_text("This browser cannot play the video")).to_be_visible(timeout=30_000)
    expect(page.get_by_role("link", name="Download")).to_have_attribute("href", f"/api/v1/instances/{broken.SOPInstanceUID}/file")
