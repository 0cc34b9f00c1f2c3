"""The quarantine in the browser: see why, read the header, repair, discard."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import expect

from tests.support import part10_files
from tests.support.gantry_process import GantryProcess

NAME = "Held^<b>Anna</b>"

expect.set_options(timeout=30_000)  # on a busy machine


@pytest.fixture
def held(gantry: GantryProcess, tmp_path: Path) -> None:
    """Two objects that do not say to which study they belong."""
    for number in (1, 2):
        dataset = part10_files.ct_dataset(number=number, study="", series=f"{part10_files.ROOT}.99.{number}", patient_name=NAME)
        instance = f"{part10_files.ROOT}.99.{number}.{number}"
        content = part10_files.part10(dataset, sop_class=part10_files.CT_IMAGE_STORAGE, instance=instance)
        (tmp_path / f"{number}.dcm").write_bytes(content)
        gantry.cli("import", str(tmp_path / f"{number}.dcm"), check=False)


def test_why_and_repair_and_discard(page: Any, held: None) -> None:
    page.goto("/quarantine")
    rows = page.get_by_role("row").filter(has_text="Study UID missing")
    expect(rows).to_have_count(2)
    rows.first.click()
    detail = page.get_by_role("complementary", name="Held object")
    expect(detail).to_contain_text("does not say to which study it belongs")
    expect(detail).to_contain_text("Set the Study Instance UID".lower()[4:], ignore_case=True)
    expect(detail.get_by_role("row").filter(has_text="PatientName")).to_contain_text(NAME)
    detail.get_by_role("button", name="Repair and accept").click()
    form = page.get_by_role("dialog")
    submit = form.get_by_role("button", name="Repair and accept")
    expect(submit).to_be_disabled()
    form.get_by_label("StudyInstanceUID", exact=True).fill("1.2.x")
    expect(form.get_by_text("Digits and dots").first).to_be_visible()
    form.get_by_label("StudyInstanceUID: Make a new UID").click()
    submit.click()
    expect(page.get_by_text("It was repaired and accepted").first).to_be_visible()
    expect(rows).to_have_count(1)
    rows.first.get_by_role("checkbox").click()
    page.get_by_role("button", name="Discard").click()
    page.get_by_role("dialog").get_by_label("Reason").fill("a test")
    page.get_by_role("dialog").get_by_role("button", name="Discard").click()
    expect(page.get_by_text("1 object was discarded").first).to_be_visible()
    expect(page.get_by_text("Nothing is held back").first).to_be_visible()
    page.goto("/quarantine?state=accepted")
    expect(page.get_by_role("row").filter(has_text="Repaired and accepted")).to_have_count(1)
