"""Nodes in the browser: add with a test before, echo with explained failures, query and fetch, callers let in by a click."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

from dimse import blocking
from dimse.errors import DimseError
from dimse.negotiation import ContextProposal
from dimse.uids import VERIFICATION
from tests.support.gantry_process import GantryProcess
from tests.web.stage import Stage


def test_a_node_is_tested_added_probed_and_removed(page: Any, stage: Stage, tmp_path: Path) -> None:
    page.goto("/nodes")
    page.get_by_role("row", name=re.compile("ARCHIVE")).wait_for()
    page.get_by_role("link", name="Add node").first.click()
    page.get_by_label("Name", exact=False).first.fill("second")
    address = page.get_by_label("Address")
    address.fill("ARCHIVE@127.0.0.1")
    address.blur()
    page.get_by_text("Write it as AET@HOST:PORT").first.wait_for()
    address.fill("NOBODY@127.0.0.1:1")
    page.get_by_text("DICOM system with the AE title NOBODY on 127.0.0.1, port 1.").first.wait_for()
    page.get_by_role("button", name="Test", exact=True).click()
    page.get_by_text("What to do:").first.wait_for()
    address.fill(f"ARCHIVE@127.0.0.1:{stage.archive_port}")
    page.get_by_role("button", name="Test", exact=True).click()
    page.get_by_text(re.compile(r"It answers in [\d.,]+ ms")).first.wait_for()
    # Leaving asks; what was typed is still there.
    page.get_by_role("link", name="Cancel").click()
    page.get_by_role("dialog").get_by_text("What you typed here is not saved.").wait_for()
    page.get_by_role("dialog").get_by_role("button", name="Cancel").click()
    assert address.input_value() == f"ARCHIVE@127.0.0.1:{stage.archive_port}"
    page.get_by_role("button", name="Add node").click()
    page.wait_for_url("**/nodes/second")
    page.get_by_role("button", name="Echo", exact=True).click()
    page.get_by_text(re.compile("second answers in")).first.wait_for()
    page.get_by_role("tab", name="What it can do").click()
    page.get_by_role("button", name="Probe").click()
    page.get_by_text(re.compile(r"It takes \d+ SOP classes")).first.wait_for()
    page.get_by_role("button", name="Actions").click()
    page.get_by_role("menuitem", name="Remove").click()
    page.get_by_role("dialog").get_by_role("button", name="Remove").click()
    page.wait_for_url("**/nodes")
    assert "second" not in [node["name"] for node in stage.gantry.json("node", "list")]


def _call(port: int, aet: str) -> bool:
    try:
        with blocking.connect(
            "127.0.0.1", port, called_aet="GANTRY", calling_aet=aet, contexts=[ContextProposal(VERIFICATION)]
        ) as one:
            return one.echo() == 0
    except DimseError:
        return False


def test_somebody_who_was_refused_is_let_in_by_one_click(page: Any, gantry: GantryProcess) -> None:
    # Strangers are let in on this instance, so somebody is needed of whom something else was said.
    gantry.cli("caller", "allow", "STRANGER", "--host", "192.0.2.7")
    gantry.until(lambda: not _call(gantry.dicom_port, "STRANGER"), 60)
    gantry.until(lambda: any(one["aet"] == "STRANGER" for one in gantry.json("caller", "refused")), 60)
    gantry.cli("caller", "remove", "STRANGER", "--yes")
    page.goto("/nodes?tab=refused")
    row = page.get_by_role("row", name=re.compile("STRANGER"))
    row.get_by_text("Calls from another address than its entry allows").wait_for()
    row.get_by_role("button", name="Allow STRANGER", exact=True).click()
    page.get_by_text("STRANGER may echo and store from 127.0.0.1.").first.wait_for()
    gantry.until(lambda: _call(gantry.dicom_port, "STRANGER"), 60)
    page.get_by_role("tab", name="Callers").click()
    page.get_by_role("row", name=re.compile("STRANGER.*Echo.*Store.*127.0.0.1")).wait_for()


def test_who_may_only_look_is_offered_nothing_else(page_as: Callable[..., Any]) -> None:
    page = page_as("viewer")
    page.goto("/nodes")
    page.get_by_role("row", name=re.compile("ARCHIVE")).wait_for()
    assert page.get_by_role("link", name="Add node").count() == 0
    assert page.get_by_role("button", name=re.compile("Echo")).count() == 0
    assert page.get_by_role("tab").count() == 0
