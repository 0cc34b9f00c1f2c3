"""Rules in the browser: written as a sentence, tried on a dropped file, replayed, activated, rolled back; two editors."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import expect

from tests.support import part10_files
from tests.support.gantry_process import GantryProcess

expect.set_options(timeout=30_000)  # on a busy machine


@pytest.fixture(autouse=True)
def as_before(gantry: GantryProcess) -> Iterator[None]:
    """Only the stage's rule at the end, whatever a test did."""
    yield
    gantry.cli("rule", "draft", "--discard", "--yes", check=False)
    for rule in gantry.json("rule", "list"):
        if rule["name"] != "everything":
            gantry.cli("rule", "remove", rule["name"], "--yes")


def _choose(page: Any, label: str, text: str) -> None:
    page.get_by_label(label).last.fill(text)
    page.get_by_role("option", name=re.compile(f"^{text}")).first.click()


def test_a_rule_from_the_form_to_activation_and_back(page: Any, gantry: GantryProcess, tmp_path: Path) -> None:
    page.goto("/rules")
    page.get_by_role("row", name=re.compile("everything")).wait_for()
    page.get_by_role("link", name="New rule").click()
    page.get_by_label("Name").fill("ct-night")
    page.get_by_role("button", name="Condition").click()
    _choose(page, "Attribute", "Modality")
    page.get_by_label("Value").fill("CT, MR")
    page.get_by_label("To", exact=False).last.click()
    page.get_by_role("option", name=re.compile("ARCHIVE")).click()
    page.keyboard.press("Escape")
    page.get_by_text("Modality=CT,MR").first.wait_for()
    # What is wrong is marked where it is.
    page.get_by_label("Value").fill("(")
    page.get_by_label("Comparison").click()
    page.get_by_role("option", name="contains the pattern").click()
    page.get_by_text("is no regular expression").first.wait_for()
    # The same rule as text, and back.
    page.get_by_role("tab", name="Text").click()
    text = page.get_by_label("The rule as text")
    assert "ct-night" in text.input_value()
    text.fill(
        "name: ct-night\ntrigger: arrived\ndestinations: [ARCHIVE]\nconditions: ['Modality=CT and not StationName=X*']\npriority: 100\n"
    )
    page.get_by_role("tab", name="Form").click()
    page.get_by_text("Modality=CT and not StationName=X*").first.wait_for()
    page.get_by_role("button", name="Save into the draft").click()
    page.wait_for_url("**/rules?tab=draft")
    page.get_by_role("row", name=re.compile("ct-night.*goes to ARCHIVE · urgent")).wait_for()
    # Tried on a file, and replayed.
    dataset = part10_files.ct_dataset(study="1.2.3", series="1.2.3.1")
    path = tmp_path / "one.dcm"
    path.write_bytes(part10_files.part10(dataset, sop_class=part10_files.CT_IMAGE_STORAGE, instance="1.2.3.1.1"))
    page.get_by_role("link", name="Try", exact=True).click()
    page.locator("input[type=file]").set_input_files(path)
    page.get_by_text("Goes to ARCHIVE (1)").first.wait_for()
    page.get_by_role("article").filter(has_text="ct-night").get_by_text("Matches").wait_for()
    page.get_by_role("tab", name="Replay").click()
    page.get_by_role("button", name="Replay", exact=True).click()
    page.get_by_text(re.compile(r"would have gone")).first.wait_for()
    # Activated with what changes, and back.
    page.get_by_role("tab", name="Draft").click()
    page.get_by_role("button", name="Activate").click()
    dialog = page.get_by_role("dialog")
    dialog.get_by_text("ct-night").wait_for()
    dialog.get_by_role("button", name="Activate").click()
    dialog.wait_for(state="hidden")
    gantry.until(lambda: [rule["name"] for rule in gantry.json("rule", "list")] == ["everything", "ct-night"])
    page.get_by_role("tab", name="Versions").click()
    page.get_by_role("button", name=re.compile("Roll back to version")).first.click()
    dialog = page.get_by_role("dialog")
    dialog.get_by_text("removed").wait_for()
    dialog.get_by_role("button", name="Roll back").click()
    dialog.wait_for(state="hidden")
    gantry.until(lambda: [rule["name"] for rule in gantry.json("rule", "list")] == ["everything"])


