"""The audit in the browser: filter, what changed, verify, export."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from playwright.sync_api import expect

expect.set_options(timeout=30_000)  # on a busy machine


def test_filter_open_verify_and_export(page: Any, gantry: Any, tmp_path: Path) -> None:
    gantry.cli("caller", "allow", "AUDITED", "--may", "echo")
    gantry.cli("caller", "deny", "AUDITED")
    page.goto("/audit")
    page.get_by_label("Act", exact=True).click()
    page.get_by_role("option", name="caller.*", exact=True).click()
    rows = page.get_by_role("row").filter(has_text="AUDITED")
    expect(rows).to_have_count(2)
    assert "act=caller" in page.url
    rows.last.click()
    detail = page.get_by_role("complementary")
    expect(detail).to_contain_text("AUDITED")
    expect(detail.get_by_role("row").filter(has_text="may")).to_contain_text("echo")
    detail.get_by_label("Close").click()
    page.get_by_role("button", name="Verify").click()
    dialog = page.get_by_role("dialog")
    dialog.get_by_role("button", name="Verify now").click()
    expect(dialog).to_contain_text("Nothing was touched", timeout=30_000)
    dialog.get_by_role("button", name="Close").last.click()
    page.get_by_role("button", name="Export").click()
    with page.expect_download() as download:
        page.get_by_role("menuitem", name="CSV").click()
    download.value.save_as(tmp_path / "audit.csv")
    assert "AUDITED" in (tmp_path / "audit.csv").read_text(encoding="utf-8")


def test_nobody_but_administrators(page_as: Any) -> None:
    page = page_as("operator")
    page.goto("/dashboard")
    expect(page.get_by_role("link", name="Storage")).to_be_visible()
    expect(page.get_by_role("link", name="Audit")).to_have_count(0)
