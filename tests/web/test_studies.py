"""Studies: found by the one box, corrected by chips, narrowed by facets, kept, sent, deleted and taken back; the study page."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from tests.support import part10_files
from tests.support.gantry_process import GantryProcess
from tests.web.stage import HOSTILE
from tests.web.test_dashboard import one_file

ROOT = f"{part10_files.ROOT}.89"


def rows(page: Any) -> Any:
    return page.get_by_role("row").filter(has=page.get_by_role("gridcell"))


def study(stage: Any, folder: Path, number: int, name: str) -> str:
    """A study of its own, indexed."""
    uid = f"{ROOT}.{number}"
    stage.gantry.cli("import", one_file(folder, uid, name))
    stage.gantry.until(lambda: any(one["study_instance_uid"] == uid for one in stage.gantry.json("studies")), 30)
    return uid


def delivered(stage: Any, uid: str) -> None:
    """Wait until all that was ordered of a study is confirmed."""

    def done() -> bool:
        found = stage.gantry.json("deliveries", "--study", uid)
        return bool(found) and all(row["status"] == "confirmed" for row in found)

    stage.gantry.until(done, 60)


def test_one_box_finds_corrects_and_narrows(page: Any, gantry: GantryProcess) -> None:
    from playwright.sync_api import expect

    mr = sum("MR" in one["modalities"] for one in gantry.json("studies"))  # other tests may have brought some
    page.goto("/studies")
    expect(rows(page).nth(5)).to_be_visible()
    page.keyboard.press("/")
    page.keyboard.type("jorg muller")
    expect(rows(page)).to_have_count(1)
    expect(rows(page)).to_contain_text("Müller, Jörg")
    assert "q=jorg" in page.url
    box = page.get_by_label(re.compile("Search studies"))
    box.fill("mr")
    chip = page.get_by_role("list", name="How the search was understood").get_by_role("button")
    expect(chip).to_have_count(1)
    expect(chip).to_contain_text("Modality")
    expect(rows(page)).to_have_count(mr)
    chip.click()
    page.get_by_role("menuitem", name="It is: Anywhere").click()
    expect(box).to_have_value("text:MR")
    page.get_by_role("button", name=re.compile("filters? away")).click()
    expect(page.get_by_text(re.compile(r"^[0-9]+ studies$")).first).to_be_visible()  # the menus are of all studies again
    page.get_by_role("button", name="Modality", exact=True).click()
    # The menu is of all studies once CT is in it too; before that its lines still move.
    expect(page.get_by_role("menuitemcheckbox", name=re.compile("^CT"))).to_be_visible()
    page.get_by_role("menuitemcheckbox", name=re.compile("^MR")).click()
    page.keyboard.press("Escape")
    expect(rows(page)).to_have_count(mr)
    assert "modality=MR" in page.url
    page.reload()
    expect(rows(page)).to_have_count(mr)
    box.focus()
    page.keyboard.press("ArrowDown")
    page.keyboard.press("Enter")
    page.wait_for_url(re.compile(r"/studies/[0-9.]+"))


def test_foreign_names_stay_text_and_in_their_place(page: Any) -> None:
    from playwright.sync_api import expect

    page.goto("/studies?q=id%3AHOSTILE")
    expect(rows(page)).to_have_count(len(HOSTILE))
    # A name has up to three groups, parted by equals signs (PS3.5 6.2.1): the rest of this one is another spelling.
    expect(page.get_by_text("<img src", exact=True).first).to_be_visible()
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    page.goto(f"/studies/{part10_files.ROOT}.77.1")
    expect(page.get_by_role("heading", level=1)).to_contain_text("<img src")
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")


def test_a_search_is_saved_and_found_again(page: Any) -> None:
    from playwright.sync_api import expect

    page.goto("/studies?q=today&modality=CT")
    page.get_by_role("button", name="Saved").click()
    page.get_by_role("button", name="Save this search").click()
    page.get_by_label("Name").fill("CT of today")
    page.get_by_role("button", name="Save", exact=True).click()
    page.goto("/studies")
    page.get_by_role("button", name="Saved").click()
    page.get_by_role("button", name="CT of today", exact=True).click()
    page.wait_for_url(re.compile("q=today"))
    page.get_by_role("button", name="Saved").click()
    page.get_by_role("button", name="Delete “CT of today”").click()
    expect(page.get_by_text("No saved searches yet.").first).to_be_visible()


def test_delete_is_undone(page: Any, stage: Any, tmp_path: Path) -> None:
    from playwright.sync_api import expect

    uid = study(stage, tmp_path, 1, "Kurz^Da")
    delivered(stage, uid)  # what is on its way is not deleted
    page.goto("/studies?q=kurz")
    rows(page).first.get_by_role("checkbox").click()
    page.get_by_role("button", name="Delete", exact=True).click()
    expect(page.get_by_text("No study fits").first).to_be_visible()
    page.get_by_role("button", name="Undo").click()
    expect(rows(page)).to_have_count(1)


def test_new_studies_are_told_not_pushed(page: Any, stage: Any, tmp_path: Path) -> None:
    from playwright.sync_api import expect

    page.goto("/studies")
    expect(rows(page).nth(3)).to_be_visible()
    expect(page.get_by_text("Live", exact=True).first).to_be_visible()
    study(stage, tmp_path, 2, "Neu^Angekommen")
    button = page.get_by_role("button", name=re.compile("new stud"))
    expect(button).to_be_visible(timeout=30_000)
    expect(page.get_by_text("Neu, Angekommen")).to_have_count(0)
    button.click()
    expect(page.get_by_text("Neu, Angekommen").first).to_be_visible()


@pytest.mark.usefixtures("gantry")
def test_the_study_page_tells_sends_and_says_goodbye(page: Any, stage: Any, tmp_path: Path) -> None:
    from playwright.sync_api import expect

    uid = study(stage, tmp_path, 3, "Weg^Bald")
    gantry: GantryProcess = stage.gantry
    delivered(stage, uid)
    page.goto(f"/studies/{uid}")
    expect(page.get_by_role("heading", level=1)).to_contain_text("Weg, Bald")
    expect(page.get_by_role("region", name="Destinations")).to_contain_text("1 of 1 confirmed")
    page.get_by_role("button", name="Send", exact=True).click()
    expect(page.get_by_text("Has it already (1)")).to_be_visible()
    expect(page.get_by_role("checkbox", name="Send again what was sent before")).to_be_checked()
    page.get_by_role("dialog").get_by_role("button", name="Send", exact=True).click()
    expect(page.get_by_text("on its way to ARCHIVE", exact=False).first).to_be_visible()
    expect(page.get_by_role("region", name="Destinations")).to_contain_text("1 of 1 confirmed", timeout=60_000)
    page.get_by_role("tab", name="Instances").click()
    page.get_by_role("row").filter(has=page.get_by_role("gridcell")).first.click(position={"x": 5, "y": 5})
    page.get_by_placeholder("Name, keyword, value or tag").fill("PatientName")
    expect(page.get_by_role("grid", name="Attributes").get_by_text("Weg^Bald", exact=True)).to_be_visible()
    page.get_by_role("tab", name="History").click()
    expect(page.get_by_text("administrator sent it", exact=False).first).to_be_visible()
    gantry.cli("studies", "delete", uid, "--reason", "test", "--yes")
    expect(page.get_by_text("This study is not here any more")).to_be_visible(timeout=30_000)
    page.complaints.clear()


def test_what_one_may_not_is_not_offered(page_as: Any) -> None:
    from playwright.sync_api import expect

    page = page_as("researcher")
    page.goto("/studies")
    expect(rows(page).nth(2)).to_contain_text("Hidden")
    expect(rows(page).first.get_by_role("checkbox")).to_have_count(0)
    expect(page.get_by_role("columnheader", name="Accession")).to_have_count(0)
    rows(page).first.click()
    expect(page.get_by_role("heading", level=1)).to_contain_text("Hidden")
    for name in ("Send", "More actions"):
        expect(page.get_by_role("button", name=name, exact=True)).to_have_count(0)
