"""The list of studies: sorted by the heads of its columns, columns chosen, a range selected, its place found again."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

from tests.web.test_studies import rows


def head(page: Any, name: str) -> Any:
    return page.get_by_role("columnheader", name=name, exact=True)


def test_a_head_sorts_by_click_and_key_and_the_address_keeps_it(page: Any) -> None:
    from playwright.sync_api import expect

    page.goto("/studies")
    expect(rows(page).nth(5)).to_be_visible()
    expect(head(page, "Date")).to_have_attribute("aria-sort", "none")
    head(page, "Date").get_by_role("button").click()
    expect(head(page, "Date")).to_have_attribute("aria-sort", "descending")
    assert "sort=date" in page.url
    head(page, "Name").get_by_role("button").focus()
    page.keyboard.press("Enter")
    expect(head(page, "Name")).to_have_attribute("aria-sort", "ascending")
    expect(head(page, "Date")).to_have_attribute("aria-sort", "none")
    page.keyboard.press("Space")
    expect(head(page, "Name")).to_have_attribute("aria-sort", "descending")
    assert "sort=name" in page.url
    # A mark that turns the direction of reading sorts after all letters.
    last = re.compile("gnp[.]exe")
    expect(rows(page).first).to_contain_text(last)
    page.reload()
    expect(head(page, "Name")).to_have_attribute("aria-sort", "descending")
    expect(rows(page).first).to_contain_text(last)
    head(page, "Name").get_by_role("button").click()
    expect(head(page, "Name")).to_have_attribute("aria-sort", "ascending")
    expect(rows(page).first).not_to_contain_text(last)


def test_columns_are_chosen_and_remembered(page: Any) -> None:
    from playwright.sync_api import expect

    page.goto("/studies")
    expect(rows(page).nth(3)).to_be_visible()
    expect(head(page, "Size")).to_have_count(0)
    page.get_by_role("button", name="Columns").click()
    page.get_by_role("menuitemcheckbox", name="Size").click()
    page.get_by_role("menuitemcheckbox", name="Description").click()
    page.keyboard.press("Escape")
    expect(head(page, "Size")).to_be_visible()
    page.reload()
    expect(rows(page).first).to_contain_text(re.compile(r"[kKM]?B"))
    expect(head(page, "Description")).to_have_count(0)
    page.get_by_role("button", name="Columns").click()
    page.get_by_role("menuitem", name="Columns as they were").click()
    expect(head(page, "Description")).to_be_visible()
    expect(head(page, "Size")).to_have_count(0)


def test_shift_selects_from_the_last_one_to_this(page: Any) -> None:
    from playwright.sync_api import expect

    page.goto("/studies")
    boxes = rows(page).get_by_role("checkbox")
    expect(boxes.nth(5)).to_be_visible()
    boxes.nth(1).click()
    boxes.nth(4).click(modifiers=["Shift"])
    expect(page.get_by_text("4 selected").first).to_be_visible()
    rows(page).nth(4).focus()
    page.keyboard.press("Shift+ArrowDown")
    expect(page.get_by_text("5 selected").first).to_be_visible()
    page.get_by_role("button", name="Select none").click()
    expect(page.get_by_text("5 selected")).to_have_count(0)


def test_back_finds_the_place_again(page_as: Callable[..., Any]) -> None:
    from playwright.sync_api import expect

    page = page_as("administrator", viewport={"width": 1280, "height": 420})
    page.goto("/studies?sort=date")
    expect(rows(page).nth(3)).to_be_visible()
    rows(page).first.focus()
    page.keyboard.press("End")
    focused = page.locator("[data-index]:focus")
    expect(focused).to_have_count(1)
    index = focused.get_attribute("data-index")
    assert int(index) >= 6
    top = "document.querySelector('[role=grid]').parentElement.scrollTop"
    assert page.evaluate(top) > 0
    page.keyboard.press("Enter")
    page.wait_for_url(re.compile(r"/studies/[0-9.]+"))
    expect(page.get_by_role("heading", level=1)).to_be_visible()
    page.go_back()
    expect(page.locator(f"[data-index='{index}'][tabindex='0']")).to_be_in_viewport()
    assert page.evaluate(top) > 0
    # A link to the list is no way back: it begins at the top.
    page.get_by_role("link", name="Studies", exact=True).first.click()
    expect(rows(page).first).to_be_visible()
    expect(page.locator("[data-index='0'][tabindex='0']")).to_be_visible()
