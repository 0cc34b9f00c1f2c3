"""What holds for every page: nothing asked of other hosts, no broken policy, accessible, small; menu, palette, keyboard, restart."""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from tests.web.stage import HOSTILE, Stage, until

ROOT = Path(__file__).parents[2]
AXE = ROOT / "web" / "node_modules" / "axe-core" / "axe.min.js"
NAVIGATION = re.findall(r"to: '(/[a-z-]+)'", (ROOT / "web" / "src" / "navigation.ts").read_text(encoding="utf-8"))
PAGES = [*NAVIGATION, "/profile", "/nothing-here"]
#: First load: scripts and styles as they come over the wire, the viewer not among them.
BUDGET = 350 * 1024
#: Of WCAG 2.2 AA. Not the experimental label-content-name-mismatch: it takes the chosen value of a select for its label.
_RULES = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa"]


def _shot(page: Any, name: str) -> None:
    folder = os.environ.get("WEB_SHOTS")
    if folder:
        page.screenshot(path=str(Path(folder) / f"{name}.png"))


def _settle(page: Any) -> None:
    """Until a page has said what it is and stopped loading."""
    page.locator("main h1, main [role=status] p").first.wait_for(timeout=60_000)
    until(page, "document.querySelectorAll('[aria-busy=true], .animate-pulse').length === 0")
    page.wait_for_timeout(300)  # the last of what fades in: contrast of what is half shown is no finding


def _axe(page: Any) -> list[str]:
    page.evaluate(AXE.read_text(encoding="utf-8"))
    found = page.evaluate(
        "async (rules) => (await axe.run(document, {runOnly: rules, rules: {'label-content-name-mismatch': {enabled: false}}})).violations"
        ".flatMap(({id, nodes}) => nodes.slice(0, 3).map((node) => `${id}: ${node.target} ${node.failureSummary}`))",
        _RULES,
    )
    return [f"{page.url.partition('//')[2].partition('/')[2]}: {words}" for words in found]


def test_the_menu_names_pages() -> None:
    assert {"/dashboard", "/studies", "/deliveries", "/nodes", "/rules", "/audit", "/people"} <= set(NAVIGATION)


@pytest.mark.parametrize("look", ["light", "dark", "narrow"])
def test_every_page_is_accessible_and_asks_nobody_else(page_as: Callable[..., Any], look: str) -> None:
    size = {"width": 390, "height": 844} if look == "narrow" else {"width": 1280, "height": 800}
    page = page_as("administrator", viewport=size, color_scheme="dark" if look == "dark" else "light")
    findings = []
    for path in PAGES:
        page.goto(path)
        _settle(page)
        _shot(page, f"{path.strip('/')}-{look}")
        findings += _axe(page)
        wide = page.evaluate("document.documentElement.scrollWidth - innerWidth")
        if wide > 0:
            findings.append(f"{path}: {wide} pixels wider than the window")
    assert findings == []


def test_the_open_pages_are_accessible(page_as: Callable[..., Any]) -> None:
    findings = []
    for scheme in ("light", "dark"):
        page = page_as("", color_scheme=scheme)
        for path in ("/sign-in", "/account/register/", "/account/forgotten/", "/account/password/#x", "/account/confirm/#x"):
            page.goto(path)
            page.locator("main h1").wait_for()
            _shot(page, f"{path.strip('/').replace('/', '_').partition('#')[0].strip('_')}-{scheme}")
            findings += _axe(page)
    assert findings == []


def test_the_first_load_is_small(page_as: Callable[..., Any]) -> None:
    page = page_as("administrator")
    page.goto("/studies")
    _settle(page)
    loaded = page.evaluate(
        "performance.getEntriesByType('resource').filter((one) => /\\.(js|css)$/.test(one.name))"
        ".map((one) => [one.name.split('/').pop(), one.encodedBodySize])"
    )
    total = sum(size for _, size in loaded)
    assert 20 * 1024 < total < BUDGET, sorted(loaded, key=lambda one: -one[1])[:10]