def _draft(gantry: GantryProcess) -> dict[str, Any]:
    found: dict[str, Any] = next(rule for rule in gantry.json("rule", "list", "--draft") if rule["name"] == "everything")
    return found


def test_two_people_at_one_rule_overwrite_nothing(page: Any, page_as: Callable[..., Any], gantry: GantryProcess) -> None:
    gantry.cli("rule", "draft")
    other = page_as("administrator")
    for one, priority in ((page, "7"), (other, "3")):
        one.goto("/rules/edit/everything")
        one.get_by_label("Priority").fill(priority)
        one.keyboard.press("Tab")
    other.get_by_role("switch", name="Hold").click()
    other.get_by_role("button", name="Save into the draft").click()
    other.wait_for_url("**/rules?tab=draft")
    save = page.get_by_role("button", name="Save into the draft")
    save.click()
    dialog = page.get_by_role("dialog")
    expect(dialog).to_contain_text("administrator changed this rule")
    expect(dialog.get_by_role("row", name=re.compile("Held"))).to_contain_text("Yes")
    together = dialog.get_by_role("button", name="Save both together")
    expect(together).to_be_disabled()
    # Going on is no answer: nothing is written, and saving asks again.
    dialog.get_by_role("button", name="Go on editing").click()
    expect(dialog).to_have_count(0)
    expect(page.get_by_label("Priority")).to_have_value("7")
    expect(page.get_by_role("button", name="Compare")).to_be_visible()
    assert (_draft(gantry)["priority"], _draft(gantry)["hold"]) == (3, True)
    save.click()
    dialog.get_by_role("radio", name="Priority: Yours").check()
    together.click()
    page.wait_for_url("**/rules?tab=draft")
    assert (_draft(gantry)["priority"], _draft(gantry)["hold"]) == (7, True)


def test_a_draft_that_was_activated_meanwhile_is_no_way_around(page: Any, gantry: GantryProcess) -> None:
    gantry.cli("rule", "draft")
    page.goto("/rules/edit/everything")
    page.get_by_label("Priority").fill("9")
    page.keyboard.press("Tab")
    try:
        gantry.cli("rule", "change", "everything", "--draft", "--priority", "5")
        gantry.cli("rule", "activate", "--yes")
        page.get_by_role("button", name="Save into the draft").click()
        dialog = page.get_by_role("dialog")
        expect(dialog.get_by_role("row", name=re.compile("Priority"))).to_contain_text("5")
        dialog.get_by_role("button", name="Drop mine").click()
        expect(dialog).to_have_count(0)
        expect(page.get_by_label("Priority")).to_have_value("5")
        assert _draft(gantry)["priority"] == 5
    finally:
        gantry.cli("rule", "draft", "--discard", "--yes", check=False)
        gantry.cli("rule", "change", "everything", "--priority", "0")


def test_leaving_with_changes_asks_and_other_rules_do_not_clash(page: Any, gantry: GantryProcess) -> None:
    gantry.cli("rule", "add", "second", "--to", "ARCHIVE")
    gantry.cli("rule", "draft")
    page.goto("/rules/edit/second")
    page.get_by_label("Priority").fill("9")
    page.keyboard.press("Tab")
    page.get_by_role("link", name="Cancel").click()
    page.get_by_role("dialog").get_by_role("button", name="Cancel").click()
    gantry.cli("rule", "change", "everything", "--draft", "--priority", "3")
    page.get_by_role("button", name="Save into the draft").click()
    page.wait_for_url("**/rules?tab=draft")
    draft = {rule["name"]: rule["priority"] for rule in gantry.json("rule", "list", "--draft")}
    assert draft == {"everything": 3, "second": 9}
