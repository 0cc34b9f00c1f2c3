"""What goes wrong around a page: the web process dies, the network goes, a session ends, a clock is wrong, the server is slow."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import expect

from tests.support import part10_files
from tests.support.gantry_process import GantryProcess
from tests.web.stage import PASSWORD, Stage

#: What a browser says by itself of a server that is away.
_AWAY = re.compile(
    r"ERR_CONNECTION_|ERR_INTERNET_DISCONNECTED|ERR_EMPTY_RESPONSE|ERR_INCOMPLETE|ERR_CONTENT_LENGTH_MISMATCH|ERR_NETWORK_CHANGED"
)


def _forgive(page: Any) -> None:
    page.complaints[:] = [one for one in page.complaints if not _AWAY.search(one)]


def _arrive(gantry: GantryProcess, folder: Path, number: int, name: str) -> None:
    study = f"{part10_files.ROOT}.78.{number}"
    dataset = part10_files.ct_dataset(study=study, series=f"{study}.1", patient_id=f"LATE-{number}", patient_name=name)
    path = folder / f"late-{number}.dcm"
    path.write_bytes(part10_files.part10(dataset, sop_class=part10_files.CT_IMAGE_STORAGE, instance=f"{study}.1.1"))
    gantry.cli("import", str(path))


def _live(page: Any) -> Any:
    return page.get_by_role("banner").get_by_role("status").filter(has_text="Live")


def _token_form(page: Any, words: str) -> Any:
    page.goto("/profile")
    page.get_by_role("button", name="New token").click()
    form = page.get_by_role("dialog", name="New token")
    form.get_by_label("What it is for").fill(words)
    return form


def test_the_web_process_dies_and_comes_back_under_an_open_page(
    page_as: Callable[..., Any], gantry: GantryProcess, tmp_path: Path
) -> None:
    page = page_as("administrator")
    page.goto("/dashboard")
    _live(page).wait_for()
    form_page = page_as("operator")
    form = _token_form(form_page, "survives a restart")
    gantry.kill("web")
    page.get_by_text("The server does not answer.").first.wait_for()
    # Nobody loads the page anew: it says that the server is back, follows it again and shows what came meanwhile.
    gantry.wait_ready(120)
    page.get_by_text("The server answers again.").first.wait_for()
    _live(page).wait_for()
    _arrive(gantry, tmp_path, 1, "Restart^Rita")
    page.get_by_role("main").get_by_text("Restart, Rita").first.wait_for(timeout=60_000)
    form.get_by_role("button", name="Make the token").click()
    form_page.get_by_text("The token, shown only now").first.wait_for()
    for one in (page, form_page):
        _forgive(one)


def test_ten_seconds_without_a_network(page_as: Callable[..., Any], gantry: GantryProcess, tmp_path: Path) -> None:
    page = page_as("administrator")
    page.goto("/dashboard")
    _live(page).wait_for()
    page.context.set_offline(True)
    page.get_by_text("The server does not answer.").first.wait_for()
    _arrive(gantry, tmp_path, 2, "Offline^Otto")
    page.wait_for_timeout(10_000)
    expect(page.get_by_text("The server does not answer.").first).to_be_visible()
    page.context.set_offline(False)
    page.get_by_text("The server answers again.").first.wait_for()
    page.get_by_role("main").get_by_text("Offline, Otto").first.wait_for(timeout=60_000)
    expect(page.get_by_text("The server does not answer.")).to_have_count(0)
    _forgive(page)


def test_a_session_that_ends_in_a_form_loses_nothing(page_as: Callable[..., Any], gantry: GantryProcess) -> None:
    """A form with many fields, in a page and not in a dialog; the session is ended at the server."""
    page = page_as("administrator")
    page.goto("/nodes/new")
    page.get_by_label("Name", exact=True).fill("kept")
    page.get_by_label("Address").fill("KEPT@127.0.0.1:104")
    page.context.clear_cookies(name="sessionid")
    page.get_by_role("button", name="Add", exact=False).last.click()
    again = page.get_by_role("dialog", name="Your session has ended")
    again.get_by_label("Password").fill("not the password")
    again.get_by_role("button", name="Sign in", exact=True).click()
    again.get_by_role("alert").wait_for()
    again.get_by_label("Password").fill(PASSWORD)
    again.get_by_role("button", name="Sign in", exact=True).click()
    # What was asked before goes on by itself.
    page.wait_for_url(re.compile("/nodes(/kept)?$"))
    page.get_by_text("kept").first.wait_for()
    assert "kept" in str(gantry.json("node", "list"))
    gantry.cli("node", "remove", "kept", "--yes")


@pytest.mark.parametrize("skew", [timedelta(days=1), timedelta(days=-1)], ids=["a day ahead", "a day behind"])
def test_times_are_right_although_the_clock_of_the_browser_is_not(page_as: Callable[..., Any], skew: timedelta) -> None:
    page = page_as("administrator")
    page.clock.set_system_time(datetime.now(UTC) + skew)
    page.goto("/dashboard")
    when = page.get_by_role("main").locator("time").first
    when.wait_for()
    expect(when).to_have_text(re.compile(r"(now|sec|min|this minute)"))
    expect(when).not_to_have_text(re.compile(r"day|hr|in "))


def test_a_slow_server_shows_a_spinner_only_after_a_while(page_as: Callable[..., Any]) -> None:
    page = page_as("administrator")
    page.clock.install()
    page.goto("/profile")
    page.get_by_role("heading", level=1).wait_for()
    held: list[Any] = []
    slow = True

    def hold(route: Any) -> None:
        if slow:
            held.append(route)
        else:
            route.continue_()

    page.route(re.compile(r"/api/v1/deliveries"), hold)
    page.clock.pause_at(datetime.now(UTC) + timedelta(minutes=5))
    page.get_by_role("navigation", name="Menu").get_by_role("link", name="Deliveries").click()
    page.get_by_role("heading", name="Deliveries", level=1).wait_for()
    loading = page.get_by_role("main").get_by_role("status", name="Loading")
    page.clock.run_for(80)
    expect(loading).to_have_count(0)
    page.clock.run_for(40)
    loading.wait_for()
    slow = False
    for one in held:
        one.continue_()
    page.clock.resume()
    page.get_by_role("grid").locator("[data-index]").first.wait_for()
    expect(loading).to_have_count(0)


def test_a_server_that_fails_says_so_in_the_language_of_the_person(page_as: Callable[..., Any], stage: Stage) -> None:
    page = page_as("administrator", locale="de-DE")
    page.goto("/studies/1.2.3.4")
    page.get_by_text("Diese Studie gibt es nicht").first.wait_for()
    page.goto("/nodes/new")
    page.get_by_label("Name", exact=True).fill("ARCHIVE")
    page.get_by_label("Adresse").fill(f"OTHER@127.0.0.1:{stage.archive_port}")
    page.get_by_role("button", name="hinzufügen").last.click()
    page.get_by_text(re.compile("einen Knoten „ARCHIVE“ gibt es schon", re.IGNORECASE)).first.wait_for()
    page.get_by_text("Einen anderen Namen wählen oder zuerst jenen Knoten entfernen.").first.wait_for()
    page.goto("/dashboard")
    page.get_by_role("button", name=re.compile("Alle Prüfungen")).click()
    page.get_by_text("erreichbar").first.wait_for()
    assert "reachable" not in page.get_by_role("main").inner_text()
