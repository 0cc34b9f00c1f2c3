"""What holds for every page: nothing asked of other hosts, no broken policy, accessible, small; menu, palette, keyboard, restart."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import expect

from tests.support.gantry_process import GantryProcess
from tests.web.stage import HOSTILE, PASSWORD, until

ROOT = Path(__file__).parents[2]
AXE = ROOT / "web" / "node_modules" / "axe-core" / "axe.min.js"
NAVIGATION = re.findall(r"to: '(/[a-z-]+)'", (ROOT / "web" / "src" / "navigation.ts").read_text(encoding="utf-8"))
#: {study}: one of those that the instance has.
PAGES = [
    *NAVIGATION, "/profile", "/nothing-here", "/studies/{study}", "/studies/{study}/view", "/deliveries/study/{study}",
    "/deliveries/receipt/{study}", "/destinations/ARCHIVE", "/nodes/ARCHIVE", "/nodes/new", "/nodes/ARCHIVE/edit", "/rules/new",
    "/rules/edit/everything",
]  # fmt: skip
#: First load: scripts and styles as they come over the wire, the viewer not among them.
BUDGET = 350 * 1024
#: Nothing fades: the contrast of what is half shown is no finding.
STILL: dict[str, Any] = {"reduced_motion": "reduce"}
WIDE, NARROW = {"width": 1280, "height": 800}, {"width": 390, "height": 844}
#: A page and what is pressed until a dialog stands over it.
DIALOGS = (
    ("/dashboard", re.compile("^Search or jump to")),
    ("/studies/{study}", "Send"),
    ("/studies/{study}", "More actions", "Place a legal hold"),
    ("/nodes", "Callers", "Allow"),
    ("/people", "Add person"),
    ("/people", "Institutes", "Add institute"),
    ("/storage", "Add volume"),
    ("/storage", "Legal holds", "Place hold"),
    ("/alerts", "Webhooks", "Add a webhook"),
    ("/audit", "Verify"),
    ("/profile", "New token"),
    ("/profile", "Set up a second factor"),
)
#: Of WCAG 2.2 AA.
_RULES = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa"]


def _shot(page: Any, name: str) -> None:
    folder = os.environ.get("WEB_SHOTS")
    if folder:
        page.screenshot(path=str(Path(folder) / (re.sub(r"[^\w.-]+", "_", name) + ".png")))


def _settle(page: Any) -> None:
    """Until a page has said what it is and stopped loading."""
    page.locator("main h1, main [role=status] p").first.wait_for(timeout=60_000)
    until(page, "document.querySelectorAll('[aria-busy=true], .animate-pulse').length === 0")
    page.wait_for_timeout(100)


def _axe(page: Any, what: str = "") -> list[str]:
    if not page.evaluate("'axe' in window"):
        page.evaluate(AXE.read_text(encoding="utf-8"))
    found = page.evaluate(
        "async (rules) => (await axe.run(document, {runOnly: rules})).violations"
        ".flatMap(({id, nodes}) => nodes.slice(0, 3).map((node) => `${id}: ${node.target} ${node.failureSummary}`))",
        _RULES,
    )
    return [f"{page.url.partition('//')[2].partition('/')[2]} {what}: {words}" for words in found]


def name_of(button: str | re.Pattern[str]) -> str:
    """The name of a button, however it is looked for."""
    return button if isinstance(button, str) else button.pattern.strip("^")


def _in_each_look(page: Any, name: str, what: str = "", looks: Sequence[str] = ("light", "dark", "narrow")) -> list[str]:
    """Findings in light and dark, at both widths, without loading the page anew; pictures where they are wanted."""
    findings = []
    for look in looks:
        scheme, size = "dark" if look == "dark" else "light", NARROW if look == "narrow" else WIDE
        page.emulate_media(color_scheme=scheme)
        page.set_viewport_size(size)
        if not name.endswith("/view"):  # the viewer is always dark
            until(page, f"document.documentElement.classList.contains('{scheme}')")
        page.wait_for_timeout(100)
        until(page, "document.getAnimations().every((one) => !(one instanceof CSSTransition))")  # colours have arrived
        _shot(page, f"{name}-{look}")
        findings += _axe(page, f"{what} {look}")
        wide = page.evaluate("document.documentElement.scrollWidth - innerWidth")
        if wide > 0:
            findings.append(f"{name} {look}: {wide} pixels wider than the window")
    page.emulate_media(color_scheme="light", **STILL)
    page.set_viewport_size(WIDE)
    return findings


def test_the_menu_names_pages() -> None:
    assert {"/dashboard", "/studies", "/deliveries", "/nodes", "/rules", "/audit", "/people"} <= set(NAVIGATION)


def test_every_page_is_accessible_and_asks_nobody_else(page_as: Callable[..., Any], gantry: GantryProcess) -> None:
    study = gantry.json("studies")[0]["study_instance_uid"]
    page = page_as("administrator", color_scheme="light", **STILL)
    findings = []
    titles: dict[str, list[str]] = {}
    for path in PAGES:
        page.goto(path.format(study=study))
        _settle(page)
        titles.setdefault(page.title(), []).append(path)
        findings += _in_each_look(page, path.format(study="study").strip("/"))
    assert not findings, "\n".join(findings)
    assert [paths for title, paths in titles.items() if len(paths) > 1 or not re.fullmatch(r".+ · Gantry", title)] == []


def test_the_dialogs_are_accessible(page_as: Callable[..., Any], gantry: GantryProcess) -> None:
    study = gantry.json("studies")[0]["study_instance_uid"]
    page = page_as("administrator", color_scheme="light", **STILL)
    findings = []
    for path, *buttons in DIALOGS:
        page.goto(path.format(study=study))
        _settle(page)
        for name in buttons:
            page.get_by_role("button", name=name, exact=True).or_(page.get_by_role("tab", name=name, exact=True)).or_(
                page.get_by_role("menuitem", name=name, exact=True)
            ).first.click()
        dialog = page.get_by_role("dialog").first
        dialog.wait_for()
        findings += _in_each_look(
            page, f"dialog-{path.partition('{')[0]}-{name_of(buttons[-1])}", name_of(buttons[-1]), ("light", "dark")
        )
        # The focus is inside, and Escape leads out of it.
        assert page.evaluate("document.querySelector('[role=dialog]').contains(document.activeElement)"), buttons
        page.keyboard.press("Escape")
        dialog.wait_for(state="hidden")
    assert not findings, "\n".join(findings)


def test_the_open_pages_are_accessible(page_as: Callable[..., Any]) -> None:
    page = page_as("", color_scheme="light", **STILL)
    findings = []
    for path in ("/sign-in", "/account/register/", "/account/forgotten/", "/account/password/#x", "/account/confirm/#x"):
        page.goto(path)
        page.locator("main h1").wait_for()
        findings += _in_each_look(page, path.partition("#")[0].strip("/"))
    assert not findings, "\n".join(findings)


def test_the_choice_of_a_first_password_is_accessible(page_as: Callable[..., Any], gantry: GantryProcess) -> None:
    given = gantry.json("user", "add", "fresh", "--role", "administrator")["password"]
    page = page_as("", color_scheme="light", **STILL)
    page.goto("/sign-in")
    page.get_by_label("User name").fill("fresh")
    page.get_by_label("Password").fill(given)
    page.get_by_role("button", name="Sign in", exact=True).click()
    page.get_by_role("heading", name="Welcome, fresh").wait_for()
    assert _in_each_look(page, "setup") == []
    # What was typed a moment ago is not asked for again.
    page.get_by_label("New password").fill(PASSWORD)
    page.get_by_label("Once more").fill(PASSWORD)
    page.get_by_role("button", name="Keep it and go on").click()
    page.get_by_role("link", name="Add a node").wait_for()
    assert _in_each_look(page, "setup-steps") == []


@pytest.mark.parametrize(("language", "path"), [("en-GB", "/studies"), ("de-DE", "/studies"), ("de-DE", "/dashboard")])
def test_the_first_load_is_small_and_asks_for_nothing_twice(page_as: Callable[..., Any], language: str, path: str) -> None:
    page = page_as("administrator", locale=language)
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url.partition("/api/v1")[2]))
    page.goto(path)
    _settle(page)
    loaded = page.evaluate(
        "performance.getEntriesByType('resource').filter((one) => /\\.(js|css)$/.test(one.name))"
        ".map((one) => [one.name.split('/').pop(), one.encodedBodySize])"
    )
    total = sum(size for _, size in loaded)
    assert 20 * 1024 < total < BUDGET, sorted(loaded, key=lambda one: -one[1])[:10]
    assert len(loaded) < 40, "each file is a request"
    # What public/begin.js asks for is written as the page asks for it.
    begun = [one for one in asked if one.startswith(("/welcome", "/studies", "/overview"))]
    assert len(begun) == len(set(begun)) == 2, begun


@pytest.mark.parametrize("path", ["/nonsense", "/deliveries/nonsense", "/viewer/1.2.3.4", "/studies/1.2/3/4"])
def test_an_address_that_nobody_knows_says_so_and_leads_on(page_as: Callable[..., Any], path: str) -> None:
    page = page_as("administrator", locale="de-DE")
    assert page.goto(path).status == 404
    page.get_by_text("Diese Seite gibt es nicht").first.wait_for()
    page.get_by_role("link", name="Zur Übersicht").wait_for()
    expect(page.get_by_role("main").get_by_text(path)).to_be_visible()
    search = page.get_by_role("link", name="Diese Studie suchen")
    assert search.count() == (1 if "1.2.3.4" in path else 0)
    assert page.request.get("/api/v1/nonsense", headers={"Accept": "text/html"}).json()["error"]["code"] == "not_found"
    stranger = page_as("")
    assert stranger.goto(path).status == 404
    stranger.get_by_role("heading", name="There is no such page").wait_for()
    stranger.get_by_role("link", name="Sign in").click()
    stranger.get_by_label("Password").wait_for()


@pytest.mark.parametrize(
    ("path", "words", "on"),
    [("/studies/1.2.3", "There is no such study", "To all studies"), ("/studies/1.2.3/view", "There is no such study", "To all studies"),
     ("/nodes/NOPE", "no node", "Nodes"), ("/destinations/NOPE", "no destination", "Deliveries"), ("/rules/edit/nope", "no rule", "Rules"),
     ("/deliveries/study/1.2.3", "Nothing of this study", "Deliveries")],
)  # fmt: skip
def test_what_is_not_there_is_said_with_a_way_on(page: Any, path: str, words: str, on: str) -> None:
    page.goto(path)
    page.get_by_role("main").get_by_text(re.compile(words, re.IGNORECASE)).first.wait_for()
    page.get_by_role("main").get_by_role("link", name=on).first.wait_for()


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
    page.keyboard.press("Control+k")
    page.get_by_placeholder("Page, patient").fill("archive")
    page.get_by_role("option", name="ARCHIVE", exact=True).click()
    page.wait_for_url("**/nodes/ARCHIVE")
    page.keyboard.press("Control+k")
    page.get_by_placeholder("Page, patient").fill("write a rule")
    page.keyboard.press("Enter")
    page.wait_for_url("**/rules/new")


def test_the_keyboard_reaches_everything_and_is_seen(page_as: Callable[..., Any]) -> None:
    page = page_as("administrator")
    page.goto("/dashboard")
    _settle(page)
    page.keyboard.press("Tab")
    skip = page.get_by_role("link", name="Skip to the page")
    expect(skip).to_be_focused()
    expect(skip).to_be_in_viewport()
    page.keyboard.press("Enter")
    expect(page.get_by_role("main")).to_be_focused()
    seen = []
    for _ in range(40):
        page.keyboard.press("Tab")
        seen.append(
            page.evaluate(
                "(() => { const at = document.activeElement, how = getComputedStyle(at), box = at.getBoundingClientRect();"
                " return [at.tagName + ' ' + (at.ariaLabel || at.innerText || '').slice(0, 40), box.width > 0,"
                " how.outlineStyle !== 'none' || how.boxShadow !== 'none' || at.matches('body, main')] })()"
            )
        )
    assert len({name for name, *_ in seen}) > 8
    assert [name for name, shown, ringed in seen if not (shown and ringed)] == []


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
