"""Deliveries: found by state and destination, held and released with undo, the receipt; a destination paused and resumed."""

from __future__ import annotations

import csv
import io
import json
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import unused_port
from tests.support import part10_files
from tests.support.gantry_process import GantryProcess
from tests.web.test_dashboard import one_file

UID = f"{part10_files.ROOT}.88.7"


@pytest.fixture(scope="module")
def away(stage: Any, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A destination where nothing listens, and a study that waits for it; the same study is delivered to ARCHIVE."""
    gantry: GantryProcess = stage.gantry
    gantry.cli("node", "add", "NOBODY", f"NOBODY@127.0.0.1:{unused_port()}")
    gantry.cli("node", "set", "NOBODY", "bandwidth=Mon-Fri 07:00-19:00 20 Mbit/s; * 0")
    gantry.cli("rule", "add", "second", "--to", "NOBODY")
    gantry.cli("import", one_file(tmp_path_factory.mktemp("away"), UID, "Waiter"))
    gantry.until(lambda: len(gantry.json("deliveries", "--study", UID)) == 2, 30)
    gantry.until(lambda: "confirmed" in {row["status"] for row in gantry.json("deliveries", "--study", UID)}, 60)
    gantry.until(lambda: any(row["error"] for row in gantry.json("deliveries", "--study", UID, "--node", "NOBODY")), 60)
    yield UID
    gantry.cli("rule", "remove", "second", "--yes")  # the instance is that of other files too


def status(gantry: GantryProcess) -> str:
    (row,) = gantry.json("deliveries", "--study", UID, "--node", "NOBODY")
    return str(row["status"])


def test_from_the_list_to_the_receipt(page: Any, away: str) -> None:
    from playwright.sync_api import expect

    page.goto("/deliveries?tab=done&node=ARCHIVE")
    row = page.get_by_role("row").filter(has_text="Waiter")
    expect(row).to_contain_text("Delivered")
    row.get_by_role("link").click()
    page.wait_for_url(f"**/deliveries/study/{away}?node=ARCHIVE")
    expect(page.get_by_role("region", name="Why it went there")).to_contain_text("everything")
    expect(page.get_by_text("Byte-identical").first).to_be_visible()
    page.get_by_role("link", name="Receipt").click()
    expect(page.get_by_test_id("verdict")).to_have_text("Not everything is delivered yet")
    expect(page.get_by_role("region", name="ARCHIVE").first).to_contain_text("Complete")
    with page.expect_download() as download:
        page.get_by_role("button", name="CSV").click()
    rows = list(csv.DictReader(io.StringIO(Path(download.value.path()).read_text("utf-8"))))
    kept = {line["node"]: line for line in rows}
    assert kept["ARCHIVE"]["identical"] == "true"
    assert kept["ARCHIVE"]["stored_sha256"] == kept["ARCHIVE"]["sent_sha256"] != ""
    with page.expect_download() as download:
        page.get_by_role("button", name="JSON").click()
    assert json.loads(Path(download.value.path()).read_text("utf-8"))["study_instance_uid"] == away


def test_hold_asks_why_and_can_be_undone(page: Any, away: str, gantry: GantryProcess) -> None:
    from playwright.sync_api import expect

    page.goto(f"/deliveries/study/{away}")
    card = page.get_by_role("region", name="NOBODY", exact=True)
    card.get_by_role("button", name="Hold").click()
    dialog = page.get_by_role("dialog")
    expect(dialog.get_by_role("button", name="Hold")).to_be_disabled()
    dialog.get_by_label("Why").fill("the patient was mixed up")
    dialog.get_by_role("button", name="Hold").click()
    expect(card).to_contain_text("the patient was mixed up")
    assert status(gantry) == "held"
    page.get_by_role("button", name="Undo").click()
    expect(card.get_by_role("button", name="Release")).to_have_count(0)
    gantry.until(lambda: status(gantry) in {"waiting", "failed", "sent"})


def test_who_may_only_look_is_offered_nothing_else(page_as: Callable[..., Any], away: str) -> None:
    from playwright.sync_api import expect

    page = page_as("viewer")
    page.goto(f"/deliveries/study/{away}")
    card = page.get_by_role("region", name="NOBODY", exact=True)
    expect(card).to_be_visible()
    expect(card.get_by_role("button", name="Hold")).to_have_count(0)
    expect(page.get_by_text("Waiter")).to_have_count(0)


def test_a_destination_says_what_is_wrong_and_is_paused_with_undo(page: Any, away: str, gantry: GantryProcess) -> None:
    from playwright.sync_api import expect

    page.goto("/destinations/NOBODY")
    expect(page.get_by_test_id("open")).to_contain_text("1 waits")
    expect(page.get_by_text("Does not answer").or_(page.get_by_text("Being asked"))).to_be_visible()
    expect(page.get_by_text(re.compile("nothing listens|refused", re.IGNORECASE)).first).to_be_visible()
    week = page.get_by_role("region", name="Bandwidth calendar")
    expect(week).to_contain_text(re.compile(r"07:00.19:00\s2\.5\sMB/s"))
    page.get_by_role("button", name="Pause").click()
    expect(page.get_by_text("Paused", exact=True).first).to_be_visible()
    gantry.until(lambda: not {node["name"]: node for node in gantry.json("node", "list")}["NOBODY"]["enabled"])
    page.get_by_role("button", name="Undo").click()
    expect(page.get_by_role("button", name="Pause")).to_be_visible()
    gantry.until(lambda: {node["name"]: node for node in gantry.json("node", "list")}["NOBODY"]["enabled"])
