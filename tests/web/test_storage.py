"""Storage in the browser: volumes, retention with what it would remove, holds, the trash."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from playwright.sync_api import expect

from tests.support import part10_files
from tests.support.gantry_process import GantryProcess

expect.set_options(timeout=30_000)  # on a busy machine


def test_a_volume_is_added_and_drained(page: Any, tmp_path: Path) -> None:
    (tmp_path / "second").mkdir()
    page.goto("/storage")
    page.get_by_role("button", name="Add volume").click()
    form = page.get_by_role("dialog")
    form.get_by_label("Name").fill("second")
    form.get_by_label("Folder").fill(str(tmp_path / "missing"))
    form.get_by_label("Quota").fill("lots")
    expect(form.get_by_text("Write a number with a unit").first).to_be_visible()
    form.get_by_label("Quota").fill("2 TB")
    form.get_by_role("button", name="Add volume").click()
    expect(form.get_by_role("alert")).to_contain_text("cannot be added")
    form.get_by_label("Folder").fill(str(tmp_path / "second"))
    form.get_by_role("button", name="Add volume").click()
    card = page.get_by_role("region", name="second")
    expect(card).to_contain_text("0 B of 2 TB")
    card.get_by_label("Actions for second").click()
    page.get_by_role("menuitem", name="Stop writing").click()
    page.get_by_role("dialog").get_by_role("button", name="Stop writing").click()
    expect(card).to_contain_text("Read-only")
    card.get_by_label("Actions for second").click()
    page.get_by_role("menuitem", name="Forget").click()
    page.get_by_role("dialog").get_by_role("button", name="Forget").click()
    expect(card).to_have_count(0)


def test_a_retention_rule_says_what_it_would_remove(page: Any) -> None:
    page.goto("/storage?tab=retention")
    page.get_by_role("button", name="Add rule").click()
    form = page.get_by_role("dialog")
    form.get_by_label("Name").fill("ct-long")
    form.get_by_label("Modality").fill("CT")
    expect(form.get_by_role("status")).to_contain_text("nothing")
    form.get_by_role("button", name="Save").click()
    row = page.get_by_role("row").filter(has_text="ct-long")
    expect(row).to_contain_text("90 days after delivery")
    row.get_by_label("Remove: ct-long").click()
    page.get_by_role("dialog").get_by_role("button", name="Remove").click()
    expect(row).to_have_count(0)


def test_a_study_comes_back_out_of_the_trash(page: Any, gantry: GantryProcess, tmp_path: Path) -> None:
    study = f"{part10_files.ROOT}.88.1"
    (path,) = part10_files.write_series(tmp_path / "files", 1, study=study, series=f"{study}.1")
    gantry.cli("import", str(path))
    gantry.until(lambda: study in gantry.cli("studies", "--json").stdout, 60)
    deleting = ("studies", "delete", study, "--reason", "sent twice", "--yes")
    gantry.until(lambda: gantry.cli(*deleting, check=False).returncode == 0, 60)  # once its delivery has ended
    page.goto("/storage?tab=trash")
    row = page.get_by_role("row").filter(has_text=study)
    expect(row).to_contain_text(study)
    row.get_by_role("button", name="Take back").click()
    expect(page.get_by_text("1 study is back").first).to_be_visible()
    expect(row).to_have_count(0)
    page.goto("/storage?tab=holds")
    page.get_by_role("button", name="Place hold").first.click()
    form = page.get_by_role("dialog")
    form.get_by_label("Study Instance UID").fill(study)
    form.get_by_label("Case").fill("case 7")
    form.get_by_label("Reason").fill("court")
    form.get_by_role("button", name="Place hold").click()
    held = page.get_by_role("row").filter(has_text="case 7")
    expect(held).to_contain_text(study)
    held.get_by_role("button", name="Lift").click()
    page.get_by_role("dialog").get_by_label("Reason").fill("over")
    page.get_by_role("dialog").get_by_role("button", name="Lift").click()
    expect(page.get_by_text("The hold is lifted").first).to_be_visible()


def test_an_operator_sees_and_does_not_change(page_as: Callable[..., Any]) -> None:
    page = page_as("operator")
    page.goto("/storage")
    expect(page.get_by_role("region", name="home")).to_be_visible()
    expect(page.get_by_role("button", name="Add volume")).to_have_count(0)
    expect(page.get_by_label("Actions for home")).to_have_count(0)
