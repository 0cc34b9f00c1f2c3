"""Settings in the browser: the one file with its errors and changes, the list, the API reference."""

from __future__ import annotations

import re
from typing import Any

from playwright.sync_api import expect

expect.set_options(timeout=30_000)  # on a busy machine


def test_the_one_file_is_checked_and_applied(page: Any, gantry: Any) -> None:
    page.goto("/settings")
    text = page.get_by_label("The set-up as YAML")
    expect(text).to_have_value(re.compile("gantry: 1"))
    before = text.input_value()
    # It is looked at while it is written.
    text.fill("gantry: 1\nretention:\n  - name: from-file\n    dayz: 5\n")
    wrong = page.get_by_role("button", name="line 4")
    expect(wrong).to_be_visible()
    wrong.click()
    expect(text).to_be_focused()
    assert (
        page.evaluate(
            "getSelection().toString() || document.activeElement.value.slice(document.activeElement.selectionStart, "
            "document.activeElement.selectionEnd)"
        ).strip()
        == "dayz: 5"
    )
    expect(page.get_by_role("button", name="Apply")).to_be_disabled()
    text.fill("gantry: 1\nretention:\n  - name: from-file\n    days: 5\n")
    changes = page.get_by_role("region", name="Changes")
    expect(changes).to_contain_text("from-file")
    page.get_by_role("tab", name="Side by side").click()
    expect(page.get_by_role("region", name="Side by side")).to_contain_text("days: 5")
    # What somebody else does meanwhile is not overwritten unseen.
    apply = page.get_by_role("button", name="Apply")
    expect(apply).to_be_enabled()
    gantry.cli("caller", "allow", "MEANWHILE")
    apply.click()
    page.get_by_role("dialog").get_by_role("button", name="Apply").click()
    expect(page.get_by_role("alert").filter(has_text="Somebody else changed the set-up")).to_be_visible()
    page.get_by_role("button", name="Try again").click()
    apply.click()
    page.get_by_role("dialog").get_by_role("button", name="Apply").click()
    expect(page.get_by_text("1 change was applied").first).to_be_visible()
    expect(page.get_by_text("Applied at")).to_be_visible()
    gantry.cli("caller", "remove", "MEANWHILE", "--yes", check=False)
    assert "from-file" in gantry.cli("export").stdout
    page.get_by_role("tab", name="Text").click()
    expect(text).not_to_have_value(before)
    gantry.cli("storage", "retention", "remove", "from-file", "--yes", check=False)


def test_a_setting_is_changed_by_the_door_of_the_one_file(page: Any, gantry: Any) -> None:
    page.goto("/settings?tab=settings&q=trash_days")
    row = page.get_by_role("row").filter(has_text="trash_days")
    row.click()
    dialog = page.get_by_role("dialog")
    dialog.get_by_label("New value").fill("-1")
    expect(dialog).to_contain_text("greater than or equal to 0")
    write = dialog.get_by_role("button", name="Write into gantry.yaml")
    expect(write).to_be_disabled()
    dialog.get_by_label("New value").fill("12")
    expect(dialog.get_by_role("region", name="Changes")).to_contain_text("12")
    write.click()
    expect(row).to_contain_text("After a restart: 12 days")
    assert "trash_days: 12" in (gantry.home / "gantry.yaml").read_text()
    page.goto("/settings?tab=settings&q=webhook_private")
    page.get_by_role("row").filter(has_text="webhook_private").click()
    expect(dialog).to_contain_text("Changed on the machine only")
    (gantry.home / "gantry.yaml").unlink()


def test_where_a_setting_comes_from(page: Any) -> None:
    page.goto("/settings?tab=settings&q=settle_quiet")
    row = page.get_by_role("row").filter(has_text="settle_quiet_seconds")
    expect(row).to_contain_text("0.5")
    expect(row).to_contain_text("Default: 10")
    page.goto("/settings?tab=about")
    expect(page.get_by_text("Apache-2.0").first).to_be_visible()


def test_the_reference_finds_a_route_and_its_command_line(page: Any) -> None:
    page.goto("/api-reference")
    page.get_by_label("Search routes").fill("audit verify")
    page.get_by_role("link", name="Check the audit").click()
    article = page.get_by_role("article")
    expect(article).to_contain_text("/api/v1/audit/verify")
    expect(article.get_by_role("region", name="curl")).to_contain_text("Authorization: Bearer $GANTRY_TOKEN")
    page.goto("/api-reference?route=list_rules")
    article.get_by_role("button", name="Try it").click()
    article.get_by_role("region", name="Try it").get_by_label("limit").fill("1")
    expect(article.get_by_role("region", name="curl")).to_contain_text("?limit=1")
    article.get_by_role("button", name="Send").click()
    expect(article.get_by_role("region", name="Try it").get_by_role("region", name="Answer")).to_contain_text("everything")


def test_an_operator_sees_backups_and_no_file(page_as: Any) -> None:
    page = page_as("operator")
    page.goto("/settings")
    expect(page.get_by_text("No backup is made").first).to_be_visible()
    expect(page.get_by_role("tab", name="One file")).to_have_count(0)
