"""Alerts: a rule that does not work is seen and acknowledged; a webhook that may not be is refused with a remedy."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tests.support import part10_files
from tests.support.gantry_process import GantryProcess
from tests.web.test_dashboard import one_file

#: What the worker does each minute, now.
_LOOK = "from gantry.main import cli_context\nwith cli_context.house():\n from gantry.alerts import work\n work.look.func(0)\n"


def look(gantry: GantryProcess) -> list[dict[str, Any]]:
    subprocess.run([sys.executable, "-c", _LOOK], env=gantry.environment, check=True, timeout=60)
    found: list[dict[str, Any]] = gantry.json("alerts", "list", check=False)
    return found


def test_an_alert_is_seen_and_acknowledged(page: Any, gantry: GantryProcess, tmp_path: Path) -> None:
    from playwright.sync_api import expect

    gantry.cli("rule", "add", "slow", "--to", "ARCHIVE", "--when", "PatientID~^(a|a)*$")
    try:
        gantry.cli("import", one_file(tmp_path, f"{part10_files.ROOT}.88.9", "a" * 60 + "!"))
        gantry.until(lambda: any(alert["rule"] == "rule_failed" for alert in look(gantry)), 60)
        page.goto("/alerts")
        card = page.get_by_role("article").filter(has_text="Rule does not work")
        expect(card).to_contain_text("slow")
        expect(card.get_by_role("link", name="Go there")).to_have_attribute("href", "/rules/edit/slow")
        card.get_by_role("button", name="I look after it").click()
        expect(card).to_contain_text("Looked after")
        gantry.until(
            lambda: (
                {one["state"] for one in gantry.json("alerts", "list", check=False) if one["rule"] == "rule_failed"}
                == {"acknowledged"}
            )
        )
    finally:
        gantry.cli("rule", "remove", "slow", "--yes", check=False)


def test_a_webhook_into_our_own_network_is_refused_with_a_remedy(page: Any) -> None:
    from playwright.sync_api import expect

    page.goto("/alerts?tab=webhooks")
    page.get_by_role("button", name="Add a webhook").click()
    dialog = page.get_by_role("dialog")
    dialog.get_by_label("Name").fill("tickets")
    dialog.get_by_label("URL").fill("https://127.0.0.1:9/hook")
    dialog.get_by_role("button", name="Add").click()
    expect(dialog.get_by_role("alert")).to_contain_text("webhook_private")
    expect(dialog.get_by_label("URL")).to_have_value("https://127.0.0.1:9/hook")


def test_who_may_not_see_alerts_is_told_so(page_as: Callable[..., Any]) -> None:
    from playwright.sync_api import expect

    page = page_as("viewer")
    page.goto("/alerts")
    expect(page.get_by_text("alerts.view").first).to_be_visible()