def test_german_is_complete(page_as: Callable[..., Any]) -> None:
    page = page_as("administrator", locale="de-DE")
    page.goto("/dashboard")
    page.get_by_role("heading", name="Übersicht", exact=True).first.wait_for()
    assert page.evaluate("document.documentElement.lang") == "de"


def test_what_one_may_not_do_is_not_offered(page_as: Callable[..., Any]) -> None:
    page = page_as("viewer")
    page.goto("/studies")
    menu = page.get_by_role("navigation", name="Menu")
    menu.get_by_role("link", name="Studies").wait_for()
    for name in ("Audit", "People", "Storage", "Quarantine"):
        assert menu.get_by_role("link", name=name).count() == 0
    page.goto("/audit")
    page.get_by_text("You may not see this page").first.wait_for()


def test_the_palette_finds_pages_and_studies(page_as: Callable[..., Any]) -> None:
    page = page_as("administrator")
    page.goto("/dashboard")
    _settle(page)
    page.keyboard.press("Control+k")
    page.get_by_placeholder("Page, patient").fill("quarant")
    page.get_by_role("option", name="Quarantine").wait_for()
    page.keyboard.press("Enter")
    page.wait_for_url("**/quarantine")
    page.keyboard.press("Control+k")
    page.get_by_placeholder("Page, patient").fill("citizen")
    page.get_by_role("option", name=re.compile("Citizen")).first.click()
    page.wait_for_url("**/studies/*")


def test_names_are_text_whatever_they_hold(page_as: Callable[..., Any]) -> None:
    page = page_as("administrator")
    asked: list[str] = []
    page.on("dialog", lambda dialog: (asked.append(dialog.message), dialog.dismiss()))
    for path in ("/studies", "/dashboard", "/deliveries"):
        page.goto(path)
        _settle(page)
        assert page.get_by_text("<img src", exact=False).first.is_visible()
        assert page.locator("main img, main b").count() == 0
        assert "\u202e" not in page.locator("main").inner_text(), "a mark that turns the reading"
    assert asked == []
    assert len(HOSTILE[-1]) > 60


def test_a_list_is_walked_by_keys(page_as: Callable[..., Any]) -> None:
    page = page_as("administrator")
    page.goto("/deliveries")
    rows = page.get_by_role("grid").locator("[data-index]")
    rows.first.wait_for()
    rows.first.focus()
    page.keyboard.press("ArrowDown")
    until(page, "document.activeElement.dataset.index === '1'")
    page.keyboard.press("End")
    until(page, "Number(document.activeElement.dataset.index) > 1")
    page.keyboard.press("Home")
    until(page, "document.activeElement.dataset.index === '0'")
    before = page.url
    page.keyboard.press("Enter")
    page.wait_for_url(lambda url: url != before)


def test_times_follow_the_clock_of_the_server(page_as: Callable[..., Any]) -> None:
    page = page_as("administrator")
    page.clock.set_system_time(datetime.now(UTC) + timedelta(hours=5))
    page.goto("/dashboard")
    _settle(page)
    arrivals = page.locator("main time").first
    arrivals.wait_for()
    assert "hr" not in arrivals.inner_text(), "what came minutes ago came minutes ago"


def test_a_restart_of_the_server_is_said_and_nothing_is_lost(page_as: Callable[..., Any], stage: Stage) -> None:
    page = page_as("operator")
    page.goto("/profile")
    page.get_by_role("button", name="New token").click()
    page.get_by_role("dialog").get_by_label("What it is for").fill("still here")
    page.route("**/api/v1/**", lambda route: route.abort("connectionrefused"))
    page.get_by_role("dialog").get_by_role("button", name="Make the token").click()
    page.get_by_text("The server does not answer. Nothing you typed is lost").first.wait_for()
    page.unroute("**/api/v1/**")
    page.get_by_text("The server answers again.").first.wait_for()
    assert page.get_by_role("dialog").get_by_label("What it is for").input_value() == "still here"
    page.get_by_role("dialog").get_by_role("button", name="Make the token").click()
    page.get_by_text("The token, shown only now").first.wait_for()
    page.complaints[:] = [one for one in page.complaints if "ERR_CONNECTION_REFUSED" not in one]
